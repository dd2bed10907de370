"""The break-even chart as a description, which SVG, PNG, terminal and markdown draw.

A row per model, a track per candidate, on which each stretch of batch sizes is that of the faster device.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
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


STRETCHES = {
    DeviceVerdict.FASTER: Stretch.CANDIDATE,
    DeviceVerdict.SLOWER: Stretch.BASELINE,
    DeviceVerdict.SAME: Stretch.SAME,
    DeviceVerdict.UNDECIDED: Stretch.UNDECIDED,
}
"""The stretch of each verdict."""

_DECIDED = {Stretch.BASELINE, Stretch.CANDIDATE}


@dataclass(frozen=True)
class Segment:
    """A part of a track, from batch size `low` to `high`."""

    low: float
    high: float
    stretch: Stretch


@dataclass(frozen=True)
class BreakEvenMark:
    """A break-even with its interval, whose ends are None beyond the track; without `at`, only a range."""

    at: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Track:
    """One candidate compared with its baseline, for one model.

    `line` is the candidate's, `against` the baseline's. `batches` are the batch sizes that are known on both,
    `holes` those at which only something is. `wins_from`, `best` and `notes` are the texts at the end of the
    row, such as ``64 [48–80]``, ``84.4x at 1,024`` and ``GPU out of memory above 1,024``. `name`
    distinguishes the tracks of a row; it is empty where each row has one.
    """

    line: Line
    against: Line
    batches: tuple[int, ...]
    holes: tuple[int, ...]
    segments: tuple[Segment, ...]
    mark: BreakEvenMark | None
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

    `omitted` is the number of further rows, which are not drawn. `is_predicted` is whether the candidates
    were not measured but predicted, which every drawing shows.
    """

    rows: tuple[Row, ...]
    smallest: int
    largest: int
    omitted: int = 0
    is_predicted: bool = False

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
    found = [(position(line), _track(line, names, ended, notes)) for line in lines]
    return chart_of(found, [*models, *(line.model for line in lines)])


def chart_of(
    tracks: Sequence[tuple[float, Track]], models: Iterable[Model], *, is_predicted: bool = False
) -> Chart:
    """Return the chart of tracks, each after its place among the others of its workload.

    The workload with the first track comes first. `models` are as in `chart`.
    """
    axes = axes_texts(models)
    of_models = grouped((track.line.model, (place, track)) for place, track in tracks)
    rows = [
        (
            min(place for place, _ in found),
            Row(fmt.one_line(model.workload), axes[model], tuple(track for _, track in found)),
        )
        for model, found in of_models.items()
    ]
    rows.sort(key=lambda row: row[0])
    by_workload = grouped((row.workload, row) for _, row in rows)
    tried = [batch for _, track in tracks for batch in (*track.batches, *track.holes)]
    return Chart(
        tuple(row for group in by_workload.values() for row in group),
        min(tried, default=1),
        max(tried, default=1),
        is_predicted=is_predicted,
    )


def axes_texts(models: Iterable[Model]) -> dict[Model, str]:
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
    found = line.crossing
    is_known = found.batch_size is not None
    return Track(
        line=line.candidate,
        against=line.baseline,
        batches=line.batches,
        holes=line.holes,
        segments=tuple(_segments(line)),
        mark=BreakEvenMark(found.batch_size, found.low, found.high) if is_known else None,
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
    verdicts = {row.batch_size: STRETCHES[row.verdict] for row in line.rows}
    points = [(batch, verdicts.get(batch, Stretch.UNTIMED)) for batch in sorted({*line.batches, *line.holes})]
    return segments(points, partial(_edge, line))


Edge = Callable[[int, Stretch, int, Stretch], tuple[float, float]]
"""Where the stretch of a batch size ends, and that of the next one begins; it is undecided between these."""


def segments(points: Sequence[tuple[int, Stretch]], edge: Edge) -> Iterator[Segment]:
    """Yield the stretches of batch sizes, which ascend, with neighbors of one kind joined.

    One where nothing was timed begins at the last timed batch size, and ends at the next.
    """
    if not points:
        return
    low: float = points[0][0]
    for (batch, stretch), (next_batch, next_stretch) in pairwise(points):
        if stretch is next_stretch:
            continue
        if Stretch.UNTIMED in (stretch, next_stretch):
            high = next_low = float(next_batch if stretch is Stretch.UNTIMED else batch)
        else:
            high, next_low = edge(batch, stretch, next_batch, next_stretch)
        yield Segment(low, high, stretch)
        if high < next_low:
            yield Segment(high, next_low, Stretch.UNDECIDED)
        low = next_low
    yield Segment(low, points[-1][0], points[-1][1])


def midway(batch: float, next_batch: float) -> float:
    """Return the middle of two batch sizes, on a logarithmic axis."""
    return math.sqrt(batch * next_batch)


def _edge(
    line: BreakEven, batch: int, stretch: Stretch, next_batch: int, next_stretch: Stretch
) -> tuple[float, float]:
    """Return where the devices cross, or the middle next to an undecided batch size, twice."""
    is_crossing = {stretch, next_stretch} == _DECIDED
    return (_crossing(line, batch, next_batch) if is_crossing else midway(batch, next_batch),) * 2


def _crossing(line: BreakEven, batch: int, next_batch: int) -> float:
    at = line.crossing.batch_size
    if at is not None and batch <= at <= next_batch:
        return at
    speedups = {row.batch_size: row.speedup for row in line.rows}
    here, there = speedups[batch], speedups[next_batch]
    if here and there:
        part = math.log(here) / math.log(here / there)
        return batch * math.pow(next_batch / batch, part)
    return midway(batch, next_batch)
