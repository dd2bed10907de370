"""One series of the history as a small figure: runs, levels, changes, and the newest run's expected range."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from breakeven import format as fmt
from breakeven.history.check import ChangePoint, Newest, TrackedSeries
from breakeven.history.query import StoredRun
from breakeven.history.series import Quantity
from breakeven.render.figures.style import GRID, INK, PAPER, SMALL, drawing

WIDTH, HEIGHT = 3.6, 1.6
MAX_MARKERS = 200
"""Longer series are drawn as a thin line: markers would overlap, and be most of a page's bytes."""

_SERIES, _CHANGE, _EXPECTED = "#0072B2", "#D55E00", "#009E73"
_LABEL = 0.2  # of the axis' width: a commit's label and the gap to the next


@dataclass(frozen=True)
class Drawn:
    """The data of one series' figure."""

    tracked: TrackedSeries
    runs: Sequence[StoredRun]
    changes: Sequence[ChangePoint]
    newest: Newest | None


def figure_of(drawn: Drawn) -> Figure:
    """Return the figure; the series has at least one value."""
    with drawing():
        figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        ax = figure.subplots()
        _draw_points(ax, drawn)
        _draw_levels(ax, drawn)
        _label_axes(ax, drawn)
        _draw_expected(ax, drawn)  # after the y range is that of the data, which the band does not widen
        _draw_changes(ax, drawn)
        return figure


def value_words(quantity: str) -> Callable[[float], str]:
    """Return a function that formats a value of a quantity."""
    if quantity == Quantity.TIME:
        return fmt.seconds
    return (lambda value: fmt.scaled(value, "B")) if quantity == Quantity.MEMORY else fmt.break_even


def _draw_points(ax: Axes, drawn: Drawn) -> None:
    values = drawn.tracked.series.values
    thin: Any = {"linewidth": 0.5, "alpha": 0.8}
    dots: Any = {"linestyle": "", "marker": "o", "markersize": 3, "clip_on": False}
    ax.plot(range(len(values)), values, color=_SERIES, **(thin if len(values) > MAX_MARKERS else dots))


def _draw_levels(ax: Axes, drawn: Drawn) -> None:
    findings = drawn.tracked.findings
    for level in findings.levels if findings and drawn.tracked.judged else ():
        mean = math.exp(level.mean)
        ax.plot([level.start - 0.4, level.stop - 0.6], [mean, mean], color=INK, linewidth=1.3, zorder=4)


def _draw_expected(ax: Axes, drawn: Drawn) -> None:
    verdict = drawn.newest.judgment if drawn.newest else None
    if verdict is None or verdict.low is None or verdict.high is None or not verdict.ratio:
        return
    at, value = len(drawn.tracked.series.values) - 1, float(drawn.tracked.series.values[-1])
    expected = value / verdict.ratio
    ends = [expected * verdict.low, expected * verdict.high]
    ax.plot([at, at], ends, color=_EXPECTED, linewidth=3, alpha=0.45, zorder=1, scaley=False)
    if verdict.verdict in ("regressed", "improved"):
        style: Any = {"marker": "o", "markersize": 6, "markerfacecolor": PAPER, "clip_on": False}
        ax.plot(at, value, color=_CHANGE, zorder=5, **style)


def _draw_changes(ax: Axes, drawn: Drawn) -> None:
    top = ax.get_xaxis_transform()
    for item in drawn.changes:
        at, accepted = item.change.at - 0.5, item.accepted is not None
        ax.axvline(at, color=GRID if accepted else _CHANGE, linewidth=1, linestyle="--", zorder=1)
        marker = "D" if accepted else "v" if item.change.ratio < 1 else "^"
        face = PAPER if accepted else _CHANGE
        style: Any = {"marker": marker, "markersize": 5, "markerfacecolor": face, "clip_on": False}
        ax.plot(at, 1, transform=top, color=_CHANGE, zorder=6, **style)
    for item in _labeled(drawn):
        name = item.after.commit[:7] or f"{item.after.moment:%m-%d}"
        place: Any = {"xycoords": top, "textcoords": "offset points", "ha": "center"}
        ax.annotate(name, (item.change.at - 0.5, 1), (0, 6), fontsize=SMALL, **place)


def _labeled(drawn: Drawn) -> list[ChangePoint]:
    """Return the changes whose labels fit above the axes: regressions first, then recent ones."""
    reach = _LABEL * len(drawn.tracked.series.values)
    found: list[ChangePoint] = []
    for item in sorted(drawn.changes, key=lambda item: (not item.is_regression, -item.change.at)):
        if all(abs(item.change.at - other.change.at) > reach for other in found):
            found.append(item)
    return found


def _label_axes(ax: Axes, drawn: Drawn) -> None:
    series = drawn.tracked.series
    last = len(series.values) - 1
    low, high = ax.get_ylim()
    middle = (low + high) / 2
    reach = max(high - middle, 0.03 * abs(middle))  # draw a series that never changed as a line, not as noise
    ax.set_ylim(max(0.0, middle - reach), middle + reach)
    ax.set_xlim(-0.9, last + 0.9)
    name = value_words(series.quantity)
    ax.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: name(max(0.0, value))))
    ax.grid(axis="y")
    places = sorted({0, round(last / 2), last})
    runs = [drawn.runs[int(series.run[place])] for place in places]
    form = "%Y-%m-%d" if runs[0].moment.date() != runs[-1].moment.date() else "%m-%d %H:%M"
    ax.set_xticks(places, [run.moment.strftime(form) for run in runs])
