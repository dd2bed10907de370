"""From which batch size on a candidate is faster: the break-even of one workload, phase and pair of devices.

Owns the interpolation between measured batch sizes, the interval of the crossing and its status. Pure:
arrays in, frozen dataclass out; which estimates belong together is decided by its caller.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from breakeven.stats.intervals import interval_of_draws

MAX_TREND_REACH = 64
"""How many times the largest measured batch size a trend is trusted to reach."""

TREND_POINTS = 3
"""Through how many of the largest batch sizes the trend is fitted."""

_SURE = 0.975  # of all resamples: one end of a 95% interval

Array = NDArray[np.float64]


class CrossingStatus(StrEnum):
    """Whether two devices have a break-even."""

    CROSSES = "crosses"
    ALWAYS = "always"
    NEVER = "never"
    BEYOND_RANGE = "beyond_range"
    UNDECIDED = "undecided"


class CrossingWarning(StrEnum):
    """What a reader should know about a break-even beside its status."""

    HOLE = "hole"
    CUT_SHORT = "cut_short"
    ONE_BATCH = "one_batch"
    LOSES_LARGE = "loses_large"
    SEVERAL = "several"


@dataclass(frozen=True)
class Crossing:
    """Where two devices cross, in batch sizes; `low` and `high` are its 95% interval, None if unbounded.

    `bracket` are two measured batch sizes: with ``crosses`` the neighbors that the crossing lies between;
    else the largest at which the candidate is slower and the smallest from which on it is faster, None
    where there is none. `warnings` are kinds of `breakeven.report.warnings`.
    """

    status: CrossingStatus
    batch_size: float | None = None
    low: float | None = None
    high: float | None = None
    bracket: tuple[int | None, int | None] = (None, None)
    warnings: tuple[CrossingWarning, ...] = ()


def find_crossing(
    batches: Sequence[int],
    baseline: tuple[Array, Array],
    candidate: tuple[Array, Array],
    signs: Sequence[int],
    holes: Collection[int] = (),
) -> Crossing:
    """Return from which batch size on the candidate is faster, there and at every larger measured one.

    Time is taken as affine in the batch size between neighbors (t = floor + slope * batch is how devices
    behave), so the difference of two devices is affine too and crosses zero once. The interval comes from
    finding the crossing anew in every resample of every median of both devices.

    The evidence are the speedups' intervals: ``crosses`` needs the largest batch to be faster and another
    to be slower; the largest slower is ``never``, or ``beyond_range`` when it is faster nowhere and the
    trend of the last batches meets beyond; faster everywhere is ``always``; anything less ``undecided``.
    Where the two are the same within 2%, neither is shown to be faster: such a cell at the largest batch, or
    beside nothing but faster ones, leaves the break-even ``undecided``; between a slower and the largest,
    faster one the crossing may still lie at it.

    Args:
        batches: the batch sizes at which both devices are known, ascending.
        baseline: medians of shape ``(batches,)`` and their resamples, ``(resamples, batches)``, in seconds.
        candidate: likewise.
        signs: 1 where the candidate is shown to be faster, -1 where slower, 0 where neither is shown or they
            are the same within 2%.
        holes: batch sizes at which one of the devices gave nothing; no line is drawn across one.
    """
    if not batches:
        return Crossing(CrossingStatus.UNDECIDED)
    warnings = _warnings_on(signs)
    if any(hole > batches[-1] for hole in holes):
        warnings = (*warnings, CrossingWarning.CUT_SHORT)
    known = _known_bracket(batches, signs)
    if all(sign > 0 for sign in signs):
        return Crossing(CrossingStatus.ALWAYS, bracket=known, warnings=warnings)
    if signs[-1] < 0:
        beyond = 1 not in signs and _trend_meets(batches, baseline, candidate, holes)
        return Crossing(
            CrossingStatus.BEYOND_RANGE if beyond else CrossingStatus.NEVER, bracket=known, warnings=warnings
        )
    if signs[-1] == 0 or -1 not in signs:
        return Crossing(CrossingStatus.UNDECIDED, bracket=known, warnings=warnings)
    return _crossing(np.asarray(batches, dtype=float), baseline, candidate, holes, warnings)


def _crossing(
    batches: Array,
    baseline: tuple[Array, Array],
    candidate: tuple[Array, Array],
    holes: Collection[int],
    warnings: tuple[CrossingWarning, ...],
) -> Crossing:
    gaps = gaps_before(batches, holes)
    center, start = last_crossing(batches, (baseline[0] - candidate[0])[None, :])
    at = int(start[0])
    bracket = (int(batches[at - 1]), int(batches[at]))
    if gaps[at]:
        return Crossing(CrossingStatus.UNDECIDED, bracket=bracket, warnings=(*warnings, CrossingWarning.HOLE))
    drawn, starts = last_crossing(batches, baseline[1] - candidate[1])
    # In a hole the crossing is somewhere between its edges: each end takes the edge that is farther out.
    in_hole = gaps[starts]
    below = np.where(in_hole, batches[np.clip(starts - 1, 0, None)], drawn)
    above = np.where(in_hole, batches[np.clip(starts, None, len(batches) - 1)], drawn)
    low, high = interval_of_draws(below)[0], interval_of_draws(above)[1]
    x = float(center[0])
    return Crossing(
        CrossingStatus.CROSSES,
        x,
        None if low is None else min(low, x),
        None if high is None else max(high, x),
        bracket,
        warnings,
    )


def last_crossing(batches: Array, lead: Array) -> tuple[Array, NDArray[np.intp]]:
    """Return for each row of `lead` (baseline - candidate) its last crossing, and where it is faster from.

    A row that is faster everywhere starts at 0 and crosses at -inf; one that is not faster at the end
    starts at the number of batches and crosses at inf.
    """
    count = len(batches)
    not_faster = (lead <= 0)[:, ::-1]
    starts = np.where(not_faster.any(axis=1), count - not_faster.argmax(axis=1), 0)
    inner = np.clip(starts, 1, max(1, count - 1))
    rows = np.arange(len(lead))
    if count == 1:
        return np.where(starts == 0, -np.inf, np.inf), starts
    before, after = lead[rows, inner - 1], lead[rows, inner]
    rise = np.where(after > before, after - before, 1.0)
    crossing = batches[inner - 1] + (batches[inner] - batches[inner - 1]) * -before / rise
    crossing = np.where(starts == 0, -np.inf, crossing)
    return np.where(starts == count, np.inf, crossing), starts


def gaps_before(batches: Array, holes: Collection[int]) -> NDArray[np.bool_]:
    """Return for each batch whether a hole lies between it and the one before; one more False at the end."""
    inside = [any(low < hole < high for hole in holes) for low, high in pairwise(batches)]
    return np.array([False, *inside, False])


def _known_bracket(batches: Sequence[int], signs: Sequence[int]) -> tuple[int | None, int | None]:
    slower = [batch for batch, sign in zip(batches, signs, strict=True) if sign < 0]
    faster = None
    for batch, sign in zip(reversed(batches), reversed(signs), strict=True):
        if sign <= 0:
            break
        faster = batch
    return (slower[-1] if slower else None), faster


def _warnings_on(signs: Sequence[int]) -> tuple[CrossingWarning, ...]:
    if len(signs) == 1:
        return (CrossingWarning.ONE_BATCH,) if signs[0] else ()
    decided = [sign for sign in signs if sign]
    changes = sum(a != b for a, b in pairwise(decided))
    if decided and signs[-1] < 0 and 1 in decided:
        return (CrossingWarning.LOSES_LARGE,)
    return (CrossingWarning.SEVERAL,) if changes > 1 else ()


def _trend_meets(
    batches: Sequence[int],
    baseline: tuple[Array, Array],
    candidate: tuple[Array, Array],
    holes: Collection[int],
) -> bool:
    """Return whether lines through the last batches of both devices meet within reach beyond the largest."""
    last_hole = max((hole for hole in holes if hole < batches[-1]), default=0)
    x = np.array([float(batch) for batch in batches if batch > last_hole][-TREND_POINTS:])
    if len(x) < 2:
        return False
    lead = (baseline[0] - candidate[0])[-len(x) :]
    drawn = (baseline[1] - candidate[1])[:, -len(x) :]
    weights = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
    slope = float(lead @ weights)
    if slope <= 0 or np.mean(drawn @ weights > 0) < _SURE:
        return False
    meets = x.mean() - float(lead.mean()) / slope
    return bool(meets <= MAX_TREND_REACH * batches[-1])
