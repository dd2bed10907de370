"""The break-even chart as a description, which SVG, PNG, terminal and markdown draw.

A row per model, a track per candidate, on which each stretch of batch sizes is that of the faster device.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise, zip_longest
from types import MappingProxyType

from breakeven import format as fmt
from breakeven.case import Line, Model, Outcome, axes_words, distinct_axes
from breakeven.grouping import grouped
from breakeven.report.break_even import BreakEven
from breakeven.report.candidates import position
from breakeven.report.row_texts import best, small_gain, untimed, wins_from
from breakeven.report.sides import Side, SideNames
from breakeven.report.speedup import DeviceVerdict


class Stretch(StrEnum):
    """Which device is faster on a part of a track."""

    BASELINE = "baseline"
    CANDIDATE = "candidate"
    SAME = "same"
    UNDECIDED = "undecided"
    UNTIMED = "untimed"


_STRETCHES = {
    DeviceVerdict.FASTER: Stretch.CANDIDATE,
    DeviceVerdict.SLOWER: Stretch.BASELINE,
    DeviceVerdict.SAME: Stretch.SAME,
    DeviceVerdict.UNDECIDED: Stretch.UNDECIDED,
}
_DECIDED = {Stretch.BASELINE, Stretch.CANDIDATE}


@dataclass(frozen=True)
class Segment:
    """A part of a track, from batch size `low` to `high`."""

    low: float
    high: float
    stretch: Stretch


@dataclass(frozen=True)
class Track:
    """One candidate compared with its baseline, for one model.

    `wins_from`, `best` and `notes` are the texts at the end of the row, such as ``64 [48–80]``,
    ``84.4x at 1,024`` and ``GPU out of memory above 1,024``. The break-even, with its interval, is that of
    `line.crossing`. `name` distinguishes the tracks of a row; it is empty where each row has one.
    """

    line: BreakEven
    segments: tuple[Segment, ...]
    baseline: Side
    candidate: Side
    name: str
    wins_from: str
    best: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """A model, with one track per candidate and machine; `axes` has those that distinguish the model."""

    workload: str
    axes: str
    tracks: tuple[Track, ...]

    @property
    def label(self) -> str:
        """Workload and axes."""
        return f"{self.workload} {self.axes}".strip()


@dataclass(frozen=True)
class Chart:
    """The rows in their order, and the range of batch sizes that were timed or tried.

    `omitted` is the number of further rows, which are not drawn.
    """

    rows: tuple[Row, ...]
    smallest: int
    largest: int
    omitted: int = 0

    def __bool__(self) -> bool:
        """Whether there is anything to draw."""
        return bool(self.rows)

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks of all rows."""
        return tuple(track for row in self.rows for track in row.tracks)

    def limited(self, count: int) -> Chart:
        """Return the chart with at most this many rows, the first ones of every workload."""
        workloads = grouped((row.workload, place) for place, row in enumerate(self.rows))
        in_turn = [place for turn in zip_longest(*workloads.values()) for place in turn if place is not None]
        rows = tuple(self.rows[place] for place in sorted(in_turn[:count]))
        return replace(self, rows=rows, omitted=len(self.rows) - len(rows))

    @property
    def baselines(self) -> tuple[Side, ...]:
        """The distinct baselines, in the order of the tracks."""
        return tuple(dict.fromkeys(track.baseline for track in self.tracks))

    @property
    def candidates(self) -> tuple[Side, ...]:
        """The distinct candidates, in the order of the tracks."""
        return tuple(dict.fromkeys(track.candidate for track in self.tracks))


def chart(
    lines: Sequence[BreakEven],
    outcomes: Iterable[Outcome],
    machines: Mapping[str, str],
    models: Iterable[Model],
    notes: Mapping[Line, str] = MappingProxyType({}),
) -> Chart:
    """Return the chart of break-evens.

    Args:
        lines: the break-evens that the verdict is about.
        outcomes: the cases that ended without a timing.
        machines: the label of each machine class, by class id.
        models: those of the whole report, from which the axes of a row distinguish its model.
        notes: what else to note at the end of a track, by its candidate.
    """
    ended = {(one.key.line, one.key.batch_size): str(one.outcome) for one in outcomes if one.key is not None}
    names = SideNames(lines, machines)
    axes = _axes_texts([*models, *(line.model for line in lines)])
    rows = [
        Row(
            fmt.one_line(model.workload),
            axes[model],
            tuple(_track(line, names, ended, notes) for line in of_model),
        )
        for model, of_model in grouped((line.model, line) for line in lines).items()
    ]
    tried = [batch for line in lines for batch in (*line.batches, *line.holes)]
    return Chart(tuple(_ordered(rows)), min(tried, default=1), max(tried, default=1))


def _axes_texts(models: Iterable[Model]) -> dict[Model, str]:
    """Return the axes that distinguish each model; words, such as ``bfloat16``, without their keys.

    All keys are kept where two models would read the same.
    """
    axes = distinct_axes(models)
    short = {model: " ".join(map(_axis_text, sorted(found.items()))) for model, found in axes.items()}
    counts = Counter((model.workload, text) for model, text in short.items())
    return {
        model: fmt.one_line(text if counts[model.workload, text] == 1 else axes[model].text)
        for model, text in short.items()
    }


def _axis_text(axis: tuple[str, object]) -> str:
    name, value = axis
    text = axes_words({name: value})
    return value if isinstance(value, str) and text == f"{name}={value}" else text


def _track(
    line: BreakEven,
    names: SideNames,
    ended: Mapping[tuple[Line, int], str],
    notes: Mapping[Line, str],
) -> Track:
    return Track(
        line=line,
        segments=tuple(_segments(line)),
        baseline=names.side(line.baseline),
        candidate=names.side(line.candidate),
        name=names.track(line.candidate),
        wins_from=wins_from(line),
        best=best(line),
        notes=tuple(
            filter(None, (*untimed(line, names, ended), small_gain(line), notes.get(line.candidate, "")))
        ),
    )


def _segments(line: BreakEven) -> Iterator[Segment]:
    """Yield the stretches, with neighbors of one kind joined.

    A stretch ends where the devices cross, else midway between two measured batch sizes (on a logarithmic
    axis); one where nothing was timed begins at the last timed batch size.
    """
    verdicts = {row.batch_size: _STRETCHES[row.verdict] for row in line.rows}
    points = [(batch, verdicts.get(batch, Stretch.UNTIMED)) for batch in sorted({*line.batches, *line.holes})]
    if not points:
        return
    low: float = points[0][0]
    for (batch, stretch), (next_batch, next_stretch) in pairwise(points):
        if stretch is next_stretch:
            continue
        high = _edge(line, batch, stretch, next_batch, next_stretch)
        yield Segment(low, high, stretch)
        low = high
    yield Segment(low, points[-1][0], points[-1][1])


def _edge(line: BreakEven, batch: int, stretch: Stretch, next_batch: int, next_stretch: Stretch) -> float:
    if Stretch.UNTIMED in (stretch, next_stretch):
        return next_batch if stretch is Stretch.UNTIMED else batch
    if {stretch, next_stretch} == _DECIDED:
        crossing = line.crossing.batch_size
        if crossing is not None and batch <= crossing <= next_batch:
            return crossing
        speedups = {row.batch_size: row.speedup for row in line.rows}
        here, there = speedups[batch], speedups[next_batch]
        if here and there:
            part = math.log(here) / math.log(here / there)
            return batch * math.pow(next_batch / batch, part)
    return math.sqrt(batch * next_batch)


def _ordered(rows: Iterable[Row]) -> list[Row]:
    """Return the rows by workload and break-even, the workload with the earliest break-even first."""
    by_break_even = sorted(rows, key=lambda row: min(position(track.line) for track in row.tracks))
    groups = grouped((row.workload, row) for row in by_break_even)
    return [row for group in groups.values() for row in group]
