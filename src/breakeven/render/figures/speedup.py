"""Speedup over batch size on base-2 axes: a heavy line at 1x, diamonds at the break-evens."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from breakeven import format as fmt
from breakeven.grouping import grouped
from breakeven.render.figures.axes import RATIOS, write
from breakeven.render.figures.curves import Curve, PanelStyle, Point, panels
from breakeven.render.figures.drawing import Drawing, notice
from breakeven.render.figures.models import PanelModel, baseline_of, batch_of, key_of, report_styles
from breakeven.render.figures.style import INK, LABEL_BOX, NORMAL, PAPER
from breakeven.report.break_even import BreakEven
from breakeven.report.report import Report

_Lines = dict[PanelModel, list[BreakEven]]


def speedup_figure(report: Report) -> Figure:
    """Return the figure, or a placeholder that shows why there is none."""
    return SPEEDUP.draw(report) or notice(report, SPEEDUP.describe(report))


def _lines(report: Report) -> _Lines:
    lines = [line for line in report.break_evens if line.phase == report.headline]
    return grouped((key_of(line).model, line) for line in lines if any(row.speedup for row in line.rows))


def _plot(report: Report, lines: _Lines) -> Figure:
    styles = report_styles(report)

    def extra(ax: Axes, model: PanelModel) -> None:
        ax.axhline(1, color=INK, linewidth=1.8, zorder=1)
        crossing = [line for line in lines[model] if line.crossing.batch_size is not None]
        for place, line in enumerate(crossing):
            _mark_break_even(ax, line, styles[key_of(line).device][0], place)

    baselines = dict.fromkeys(baseline_of(line).device for of_model in lines.values() for line in of_model)
    over = fmt.shortened(", ".join(baselines), 20)
    scope = report.interval_scope(report.headline)
    style = PanelStyle(
        title=f"Speedup over {over} ({report.headline}, 95% interval {scope})",
        y_label=f"speedup over {over}",
        formatter=RATIOS,
        base=2,
        visible=(0.5, 2.0),
        extra=extra,
        handles=_handles(),
    )
    curves = {model: [_curve(line) for line in of_model] for model, of_model in lines.items()}
    return panels(report, curves, style)


def _text(report: Report, lines: _Lines) -> str:
    heads = [conclusion.headline for conclusion in report.conclusions]
    rest = f" The verdict has {fmt.plural(len(heads) - 2, 'more sentence')}." if len(heads) > 2 else ""
    return f"Speedup over batch size for {fmt.plural(len(lines), 'model')}. {' '.join(heads[:2])}{rest}"


def _nothing(report: Report) -> str:
    if report.refused:
        return "There are no speedups, because the measurements are not comparable."
    return "No two devices could be compared." if report.judged else "Nothing was timed."


def _curve(line: BreakEven) -> Curve:
    points = tuple(
        Point(batch_of(row), row.speedup, row.low, row.high, row.verdict in ("faster", "slower"))
        for row in line.rows
        if row.speedup
    )
    return Curve(key_of(line).device, points, line.holes, line.between)


def _mark_break_even(ax: Axes, line: BreakEven, color: str, place: int) -> None:
    found = line.crossing
    at = found.batch_size or 0
    ends = [found.low or line.batches[0], found.high or line.batches[-1]]
    ax.plot(ends, [1, 1], color=color, linewidth=2.2, marker="|", markersize=8, zorder=5)
    ax.plot([at], [1], marker="d", markersize=7, color=color, markeredgecolor=PAPER, zorder=6)
    # A candidate's line comes from below on the left, so there is room above; the next label goes below.
    at_left = _is_at_the_left(ax, at)
    above = place % 2 == 0 and not at_left
    write(
        ax,
        fmt.break_even(at),
        (at, 1),
        (6 if at_left else -6, 5 if above else -5),
        ha="left" if at_left else "right",
        va="bottom" if above else "top",
        fontsize=NORMAL,
        fontweight="bold",
        bbox=LABEL_BOX,
        zorder=6,
    )


def _is_at_the_left(ax: Axes, batch: float) -> bool:
    """Return whether a label to the left would leave the panel."""
    left, right = ax.get_xlim()
    return math.log(batch / left) < 0.25 * math.log(right / left)


def _handles() -> list[Artist]:
    style: dict[str, Any] = {"color": "#777777", "linestyle": ""}
    return [
        Line2D([], [], marker="d", markersize=7, label="break-even, 95% interval", **style),
        Line2D([], [], marker="o", markerfacecolor=PAPER, label="undecided or same (within 2%)", **style),
    ]


SPEEDUP = Drawing(
    "Speedup",
    "Above the heavy line at 1x the device is faster than the baseline; the diamond is the break-even. "
    "Between measured batches the time of each device is a straight line.",
    _lines,
    _plot,
    _text,
    _nothing,
)
