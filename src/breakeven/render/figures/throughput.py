"""Samples a second over batch size: one line a device.

Owns which rates are drawn: those of whole training steps.
"""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from breakeven import format as fmt
from breakeven.render.figures.axes import scaled_tick
from breakeven.render.figures.curves import Curve, Look, Point, panels, value_curves
from breakeven.render.figures.models import Model
from breakeven.render.figures.text import extreme_of_each
from breakeven.report.report import Report


def draw(report: Report) -> Figure | None:
    """Return samples a second on logarithmic axes, a panel for each model; None when no step was timed."""
    curves = _curves(report)
    if not curves:
        return None
    look = Look("Throughput of training (median, 95% interval)", "samples/s", scaled_tick)
    return panels(report, curves, look)


def describe(report: Report) -> str:
    """Return the highest throughput of each device, or why there is no figure."""
    curves = _curves(report)
    if not curves:
        return "There is no figure of throughput, because no whole training step was timed."
    best = extreme_of_each(report, curves, lambda value: fmt.scaled(value, "samples/s"))
    return f"Throughput over batch size for {fmt.plural(len(curves), 'model')}. At most: {best}."


def _curves(report: Report) -> dict[Model, list[Curve]]:
    return value_curves(report, "train", _point)


def _point(row: Any) -> Point | None:
    rate = row.samples
    return None if rate is None else Point(row.batch_size, rate.value, rate.low, rate.high)
