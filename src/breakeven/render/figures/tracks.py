"""The tracks of the break-even chart, with their axis and legend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from breakeven import format as fmt
from breakeven.grouping import grouped
from breakeven.render.chart_labels import break_even_words, faster, legend, on_axis, ticks
from breakeven.render.figures.pen import EDGE, Pen
from breakeven.render.figures.style import GRID, INK, PAPER, device_styles
from breakeven.report.chart import Chart, Segment, Stretch, Track
from breakeven.report.sides import Side

_GRAY = "#808080"  # visible on a light and on a dark page
_SPARE = ("#009E73", "#CC79A7", "#56B4E9")  # where a candidate is its baseline's device on another machine
_MIN_LENGTH = 4.0  # of a stretch at a single batch size
_GAP = 14.0
_SWATCH = 16.0
_OUTLINE = 1.3
_FOOT, _BRACKET = 2.5, 11.0  # of the bracket at an end of a predicted range
_HATCHED: Mapping[str, Any] = {"facecolor": "none", "edgecolor": _GRAY, "hatch": "/////", "linewidth": 0}


class Tracks:
    """Draws tracks between two places."""

    def __init__(self, pen: Pen, chart: Chart, left: float, right: float) -> None:
        self._pen, self._chart = pen, chart
        self._left, self._right = left + _MIN_LENGTH / 2, right - _MIN_LENGTH / 2
        self._colors = side_colors(chart)

    def draw(self, track: Track, middle: float, height: float) -> None:
        """Draw the segments of a track, its batch sizes, and its break-even with the interval."""
        for segment in track.segments:
            self._pen.bar(self._ends(segment), middle, height, **self._style(track, segment.stretch))
        for batch in track.batches[1:-1]:
            at = self._at(batch)
            self._pen.line([at, at], [middle - height / 2, middle + height / 2], color=PAPER, linewidth=1)
        if track.mark is None:
            return
        low, high = track.segments[0].low, track.segments[-1].high
        ends = self._at(track.mark.low or low), self._at(track.mark.high or high)
        is_open = track.mark.low is None, track.mark.high is None
        place = None if track.mark.at is None else self._at(track.mark.at)
        _draw_mark(self._pen, ends, place, middle, is_open)

    def draw_sides(self, y: float) -> None:
        """Write which color is which device above both ends of the tracks."""
        for side in (self._chart.baselines[0], self._chart.candidates[0]):
            text = faster(self._chart, side.name)
            is_left = side in self._chart.baselines
            x = self._left if is_left else self._right - _SWATCH - self._pen.width_of(text, bold=True)
            _draw_swatch(self._pen, x, y - 3, _look(self._chart, self._colors[side]))
            self._pen.text(x + _SWATCH, y, text, bold=True)

    def draw_grid(self, top: float, bottom: float) -> None:
        """Draw a thin line behind the tracks at each labeled batch size."""
        for batch in self._ticks():
            self._pen.line([self._at(batch)] * 2, [top, bottom], color=GRID, linewidth=0.6, zorder=0)

    def draw_axis(self, y: float) -> float:
        """Write the labels of batch sizes below a place, and return where they end."""
        for batch in self._ticks():
            self._pen.text(self._label_at(batch), y + 11, fmt.batch_size(batch), muted=True, ha="center")
        return y + 15

    def _at(self, batch: float) -> float:
        return self._left + on_axis(self._chart, batch) * (self._right - self._left)

    def _label_at(self, batch: float) -> float:
        half = self._pen.width_of(fmt.batch_size(batch)) / 2
        return min(max(self._at(batch), half + EDGE), self._pen.width - EDGE - half)

    def _ticks(self) -> list[int]:
        return ticks(self._chart, self._label_at, self._pen.width_of, 8)

    def _ends(self, segment: Segment) -> tuple[float, float]:
        low, high = self._at(segment.low), self._at(segment.high)
        short = max(0.0, _MIN_LENGTH - (high - low)) / 2
        return low - short, high + short

    def _style(self, track: Track, stretch: Stretch) -> Mapping[str, Any]:
        if stretch is Stretch.UNTIMED:
            return _HATCHED
        sides = {Stretch.BASELINE: track.baseline, Stretch.CANDIDATE: track.candidate}
        return _look(self._chart, self._colors[sides[stretch]] if stretch in sides else GRID)


def _look(chart: Chart, color: str) -> Mapping[str, Any]:
    """Return the style of a stretch: filled, or outlined where it is predicted."""
    if chart.is_predicted:
        line = _GRAY if color == GRID else color  # a pale line is too thin
        return {"facecolor": "none", "edgecolor": line, "linewidth": _OUTLINE}
    return {"facecolor": color, "edgecolor": "none"}


def side_colors(chart: Chart) -> dict[Side, str]:
    """Return the color of each side, that of its device; a candidate never has its baseline's color."""
    devices = device_styles(side.device for side in (*chart.baselines, *chart.candidates))
    colors = {name: color for name, (color, _) in devices.items()}
    spare = next((color for color in _SPARE if color not in colors.values()), _SPARE[0])
    baselines = {side: colors[side.device] for side in chart.baselines}
    candidates = {
        side: spare if colors[side.device] in baselines.values() else colors[side.device]
        for side in chart.candidates
        if side not in baselines
    }
    return baselines | candidates


def sides_fit(pen: Pen, chart: Chart, width: float) -> bool:
    """Return whether there are two sides, whose names fit above the tracks."""
    sides = (*chart.baselines, *chart.candidates)
    if len(sides) != 2:
        return False
    return sum(pen.width_of(faster(chart, side.name), bold=True) + _SWATCH + _GAP for side in sides) <= width


def draw_legend(pen: Pen, chart: Chart, *, has_sides: bool) -> None:
    """Explain what the colors and marks of tracks mean, except sides that are named above them."""
    words = legend(chart)
    found: list[tuple[str, Mapping[str, Any]]] = []
    if not has_sides:
        names = grouped((color, side.name) for side, color in side_colors(chart).items())
        found += [(faster(chart, ", ".join(alike)), _look(chart, color)) for color, alike in names.items()]
    if Stretch.UNDECIDED in words:
        found.append((words[Stretch.UNDECIDED], _look(chart, GRID)))
    if Stretch.UNTIMED in words:
        found.append((words[Stretch.UNTIMED], _HATCHED))
    if mark := break_even_words(chart):
        found.append((mark, {}))
    x = EDGE
    pen.y += 12 if found else 0
    for text, style in found:
        text = pen.fitted(text, pen.width - 2 * EDGE - _SWATCH)
        width = _SWATCH + pen.width_of(text)
        if x > EDGE and x + width > pen.width - EDGE:
            x, pen.y = EDGE, pen.y + 14
        if style:
            _draw_swatch(pen, x, pen.y - 3, style)
        else:
            middle = None if chart.is_predicted else x + 6
            _draw_mark(pen, (x, x + _SWATCH - 4), middle, pen.y - 3)
        pen.text(x + _SWATCH, pen.y, text)
        x += width + _GAP


def _draw_swatch(pen: Pen, x: float, middle: float, style: Mapping[str, Any]) -> None:
    pen.bar((x, x + _SWATCH - 4), middle, 7, **style)


def _draw_mark(
    pen: Pen,
    ends: tuple[float, float],
    at: float | None,
    middle: float,
    is_open: tuple[bool, bool] = (False, False),
) -> None:
    """Draw a break-even with its interval, or without a place a range in brackets; arrows at open ends."""
    pen.line(ends, [middle, middle], color=INK, linewidth=1.6, solid_capstyle="butt")
    for end, is_end_open, arrow, inward in zip(ends, is_open, "<>", (1, -1), strict=True):
        if at is None and not is_end_open:
            x, half = [end + inward * _FOOT, end, end, end + inward * _FOOT], _BRACKET / 2
            pen.line(
                x, [middle - half, middle - half, middle + half, middle + half], color=INK, linewidth=1.4
            )
        else:
            marker = arrow if is_end_open else "|"
            pen.line([end], [middle], color=INK, linestyle="", marker=marker, markersize=5)
    if at is not None:
        pen.line(
            [at], [middle], linestyle="", marker="D", markersize=5.5,
            markerfacecolor=PAPER, markeredgecolor=INK, markeredgewidth=1.2,
        )  # fmt: skip
