"""The break-even chart in characters for the terminal, and its rows as a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from textwrap import wrap

from rich.text import Text

from breakeven import format as fmt
from breakeven.grouping import grouped
from breakeven.render.chart_labels import (
    baseline_name,
    best_heading,
    break_even_words,
    candidate_name,
    faster,
    legend,
    on_axis,
    ticks,
    wins_from,
)
from breakeven.render.escaping import terminal_text
from breakeven.render.table import Table
from breakeven.render.terminal import WIDTH
from breakeven.report.chart import Chart, Row, Stretch, Track

MAX_ROWS = 30
"""More rows do not fit a screen: the page folds them, and ``summary.md`` has all."""

_MAX_WORKLOAD, _MAX_TRACK, _USUAL_TRACK, _MIN_WIDTH, _GAP = 14, 44, 22, 6, 2
_MARKS = {
    Stretch.BASELINE: ("░", "bright_blue"),
    Stretch.CANDIDATE: ("█", "dark_orange"),
    Stretch.SAME: ("·", ""),
    Stretch.UNDECIDED: ("·", ""),
    Stretch.UNTIMED: ("/", "dim"),
}
_OUTLINED = {
    stretch: (line, _MARKS[stretch][1])
    for stretch, line in ((Stretch.BASELINE, "─"), (Stretch.CANDIDATE, "═"))
}
_INTERVAL, _OPEN_LOW, _OPEN_HIGH, _BREAK_EVEN = "───", "<", ">", "◆"
_RANGE, _IN_ONE_COLUMN = "[·]", "|"  # of a prediction


def table(chart: Chart, title: str = "Break-even") -> Table:
    """Return all rows, with a row per track where a model has several."""
    columns = ("model", "device", f"{wins_from(chart)} batch", best_heading(chart), "note")
    rows = [
        (row.label, track.name, track.wins_from, track.best, "; ".join(track.notes))
        for row in chart.rows
        for track in row.tracks
    ]
    found = Table(title, columns, tuple(rows), words=("model", "device", columns[2], "note"))
    for column, texts in zip(columns, list(zip(*rows, strict=True)), strict=True):
        found = found if any(texts) else found.without(column)
    return found


def lines(chart: Chart) -> Iterator[Text]:
    """Yield the chart's lines, at most as wide as the terminal's output; nothing without rows."""
    if not chart:
        return
    shown = chart.rows[:MAX_ROWS]
    columns = _Columns(chart, shown)
    yield columns.line("", _sides(chart, columns.track), columns.heading, columns.best_heading)
    for workload, rows in grouped((row.workload, row) for row in shown).items():
        for place, row in enumerate(rows):
            yield from _row(chart, columns, row, workload if place == 0 else "")
    yield columns.line("", Text(_axis(chart, columns.track)))
    yield from (Text(line, style="dim") for line in _legend(chart))
    if len(chart.rows) > len(shown):
        yield Text(f"... and {fmt.plural(len(chart.rows) - len(shown), 'more model')}, all in summary.md")


class _Columns:
    """The widths of the columns: the workload, its axes, the track, and the texts at the end."""

    def __init__(self, chart: Chart, rows: Sequence[Row]) -> None:
        tracks = [track for row in rows for track in row.tracks]
        self.heading, self.best_heading = wins_from(chart), best_heading(chart)
        self.workload = min(_MAX_WORKLOAD, _longest(row.workload for row in rows))
        names = [*(row.axes for row in rows), *(track.name for track in tracks)]
        self.ends = _longest((self.heading, *(track.wins_from for track in tracks)))
        self.best = _longest((self.best_heading, *(track.best for track in tracks)))
        rest = WIDTH - self.workload - self.ends - self.best - 4 * _GAP
        self.axes = min(_longest(names), max(rest // 2, rest - _USUAL_TRACK, _MIN_WIDTH))
        self.track = min(_MAX_TRACK, max(rest - self.axes, _MIN_WIDTH))

    @property
    def margin(self) -> str:
        """The blank before the track."""
        return " " * (self.workload + self.axes + 2 * _GAP)

    def line(self, workload: str, track: Text, wins_from: str = "", best: str = "", axes: str = "") -> Text:
        """Return a line of the chart."""
        gap = " " * _GAP
        name = f"{_padded(workload, self.workload)}{gap}"
        texts = f"{gap}{wins_from:<{self.ends}}{gap}{best:>{self.best}}"
        found = Text.assemble((name, "bold"), f"{_padded(axes, self.axes)}{gap}", track, texts)
        found.rstrip()
        found.truncate(WIDTH, overflow="ellipsis")
        return found


def _row(chart: Chart, columns: _Columns, row: Row, workload: str) -> Iterator[Text]:
    named = any(track.name for track in row.tracks)
    if named:
        yield columns.line(workload, Text(), axes=row.axes)
    for track in row.tracks:
        axes, head = (track.name, "") if named else (row.axes, workload)
        yield columns.line(head, _drawn(chart, track, columns.track), track.wins_from, track.best, axes)
        for note in track.notes:
            for part in wrap(terminal_text(note), WIDTH - len(columns.margin)):
                yield Text(f"{columns.margin}{part}", style="dim")


def _drawn(chart: Chart, track: Track, width: int) -> Text:
    """Return a track in characters: its segments, and its break-even with the interval."""

    def column(batch: float) -> int:
        return round(on_axis(chart, batch) * (width - 1))

    marks = _marks(chart)
    cells = [(" ", "")] * width
    # The longest first: a short one must stay visible.
    for segment in sorted(track.segments, key=lambda one: one.low / one.high):
        first, last = column(segment.low), column(segment.high)
        cells[first : last + 1] = [marks[segment.stretch]] * (last + 1 - first)
    if track.mark is not None:
        first = column(track.mark.low or track.segments[0].low)
        last = column(track.mark.high or track.segments[-1].high)
        parts = _RANGE if track.mark.at is None else _INTERVAL
        cells[first : last + 1] = [(parts[1], "")] * (last + 1 - first)
        cells[first] = (parts[0] if track.mark.low else _OPEN_LOW, "")
        cells[last] = (parts[2] if track.mark.high else _OPEN_HIGH, "")
        if track.mark.at is not None:
            cells[column(track.mark.at)] = (_BREAK_EVEN, "bold")
        elif first == last:
            cells[first] = (_IN_ONE_COLUMN, "")
    return Text.assemble(*cells)


def _marks(chart: Chart) -> Mapping[Stretch, tuple[str, str]]:
    """Return the character and the color of each stretch: lines where it is predicted, as an outline is."""
    return _MARKS | _OUTLINED if chart.is_predicted else _MARKS


def _sides(chart: Chart, width: int) -> Text:
    """Return which color is which device, at both ends of the track."""
    left, right = (faster(chart, name) for name in (baseline_name(chart), candidate_name(chart)))
    if len(left) + len(right) + _GAP > width:
        return Text(" " * width)
    styles = (_MARKS[Stretch.BASELINE][1], _MARKS[Stretch.CANDIDATE][1])
    return Text.assemble((f"{left:<{width - len(right)}}", styles[0]), (right, styles[1]))


def _axis(chart: Chart, width: int) -> str:
    def place(batch: float) -> float:
        return on_axis(chart, batch) * (width - 1)

    text = ""
    for batch in ticks(chart, place, len, 1):
        label = fmt.batch_size(batch)
        text = text.ljust(max(0, round(place(batch)) - len(label) // 2)) + label
    return text


def _legend(chart: Chart) -> Iterator[str]:
    marks = _marks(chart)
    parts = [f"{marks[stretch][0]} {text}" for stretch, text in legend(chart).items()]
    if words := break_even_words(chart):
        parts.append(f"{_RANGE if chart.is_predicted else _BREAK_EVEN + _INTERVAL[0]} {words}")
    line = parts[0]
    for part in parts[1:]:
        if len(line) + _GAP + len(part) > WIDTH:
            yield line
            line = part
        else:
            line += f"{'':{_GAP}}{part}"
    yield line


def _padded(text: str, width: int) -> str:
    return f"{fmt.shortened(text, width):<{width}}"


def _longest(texts: Iterable[str]) -> int:
    return max(map(len, texts))
