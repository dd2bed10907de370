"""The rows of the break-even chart, colored by the faster device: for a page or README, and for a phone.

A measured break-even is a diamond; a predicted one is a range in brackets, and its track is outlined. Texts
are placed by their measured widths, so that none overlap.
"""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure

from breakeven.grouping import grouped
from breakeven.render.chart_labels import best_heading, wins_from
from breakeven.render.figures.drawing import missing_note
from breakeven.render.figures.pen import EDGE, Pen
from breakeven.render.figures.tracks import Tracks, draw_legend, sides_fit
from breakeven.report.chart import Chart, Row, Track

_WIDE, _NARROW = 680.0, 270.0  # points; on a phone of 360 px a point is 1.3 px
_GAP = 14.0
_MAX_WORKLOAD, _MAX_AXES, _MAX_NAME, _MIN_TRACK = 110.0, 170.0, 110.0, 120.0
_MAX_SHORT = 12
"""A chart of more tracks has its axis above them too."""


@dataclass(frozen=True)
class Heading:
    """What is above the rows of a chart, its watermark if any, and the file with rows that are not drawn."""

    title: str
    about: str
    watermark: str
    file: str


def draw_wide(heading: Heading, chart: Chart) -> Figure:
    """Return the rows as lines: name, track, break-even, best speedup."""
    pen = Pen(_WIDE)
    named = any(track.name for track in chart.tracks)
    workload = min(_MAX_WORKLOAD, pen.longest([row.workload for row in chart.rows], bold=True))
    axes = min(_MAX_AXES, pen.longest([row.axes for row in chart.rows]))
    name = min(_MAX_NAME, pen.longest([track.name for track in chart.tracks]))
    from_batch, best_speedup = f"{wins_from(chart)} batch", best_heading(chart)
    ends = pen.longest([from_batch, *(track.wins_from for track in chart.tracks)])
    best = pen.longest([best_speedup, *(track.best for track in chart.tracks)])
    gaps = _GAP * (4 if axes else 3) + (_GAP if named else 0)
    axes = min(axes, _WIDE - 2 * EDGE - workload - name - _MIN_TRACK - ends - best - gaps)
    axes_at = EDGE + workload + _GAP
    name_at = axes_at + axes + (_GAP if axes else 0)
    left = name_at + (name + _GAP if named else 0)
    right = max(left + _MIN_TRACK, _WIDE - EDGE - best - ends - 2 * _GAP)
    tracks = Tracks(pen, chart, left, right)
    ends_at = right + _GAP
    _draw_heading(pen, heading)
    fits = sides_fit(pen, chart, right - left)
    draw_legend(pen, chart, has_sides=fits)
    y = pen.y + 18
    if fits:
        tracks.draw_sides(y)
    pen.text(ends_at, y, from_batch, muted=True)
    pen.text(_WIDE - EDGE, y, best_speedup, muted=True, ha="right")
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
    for line in missing_note(chart.omitted, file=heading.file):
        pen.y += 14
        pen.text(EDGE, pen.y, line, muted=True)
    return pen.figure(heading.watermark)


def draw_narrow(heading: Heading, chart: Chart) -> Figure:
    """Return the rows as blocks: the name, the track below it, the texts below that."""
    pen = Pen(_NARROW)
    left, right = EDGE, _NARROW - EDGE
    tracks = Tracks(pen, chart, left, right)
    _draw_heading(pen, heading)
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
    return pen.figure(heading.watermark)


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


def _draw_heading(pen: Pen, heading: Heading) -> None:
    for line in pen.wrapped(heading.title, bold=True):
        pen.y += 13
        pen.text(EDGE, pen.y, line, bold=True)
    for line in pen.wrapped(heading.about):
        pen.y += 12
        pen.text(EDGE, pen.y, line, muted=True)
