"""The break-even chart: a row per model, colored by the faster device, with the break-even as a diamond.

`wide` is for a page or a README, `narrow` for a phone. Texts are placed by their measured widths, so that
none overlap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from matplotlib.figure import Figure

from breakeven import format as fmt
from breakeven.grouping import grouped
from breakeven.phases import HEADLINE
from breakeven.render.break_even_text import MAX_ROWS
from breakeven.render.chart_labels import baseline_name, candidate_name, wins_from
from breakeven.render.figures.drawing import Drawing, and_list, machine_text, missing_note
from breakeven.render.figures.pen import EDGE, Pen
from breakeven.render.figures.tracks import Tracks, draw_legend, sides_fit
from breakeven.report.chart import Chart, Row, Track
from breakeven.report.report import Report
from breakeven.report.text import phase_name

_WIDE, _NARROW = 680.0, 270.0  # points; on a phone of 360 px a point is 1.3 px
_GAP = 14.0
_MAX_WORKLOAD, _MAX_AXES, _MAX_NAME, _MIN_TRACK = 110.0, 170.0, 110.0, 120.0
_BEST = "best speedup"
_MAX_SHORT = 12
"""A chart of more tracks has its axis above them too."""

MAX_DRAWN = 120
"""More rows are in the tables only: an image of a thousand takes as long as all else, and nobody reads it."""


class ChartPart(NamedTuple):
    """Rows that a page shows together; the title of the first part is empty."""

    name: str
    title: str
    chart: Chart


def parts(chart: Chart, name: str) -> list[ChartPart]:
    """Return the rows that fit a screen, then the others that are drawn by workload, for a page to fold.

    Each part has a name that begins with that of the chart.
    """
    drawn = replace(chart.limited(MAX_DRAWN), omitted=0)
    first = replace(drawn, rows=drawn.rows[:MAX_ROWS])
    later = grouped((row.workload, row) for row in drawn.rows[MAX_ROWS:])
    folded = [
        ChartPart(
            f"{name}_{place}",
            f"{workload}: {fmt.plural(len(rows), 'more model')}",
            replace(chart, rows=tuple(rows)),
        )
        for place, (workload, rows) in enumerate(later.items(), start=1)
    ]
    return [ChartPart(name, "", first), *folded] if chart else []


def folded_title(chart: Chart) -> str:
    """Return the title of all parts that a page folds."""
    more, drawn = len(chart.rows) - MAX_ROWS, min(MAX_DRAWN, len(chart.rows)) - MAX_ROWS
    return fmt.plural(more, "more model") + (f", {drawn} of them drawn" if drawn < more else "")


def wide(report: Report, chart: Chart) -> Figure:
    """Return the rows as lines: name, track, break-even, best speedup."""
    pen = Pen(_WIDE)
    named = any(track.name for track in chart.tracks)
    workload = min(_MAX_WORKLOAD, pen.longest([row.workload for row in chart.rows], bold=True))
    axes = min(_MAX_AXES, pen.longest([row.axes for row in chart.rows]))
    name = min(_MAX_NAME, pen.longest([track.name for track in chart.tracks]))
    heading = f"{wins_from(chart)} batch"
    ends = pen.longest([heading, *(track.wins_from for track in chart.tracks)])
    best = pen.longest([_BEST, *(track.best for track in chart.tracks)])
    gaps = _GAP * (4 if axes else 3) + (_GAP if named else 0)
    axes = min(axes, _WIDE - 2 * EDGE - workload - name - _MIN_TRACK - ends - best - gaps)
    axes_at = EDGE + workload + _GAP
    name_at = axes_at + axes + (_GAP if axes else 0)
    left = name_at + (name + _GAP if named else 0)
    right = max(left + _MIN_TRACK, _WIDE - EDGE - best - ends - 2 * _GAP)
    tracks = Tracks(pen, chart, left, right)
    ends_at = right + _GAP
    _draw_title(pen, report, chart)
    fits = sides_fit(pen, chart, right - left)
    draw_legend(pen, chart, has_sides=fits)
    y = pen.y + 18
    if fits:
        tracks.draw_sides(y)
    pen.text(ends_at, y, heading, muted=True)
    pen.text(_WIDE - EDGE, y, _BEST, muted=True, ha="right")
    y = tracks.draw_axis(y + 2) if len(chart.tracks) > _MAX_SHORT else y + 11
    top = y
    for group, rows in grouped((row.workload, row) for row in chart.rows).items():
        pen.text(EDGE, y + 12, pen.fitted(group, workload, bold=True), bold=True)
        for row in rows:
            pen.text(axes_at, y + 12, pen.fitted(row.axes, axes))
            for track in row.tracks:
                pen.text(name_at, y + 12, pen.fitted(track.name, name), muted=True)
                tracks.draw(track, y + 9, 9 if len(row.tracks) == 1 else 6)
                pen.text(ends_at, y + 12, track.wins_from)
                pen.text(_WIDE - EDGE, y + 12, track.best, ha="right")
                y += 18 if len(row.tracks) == 1 else 14
                y += 0 if len(row.tracks) == 1 else 4 * bool(track.notes)
                for line in _note_lines(pen, track, _WIDE - EDGE - ends_at):
                    pen.text(ends_at, y + 6, line, muted=True)
                    y += 11
            y += 4 if len(row.tracks) > 1 else 0
        y += 6
    tracks.draw_grid(top, y)
    pen.y = tracks.draw_axis(y)
    for line in missing_note(chart.omitted):
        pen.y += 14
        pen.text(EDGE, pen.y, line, muted=True)
    return pen.figure(report)


def narrow(report: Report, chart: Chart) -> Figure:
    """Return the rows as blocks: the name, the track below it, the texts below that."""
    pen = Pen(_NARROW)
    left, right = EDGE, _NARROW - EDGE
    tracks = Tracks(pen, chart, left, right)
    _draw_title(pen, report, chart)
    fits = sides_fit(pen, chart, right - left)
    draw_legend(pen, chart, has_sides=fits)
    y = pen.y + 3
    if fits:
        tracks.draw_sides(y + 14)
        y += 16
    y = tracks.draw_axis(y)
    for row in chart.rows:
        y = _draw_block(pen, tracks, row, y)
    pen.y = tracks.draw_axis(y)
    return pen.figure(report)


def _draw_block(pen: Pen, tracks: Tracks, row: Row, y: float) -> float:
    """Draw a model and return where the next one begins."""
    workload = pen.fitted(row.workload, 120, bold=True)
    pen.text(EDGE, y + 12, workload, bold=True)
    axes_at = EDGE + pen.width_of(workload, bold=True) + 6
    pen.text(axes_at, y + 12, pen.fitted(row.axes, _NARROW - EDGE - axes_at))
    y += 14
    for track in row.tracks:
        if track.name:
            pen.text(EDGE, y + 11, pen.fitted(track.name, _NARROW - 2 * EDGE), muted=True)
            y += 12
        tracks.draw(track, y + 7, 9)
        pen.text(EDGE, y + 23, track.wins_from)
        pen.text(_NARROW - EDGE, y + 23, track.best, ha="right")
        y += 26
        for line in _note_lines(pen, track, _NARROW - 2 * EDGE):
            pen.text(EDGE, y + 9, line, muted=True)
            y += 12
    return y + 5


def _note_lines(pen: Pen, track: Track, room: float) -> list[str]:
    return [line for note in track.notes for line in pen.wrapped(note, room)]


def _draw_title(pen: Pen, report: Report, chart: Chart) -> None:
    baseline, candidate = (_with_article(name) for name in (baseline_name(chart), candidate_name(chart)))
    if len(report.machines) > 1 and all(_is_at_home(track) for track in chart.tracks):
        baseline = f"its own {baseline_name(chart)}"
    for line in pen.wrapped(f"From which batch size {candidate} is faster than {baseline}", bold=True):
        pen.y += 13
        pen.text(EDGE, pen.y, line, bold=True)
    phase = "whole training step" if report.headline == HEADLINE else phase_name(report.headline)
    about = f"{phase}, 95% interval {report.interval_scope(report.headline)}; {_machines(report, chart)}"
    for line in pen.wrapped(about):
        pen.y += 12
        pen.text(EDGE, pen.y, line, muted=True)


def _is_at_home(track: Track) -> bool:
    """Return whether both sides of a track are on one machine."""
    return track.line.baseline.machine == track.line.candidate.machine


def _machines(report: Report, chart: Chart) -> str:
    """Return the machine, or the names of those on the chart, and of those that are not."""
    if len(report.machines) == 1:
        return machine_text(report)
    lines = [line for track in chart.tracks for line in (track.line.baseline, track.line.candidate)]
    shown = {line.machine for line in lines}
    names, others = (
        [fmt.shortened(one.label, 30) for one in report.machines if (one.class_id in shown) is wanted]
        for wanted in (True, False)
    )
    alone = f"; not compared, since it has one device: {fmt.joined(others)}" if others else ""
    return f"{fmt.joined(names, 4)}{alone}"


def _with_article(name: str) -> str:
    if name == "candidate":
        return "each device"
    return name if name.islower() and name != "baseline" else f"the {name}"


def _text(_: Report, chart: Chart) -> str:
    ends = [f"{row.label}{_of(track)}: {track.wins_from}" for row in chart.rows for track in row.tracks]
    count = fmt.plural(len(chart.rows), "model")
    return (
        f"Which device is faster over batch sizes {fmt.batch_range((chart.smallest, chart.largest))}, "
        f"for {count}. "
        f"{fmt.capital(wins_from(chart))} batch: {and_list(ends)}."
    )


def _of(track: Track) -> str:
    return f" ({track.name})" if track.name else ""


def _has_break_even(_: Report, chart: Chart) -> bool:
    return any(track.line.crossing.batch_size is not None for track in chart.tracks)


def _drawing(title: str, select: Callable[[Report], Chart]) -> Drawing[Chart]:
    return Drawing(
        title,
        "The color is that of the faster device, with gaps at measured batch sizes.",
        select,
        lambda report, chart: wide(report, chart.limited(MAX_DRAWN)),
        _text,
        diamond="Diamonds are break-evens.",
        has_diamond=_has_break_even,
    )


BREAK_EVEN = _drawing("Break-even", lambda report: report.chart)

AGAINST_ONE = _drawing("Break-even of several devices against one", lambda report: report.scaling.chart)
