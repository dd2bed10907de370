"""Peak memory over batch size: one line a device.

Owns which peaks are drawn: those of the headline phase. They are counted, so they have no interval.
"""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from breakeven import format as fmt
from breakeven.render.figures.axes import scaled_tick
from breakeven.render.figures.curves import Curve, Look, Point, panels, value_curves
from breakeven.render.figures.models import Model, main_phase
from breakeven.render.figures.style import fitted
from breakeven.render.figures.text import extreme_of_each
from breakeven.report.report import Report


def draw(report: Report) -> Figure | None:
    """Return peak memory on logarithmic axes, a panel for each model; None when no device counts it."""
    curves = _curves(report)
    if not curves:
        return None
    title = f"Peak memory ({fitted(main_phase(report), 2)})"
    return panels(report, curves, Look(title, "bytes at the peak", scaled_tick))


def describe(report: Report) -> str:
    """Return the highest peak of each device, or why there is no figure."""
    curves = _curves(report)
    if not curves:
        return "There is no figure of peak memory, because no measured device counts it."
    most = extreme_of_each(report, curves, lambda value: fmt.scaled(value, "B"))
    return f"Peak memory over batch size for {fmt.plural(len(curves), 'model')}. At most: {most}."


def _curves(report: Report) -> dict[Model, list[Curve]]:
    return value_curves(report, main_phase(report), _point)


def _point(row: Any) -> Point | None:
    peak = row.peak_memory_bytes
    return None if peak is None else Point(row.batch_size, float(peak))
