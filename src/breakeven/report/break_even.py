"""The break-even of every model, phase and pair of devices, from estimates grouped into lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from breakeven import format as fmt
from breakeven.case import Line, Model, Outcome
from breakeven.device_names import processes_of
from breakeven.grouping import grouped
from breakeven.report.estimates import Estimate
from breakeven.report.speedup import Speedup
from breakeven.stats.crossing import Crossing, CrossingStatus, find_crossing


@dataclass(frozen=True)
class BreakEven:
    """The batch size from which `candidate` beats `baseline`, there and at every larger measured one.

    `batches` are those at which both have an interval, `holes` those at which only something is known, and
    `without_interval` those of them that two processes timed on both, which are too few for an interval.
    `crossing` is where the two lines meet, `rows` are the speedups by ascending batch size.
    """

    candidate: Line
    baseline: Line
    batches: tuple[int, ...]
    holes: tuple[int, ...]
    crossing: Crossing
    rows: tuple[Speedup, ...]
    without_interval: tuple[int, ...] = ()

    @property
    def model(self) -> Model:
        """The model on both devices."""
        return self.candidate.model

    @property
    def phase(self) -> str:
        """The timed phase."""
        return self.candidate.phase

    def describe(self) -> str:
        """Return where the candidate wins, as `Crossing.describe` does."""
        return self._undecided() or self.crossing.describe(self.batches)

    def describe_briefly(self) -> str:
        """Return the same as `Crossing.describe_briefly` does."""
        return self._undecided() or self.crossing.describe_briefly(self.batches)

    @property
    def needs_processes(self) -> bool:
        """Whether it is undecided, and the largest batch sizes have too few processes for an interval."""
        known = self.batches[-1] if self.batches else 0
        is_undecided = self.crossing.status is CrossingStatus.UNDECIDED
        return is_undecided and any(batch > known for batch in self.without_interval)

    def _undecided(self) -> str:
        timed = sorted((*self.batches, *self.without_interval))
        return f"undecided ({fmt.batch_range(timed)})" if self.needs_processes else ""


def break_evens(
    cases: Sequence[Estimate], speedups: Iterable[Speedup], outcomes: Iterable[Outcome]
) -> list[BreakEven]:
    """Return a break-even for every line that has a speedup, in the order of the speedups.

    A batch size is a hole if one of the two devices was timed, or ended without a timing, but not both have
    an interval. In a weak sweep, where each number of processes has its own batch sizes, one that only one of
    the two devices has is not a hole.

    Args:
        cases: the estimates behind the speedups.
        speedups: as `breakeven.report.speedup.speedups` returns them.
        outcomes: the cases that ended without a timing.
    """
    lines: dict[Line, dict[int, Estimate | None]] = {}
    for outcome in outcomes:
        if outcome.key is not None:
            lines.setdefault(outcome.key.line, {})[outcome.key.batch_size] = None
    for case in cases:
        lines.setdefault(case.key.line, {})[case.key.batch_size] = case if case.judged else None
    pairs = grouped(((row.baseline.line, row.candidate.line), row) for row in speedups)
    return [_break_even(base, cand, lines[base], lines[cand], rows) for (base, cand), rows in pairs.items()]


def has_own_batches(one: Line, other: Line) -> bool:
    """Return whether two lines are of a weak sweep and of another number of processes."""
    return one.model.is_weak and processes_of(one.device) != processes_of(other.device)


def _break_even(
    baseline: Line,
    candidate: Line,
    base: Mapping[int, Estimate | None],
    cand: Mapping[int, Estimate | None],
    speedups: Sequence[Speedup],
) -> BreakEven:
    rows = {row.batch_size: row for row in speedups}
    sizes = base.keys() & cand.keys() if has_own_batches(baseline, candidate) else base.keys() | cand.keys()
    pairs = {batch: (base.get(batch), cand.get(batch)) for batch in sorted(sizes)}
    both = [(batch, b, c) for batch, (b, c) in pairs.items() if b is not None and c is not None]
    batches = tuple(batch for batch, _, _ in both)
    signs = [rows[batch].verdict.sign for batch in batches]
    holes = tuple(batch for batch in pairs if batch not in batches)
    without_interval = tuple(batch for batch in holes if batch in rows and rows[batch].has_two_readings)
    base_medians = _medians([(b.median_s, b.draws) for _, b, _ in both])
    cand_medians = _medians([_against(b, rows[batch], c) for batch, b, c in both])
    return BreakEven(
        candidate=candidate,
        baseline=baseline,
        batches=batches,
        holes=holes,
        crossing=find_crossing(batches, base_medians, cand_medians, signs, holes, without_interval),
        rows=tuple(rows[batch] for batch in sorted(rows)),
        without_interval=without_interval,
    )


def _against(base: Estimate, row: Speedup, candidate: Estimate) -> tuple[float, NDArray[np.float64]]:
    """Return the candidate's median and draws as its speedup gives them, which the processes pair."""
    if row.speedup is None or row.draws is None:
        return candidate.median_s, candidate.draws
    return base.median_s / row.speedup, base.draws / row.draws


def _medians(
    cases: list[tuple[float, NDArray[np.float64]]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    medians = np.array([median_s for median_s, _ in cases])
    return medians, np.stack([draws for _, draws in cases], axis=1) if cases else np.empty((0, 0))
