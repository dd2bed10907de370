"""The break-even of every model, phase and pair of devices, from estimates grouped into lines."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from breakeven.case import Line, Model, Outcome
from breakeven.grouping import grouped
from breakeven.report.estimates import Estimate
from breakeven.report.speedup import Speedup
from breakeven.stats.crossing import Crossing, find_crossing

MAX_BETWEEN = 12
"""A line through this many points between two measured ones looks as smooth as it is."""


@dataclass(frozen=True)
class BreakEven:
    """The batch size from which `candidate` beats `baseline`, there and at every larger measured one.

    `batches` are those at which both have an interval, `holes` those at which only something is known,
    `crossing` is where the two lines meet, `rows` are the speedups by ascending batch size, `between` are
    (batch size, speedup) between neighboring ones, as the crossing is interpolated, for drawing the line.
    """

    candidate: Line
    baseline: Line
    batches: tuple[int, ...]
    holes: tuple[int, ...]
    crossing: Crossing
    rows: tuple[Speedup, ...]
    between: tuple[tuple[float, float], ...] = ()

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
        return self.crossing.describe(self.batches)


def break_evens(
    cases: Sequence[Estimate], speedups: Iterable[Speedup], outcomes: Iterable[Outcome]
) -> list[BreakEven]:
    """Return a break-even for every line that has a speedup, in the order of the speedups.

    A batch size is a hole if one of the two devices was timed, or ended without a timing, but not both have
    an interval.

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


def between(
    batches: Sequence[int],
    baseline: NDArray[np.float64],
    candidate: NDArray[np.float64],
    holes: Collection[int] = (),
) -> tuple[tuple[float, float], ...]:
    """Return (batch size, speedup) between the measured ones, where each device's time is a straight line.

    Points are evenly spaced on the logarithm of the batch size, more in wider gaps; none across a hole.

    >>> [(round(x, 2), round(y, 2)) for x, y in between([1, 4], np.array([1.0, 4.0]), np.array([2.0, 2.0]))]
    [(1.26, 0.63), (1.59, 0.79), (2.0, 1.0), (2.52, 1.26), (3.17, 1.59)]
    """
    found: list[tuple[float, float]] = []
    for (low, high), base, cand in zip(
        pairwise(batches), pairwise(baseline), pairwise(candidate), strict=True
    ):
        if any(low < hole < high for hole in holes):
            continue
        count = min(MAX_BETWEEN, round(3 * math.log2(high / low)))
        x = np.geomspace(low, high, count + 1)[1:-1]
        speedup = np.interp(x, (low, high), base) / np.interp(x, (low, high), cand)
        found += zip(x.tolist(), speedup.tolist(), strict=True)
    return tuple(found)


def _break_even(
    baseline: Line,
    candidate: Line,
    base: Mapping[int, Estimate | None],
    cand: Mapping[int, Estimate | None],
    speedups: Sequence[Speedup],
) -> BreakEven:
    rows = {row.batch_size: row for row in speedups}
    pairs = {batch: (base.get(batch), cand.get(batch)) for batch in sorted(base.keys() | cand.keys())}
    both = [(batch, b, c) for batch, (b, c) in pairs.items() if b is not None and c is not None]
    batches = tuple(batch for batch, _, _ in both)
    signs = [rows[batch].verdict.sign for batch in batches]
    holes = tuple(batch for batch in pairs if batch not in batches)
    base_medians = _medians([(b.median_s, b.draws) for _, b, _ in both])
    cand_medians = _medians([_against(b, rows[batch], c) for batch, b, c in both])
    return BreakEven(
        candidate=candidate,
        baseline=baseline,
        batches=batches,
        holes=holes,
        crossing=find_crossing(batches, base_medians, cand_medians, signs, holes),
        rows=tuple(rows[batch] for batch in sorted(rows)),
        between=between(batches, base_medians[0], cand_medians[0], holes),
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
