"""Speedup over batch size: both axes are base-2 logarithms, a heavy line marks 1x.

Owns the break-even's diamond with its whiskers, and that hollow markers are undecided or the same.
"""

from __future__ import annotations

import math
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from breakeven import format as fmt
from breakeven.render.figures.axes import powers, ratio_tick
from breakeven.render.figures.curves import Curve, Look, Point, curve_values, panels
from breakeven.render.figures.layout import notice
from breakeven.render.figures.models import MAX_PANELS, Model, chosen, model_of
from breakeven.render.figures.style import INK, NORMAL, PAPER, device_styles, drawing, fitted
from breakeven.report.break_even import BreakEven
from breakeven.report.report import Report

_GREY = "#777777"


def speedup_figure(report: Report) -> Figure:
    """Return the figure, or one that says why there is none."""
    figure = draw(report)
    if figure is not None:
        return figure
    with drawing():
        return notice(report, describe(report))


def draw(report: Report) -> Figure | None:
    """Return the speedup in the headline phase, a panel for each model; None when nothing was compared."""
    lines = _lines(report)
    if not lines:
        return None
    curves = {model: [_curve(line) for line in of_model] for model, of_model in lines.items()}
    values = curve_values(curve for model in chosen(curves, MAX_PANELS) for curve in curves[model])
    low, high = min([*values, 0.5]), max([*values, 2.0])
    styles = device_styles(report.cases["device"])

    def extra(ax: Axes, model: Model) -> None:
        ax.axhline(1, color=INK, linewidth=1.8, zorder=1)
        crossing = [line for line in lines[model] if line.crossing.batch_size is not None]
        for place, line in enumerate(crossing):
            _mark_break_even(ax, line, styles[line.candidate][0], place)

    baselines = ", ".join(dict.fromkeys(line.baseline for of_model in lines.values() for line in of_model))
    look = Look(
        title=f"Speedup over {fitted(baselines, 2)} ({report.headline}, median, 95% interval)",
        y=f"speedup over {fitted(baselines, 1.2)}",
        tick_text=ratio_tick,
        base=2,
        ends=(low / 1.25, high * 1.25),
        ticks=powers(low, high),
        extra=extra,
        handles=_handles(),
    )
    return panels(report, curves, look)


def describe(report: Report) -> str:
    """Return the first sentences of the verdict, or why there is no figure."""
    if report.refused:
        return "No speedup is given, because these numbers do not compare."
    lines = _lines(report)
    if not lines:
        return "No two devices could be compared." if report.judged else "Nothing was timed."
    heads = [conclusion.headline for conclusion in report.conclusions]
    rest = f" The verdict has {fmt.plural(len(heads) - 2, 'sentence')} more." if len(heads) > 2 else ""
    return f"Speedup over batch size for {fmt.plural(len(lines), 'model')}. {' '.join(heads[:2])}{rest}"


def _lines(report: Report) -> dict[Model, list[BreakEven]]:
    found: dict[Model, list[BreakEven]] = {}
    for line in report.break_evens:
        if line.phase == report.headline and any(row.speedup for row in line.rows):
            found.setdefault(model_of(line), []).append(line)
    return found


def _curve(line: BreakEven) -> Curve:
    points = tuple(
        Point(row.batch_size, row.speedup, row.low, row.high, row.verdict in ("faster", "slower"))
        for row in line.rows
        if row.speedup
    )
    return Curve(line.candidate, points, line.holes, line.between)


def _mark_break_even(ax: Axes, line: BreakEven, color: str, place: int) -> None:
    found = line.crossing
    at = found.batch_size or 0
    ends = [found.low or line.batches[0], found.high or line.batches[-1]]
    ax.plot(ends, [1, 1], color=color, linewidth=2.2, marker="|", markersize=8, zorder=5)
    ax.plot([at], [1], marker="d", markersize=8, color=color, markeredgecolor=PAPER, zorder=6)
    # A candidate's line comes from below on the left, so that there is room above; the next one goes below.
    above = place % 2 == 0 and not _is_at_the_left(ax, at)
    side = -1 if above or not _is_at_the_left(ax, at) else 1
    ax.annotate(
        fmt.batch(at),
        (at, 1),
        textcoords="offset points",
        xytext=(6 * side, 5 if above else -5),
        ha="right" if side < 0 else "left",
        va="bottom" if above else "top",
        fontsize=NORMAL,
        fontweight="bold",
        color=INK,
        bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.75, "pad": 0.6},
        zorder=6,
    )


def _is_at_the_left(ax: Axes, batch: float) -> bool:
    """Return whether there is no room for a number to the left."""
    left, right = ax.get_xlim()
    return math.log(batch / left) < 0.15 * math.log(right / left)


def _handles() -> list[Artist]:
    style: dict[str, Any] = {"color": _GREY, "linestyle": ""}
    return [
        Line2D([], [], marker="d", markersize=7, label="break-even, 95% interval", **style),
        Line2D([], [], marker="o", markerfacecolor=PAPER, label="undecided or same (within 2%)", **style),
    ]
