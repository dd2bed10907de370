"""One series as a small picture: its runs, its levels, its changes, and what was expected of the newest run.

Owns the drawing and its scales. Computes nothing: every number drawn stands in the record.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from breakeven import format as fmt
from breakeven.history.check import ChangePoint, Newest, TrackedSeries
from breakeven.history.query import StoredRun
from breakeven.history.series import Quantity
from breakeven.render.figures.style import GRID, INK, PAPER, drawing

WIDTH, HEIGHT = 4.8, 1.8
MAX_MARKERS = 200
"""Longer series are a thin line: markers would hide each other, and are most of a page's bytes."""

_SERIES, _CHANGE, _EXPECTED = "#0072B2", "#D55E00", "#009E73"
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.82, 0.3, 0.34, 0.32  # inches around the axes
_TICKS = 3
_LABEL = 0.62  # inches of a commit's name, with the gap to the next


@dataclass(frozen=True)
class Drawn:
    """What is drawn of one series."""

    watched: TrackedSeries
    runs: Sequence[StoredRun]
    changes: Sequence[ChangePoint]
    newest: Newest | None


def figure_of(drawn: Drawn) -> Figure:
    """Return the picture; the series has at least one value."""
    with drawing():
        figure = Figure(figsize=(WIDTH, HEIGHT))
        ax = figure.add_axes(
            (
                _LEFT / WIDTH,
                _BOTTOM / HEIGHT,
                (WIDTH - _LEFT - _RIGHT) / WIDTH,
                (HEIGHT - _TOP - _BOTTOM) / HEIGHT,
            )
        )
        _points(ax, drawn)
        _levels(ax, drawn)
        _expected(ax, drawn)
        _scales(ax, drawn)
        _changes(ax, drawn)
        return figure


def value_words(quantity: str) -> Callable[[float], str]:
    """Return what names a value of a quantity."""
    if quantity == Quantity.TIME:
        return fmt.seconds
    return (lambda value: fmt.scaled(value, "B")) if quantity == Quantity.MEMORY else fmt.batch


def _points(ax: Axes, drawn: Drawn) -> None:
    values = drawn.watched.series.values
    x = range(len(values))
    if len(values) > MAX_MARKERS:
        ax.plot(x, values, color=_SERIES, linewidth=0.5, alpha=0.8, zorder=2)
    else:
        ax.plot(x, values, color=_SERIES, linestyle="", marker="o", markersize=2.6, zorder=3, clip_on=False)


def _levels(ax: Axes, drawn: Drawn) -> None:
    findings = drawn.watched.findings
    for level in findings.levels if findings and drawn.watched.judged else ():
        mean = math.exp(level.mean)
        ax.plot([level.start - 0.4, level.stop - 0.6], [mean, mean], color=INK, linewidth=1.3, zorder=4)


def _expected(ax: Axes, drawn: Drawn) -> None:
    verdict = drawn.newest.judgment if drawn.newest else None
    if verdict is None or verdict.low is None or verdict.high is None or not verdict.ratio:
        return
    at, value = len(drawn.watched.series.values) - 1, float(drawn.watched.series.values[-1])
    expected = value / verdict.ratio
    ends = [expected * verdict.low, expected * verdict.high]
    ax.plot([at, at], ends, color=_EXPECTED, linewidth=3, alpha=0.45, zorder=1, clip_on=False)
    if verdict.verdict in ("regressed", "improved"):
        ax.plot([at], [value], color=_CHANGE, marker="o", markersize=6, markerfacecolor=PAPER, zorder=5)


def _changes(ax: Axes, drawn: Drawn) -> None:
    for item in drawn.changes:
        at = item.change.at - 0.5
        accepted = item.accepted is not None
        ax.axvline(at, color=_CHANGE if not accepted else GRID, linewidth=1, linestyle="--", zorder=1)
        face = PAPER if accepted else _CHANGE
        marker = "D" if accepted else "v" if item.change.ratio < 1 else "^"
        ax.plot(
            [at], [1.0], transform=ax.get_xaxis_transform(), color=_CHANGE, marker=marker, markersize=5,
            markerfacecolor=face, clip_on=False, zorder=6,
        )  # fmt: skip
    for item in _labeled(drawn):
        ax.annotate(
            item.after.commit[:7] or f"{item.after.moment:%m-%d}",
            (item.change.at - 0.5, 1.0),
            xycoords=ax.get_xaxis_transform(),
            textcoords="offset points",
            xytext=(0, 6),
            ha="center",
            color=INK,
            fontsize=8,
        )


def _labeled(drawn: Drawn) -> list[ChangePoint]:
    """Return the changes whose commits find room above the axes: objections first, then late ones."""
    reach = _LABEL / (WIDTH - _LEFT - _RIGHT) * len(drawn.watched.series.values)
    found: list[ChangePoint] = []
    for item in sorted(drawn.changes, key=lambda item: (not item.is_regression, -item.change.at)):
        if all(abs(item.change.at - other.change.at) > reach for other in found):
            found.append(item)
    return found


def _scales(ax: Axes, drawn: Drawn) -> None:
    n = len(drawn.watched.series.values)
    low, high = ax.get_ylim()
    middle = (low + high) / 2
    reach = max(high - middle, 0.03 * abs(middle))  # a series that never moved is a line, not noise
    ax.set_ylim(max(0.0, middle - reach), middle + reach)
    ax.set_xlim(-0.9, n - 0.1)
    name = value_words(drawn.watched.series.quantity)
    ends = ax.get_ylim()
    ticks = [
        tick for tick in MaxNLocator(3, steps=[1, 2, 5, 10]).tick_values(*ends) if ends[0] <= tick <= ends[1]
    ]
    ax.set_yticks(ticks, [name(max(0.0, tick)) for tick in ticks])
    ax.grid(axis="y", color=GRID, linewidth=0.6)
    places = sorted({round(i * (n - 1) / max(1, _TICKS - 1)) for i in range(min(n, _TICKS))})
    runs = [drawn.runs[int(drawn.watched.series.run[i])] for i in places]
    form = "%Y-%m-%d" if runs[0].moment.date() != runs[-1].moment.date() else "%m-%d %H:%M"
    ax.set_xticks(places, [run.moment.strftime(form) for run in runs])
    for label, place in zip(ax.get_xticklabels(), places, strict=True):
        label.set_horizontalalignment(
            "left" if place == 0 and n > 1 else "right" if place == n - 1 else "center"
        )
