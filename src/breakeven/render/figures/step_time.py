"""Time over batch size: one line a device.

Owns which times are drawn: the medians of the headline phase, with their intervals.
"""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from breakeven import format as fmt
from breakeven.render.figures.axes import seconds_tick
from breakeven.render.figures.curves import Curve, Look, Point, panels, value_curves
from breakeven.render.figures.models import Model, Names, main_phase
from breakeven.render.figures.style import NORMAL, fitted
from breakeven.render.figures.text import and_list
from breakeven.report.report import Report


def draw(report: Report) -> Figure | None:
    """Return the times on logarithmic axes, a panel for each model; None when nothing took any time."""
    curves = _curves(report)
    if not curves:
        return None
    phase = main_phase(report)
    what = "training step" if phase == "train" else phase
    title = fitted(f"Time of a {what} (median, 95% interval)", 5, NORMAL)
    return panels(report, curves, Look(title, fitted(f"time of a {what}", 2, NORMAL), seconds_tick))


def describe(report: Report) -> str:
    """Return the times at both ends of the first model, or why there is no figure."""
    curves = _curves(report)
    if not curves:
        return "There is no figure of step times, because nothing was timed that took any time."
    model, lines = next(iter(curves.items()))
    ends = and_list([_ends(line) for line in lines])
    return (
        f"Time over batch size ({main_phase(report)}) for {fmt.plural(len(curves), 'model')}. "
        f"For {Names(report).place(model)}: {ends}."
    )


def _curves(report: Report) -> dict[Model, list[Curve]]:
    return value_curves(report, main_phase(report), _point)


def _point(row: Any) -> Point:
    return Point(row.batch_size, row.median_s, row.low_s, row.high_s)


def _ends(line: Curve) -> str:
    first, last = line.points[0], line.points[-1]
    text = f"{line.device} takes {fmt.seconds(first.value)} at batch {first.batch}"
    return text if first is last else f"{text} and {fmt.seconds(last.value)} at batch {last.batch}"
