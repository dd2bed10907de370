"""Ratios with their intervals as lines of characters, on one log scale with a line at 1.

A bound that is unknown, or that would stretch the scale until the dots are indistinguishable, is an arrow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from breakeven.format import digits, ratio, shortened

CHANGED, UNDECIDED, UNCHANGED = "●○·"
"""The dots of a ratio that differs from 1, of one that cannot be judged, and of one that is about 1."""

LEGEND = {CHANGED: "changed", UNDECIDED: "undecided", UNCHANGED: "unchanged"}

WIDTH = 100
"""The width of a plot, in columns."""

MAX_LABEL = 56
"""The middle of longer labels is omitted."""

MIN_PLOT = 24
"""The minimum number of columns of the scale; labels are shortened for it."""

_LINE, _INTERVAL, _CROSSED = "│─┼"
_MIN_LABEL = 12
_TINY = 1e-6  # of a logarithm
_LIMIT = math.log(1000)  # farther dots are arrows, too
_MIN_REACH = math.log(1.02)  # of the scale, on each side of 1
_MIN_SIDE = 10  # columns on each side of 1, for the labels


@dataclass(frozen=True)
class Dot:
    """One row: its label, the ratio with its bounds, and the text at its end.

    Without a `ratio` the row has no dot, and without both bounds no interval; an interval is open at the end
    of the one bound that is None.
    """

    label: str
    ratio: float | None
    low: float | None
    high: float | None
    text: str
    mark: str = CHANGED

    @property
    def interval(self) -> tuple[float, float] | None:
        """The logarithms of the bounds, infinite where it is open; None without an interval."""
        if self.ratio is None or (self.low is None and self.high is None):
            return None
        return (
            -math.inf if self.low is None else math.log(self.low),
            math.inf if self.high is None else math.log(self.high),
        )


def plot_lines(title: str, dots: Sequence[Dot], headings: Mapping[int, str]) -> list[str]:
    """Return the lines of a plot 100 columns wide: title, scale, and the dots; nothing without a ratio.

    Args:
        title: what the ratios are.
        dots: in their order.
        headings: lines before the dots of these indices.
    """
    known = {dot.mark for dot in dots if dot.ratio is not None}
    if not known:
        return []
    legend = ", ".join(f"{mark} {word}" for mark, word in LEGEND.items() if mark in known)
    axis, *rows = dot_plot(dots, WIDTH)
    lines = [title if known == {CHANGED} else f"{title} ({legend})", axis]
    for i, row in enumerate(rows):
        if i in headings:
            lines.append(shortened(headings[i], WIDTH))
        lines.append(row)
    return lines


def dot_plot(dots: Sequence[Dot], width: int) -> list[str]:
    """Return the line of the scale and a row for each dot, at most `width` columns wide."""
    text_width = max(cell_len(dot.text) for dot in dots)
    max_label = max(_MIN_LABEL, min(MAX_LABEL, width - MIN_PLOT - text_width - 2))
    labels = [shortened(dot.label, max_label) for dot in dots]
    label_width = min(max_label, max(map(cell_len, labels)))
    scale = scale_of(dots, max(MIN_PLOT, width - label_width - text_width - 2))
    cells = [scale.axis(), *map(scale.row, dots)]
    lines = zip(["", *labels], cells, ["", *(dot.text for dot in dots)], strict=True)
    return [
        set_cell_size(f"{set_cell_size(label, label_width)} {cells} {text}", width).rstrip()
        for label, cells, text in lines
    ]


@dataclass(frozen=True)
class Scale:
    """A log scale from the ratio `low` to the ratio `high`, in `columns`."""

    low: float
    high: float
    columns: int

    def column(self, log: float) -> int:
        """Return the column of a log ratio, that of the nearer end if it is beyond the scale."""
        low, high = math.log(self.low), math.log(self.high)
        return round((min(max(log, low), high) - low) / (high - low) * (self.columns - 1))

    def axis(self) -> str:
        """Return the ends of the scale, and 1 between them."""
        left, right, one = f"{digits(self.low)}x", ratio(self.high), self.column(0.0)
        cells = f"{left}{right:>{self.columns - len(left)}}"
        return f"{cells[:one]}1x{cells[one + 2 :]}"

    def row(self, dot: Dot) -> str:
        """Return a dot with its interval and the line at 1."""
        cells = [" "] * self.columns
        cells[self.column(0.0)] = _LINE
        if dot.ratio is None:
            return "".join(cells)
        low, high = dot.interval or (0.0, 0.0)
        start, end = self.column(low), self.column(high)
        if end - start > 1:  # a narrower one is no wider than the dot
            for at in range(start, end + 1):
                cells[at] = _INTERVAL if cells[at] == " " else _CROSSED
            cells[start], cells[end] = self._end(low, "├"), self._end(high, "┤")
        log = math.log(dot.ratio)
        cells[self.column(log)] = self._end(log, dot.mark)
        return "".join(cells)

    def _end(self, log: float, mark: str) -> str:
        """Return the mark, or an arrow if it is beyond the scale."""
        below, above = log < math.log(self.low) - _TINY, log > math.log(self.high) + _TINY
        return "◄" if below else "►" if above else mark


def scale_of(dots: Sequence[Dot], columns: int) -> Scale:
    """Return a scale with all dots; intervals widen it to at most three times the range of the dots and 1."""
    logs = [0.0, *(math.log(dot.ratio) for dot in dots if dot.ratio is not None)]
    low, high = max(min(logs), -_LIMIT), min(max(logs), _LIMIT)
    reach = max(high - low, _MIN_REACH)
    intervals = [dot.interval for dot in dots if dot.interval is not None]
    lower, upper = max(low - reach, -_LIMIT), min(high + reach, _LIMIT)
    low = min(low, max(lower, min((bounds[0] for bounds in intervals), default=low)))
    high = max(high, min(upper, max((bounds[1] for bounds in intervals), default=high)))
    share = _MIN_SIDE / (columns - 1 - _MIN_SIDE)
    low, high = min(low, -_MIN_REACH, -share * high), max(high, _MIN_REACH, -share * low)
    return Scale(_rounded(math.exp(low), math.floor), _rounded(math.exp(high), math.ceil), columns)


def _rounded(value: float, rounding: Callable[[float], int]) -> float:
    """Return the value with three digits, rounded away from 1, so that it is the scale's exact end."""
    places = 2 - math.floor(math.log10(value) + 1e-9)
    is_exact = math.isclose(value * 10.0**places, round(value * 10.0**places))
    scaled = (round if is_exact else rounding)(value * 10.0**places)
    return round(scaled / 10.0**places, max(places, 0))
