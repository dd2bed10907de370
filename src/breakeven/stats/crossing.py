"""The break-even of two devices: the batch size from which the candidate is faster.

Times are interpolated linearly between measured batch sizes. The crossing of the two medians has an interval
from the bootstrap, and a status.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from breakeven import format as fmt
from breakeven.stats.intervals import interval_of_draws

MAX_TREND_REACH = 64
"""A trend may extrapolate to this many times the largest measured batch size."""

TREND_POINTS = 3
"""The trend is fitted to this many of the largest batch sizes."""

_MIN_RISING = 0.975  # of all resamples: one end of a 95% interval

Array = NDArray[np.float64]


class CrossingStatus(StrEnum):
    """Whether there is a break-even.

    - CROSSES: it lies between two measured batch sizes
    - ALWAYS: the candidate is faster at every measured batch size
    - NEVER: the candidate is slower at the largest measured batch size
    - BEYOND_RANGE: likewise, but the trend points to a break-even above it
    - UNDECIDED: the intervals of the speedups allow several of these
    """

    CROSSES = "crosses"
    ALWAYS = "always"
    NEVER = "never"
    BEYOND_RANGE = "beyond_range"
    UNDECIDED = "undecided"


class CrossingWarning(StrEnum):
    """Caveats besides the status.

    - HOLE: a batch size between the two neighbors of the crossing was not timed on both devices
    - CUT_SHORT: a batch size above the largest was not timed on both devices
    - NO_INTERVAL: batch sizes above the largest were timed, but in too few processes for an interval
    - ONE_BATCH: only one batch size was measured
    - LOSES_LARGE: the candidate is faster at some batch size, but slower at the largest
    - SEVERAL: the faster device changes more than once; the last crossing is reported
    """

    HOLE = "hole"
    CUT_SHORT = "cut_short"
    NO_INTERVAL = "no_interval"
    ONE_BATCH = "one_batch"
    LOSES_LARGE = "loses_large"
    SEVERAL = "several"


LARGER = {
    CrossingWarning.CUT_SHORT: "larger not timed",
    CrossingWarning.NO_INTERVAL: "larger without an interval",
}
"""What is known of the batch sizes above the largest that has an interval on both devices."""


@dataclass(frozen=True)
class Crossing:
    """Where two devices cross, in batch sizes; `low` and `high` are its 95% interval, None if unbounded.

    With ``crosses``, `bracket` holds the measured batch sizes next to the crossing. Otherwise it holds the
    largest at which the candidate is slower, and the smallest from which it is faster at every larger one;
    None where there is none.
    """

    status: CrossingStatus
    batch_size: float | None = None
    low: float | None = None
    high: float | None = None
    bracket: tuple[int | None, int | None] = (None, None)
    warnings: tuple[CrossingWarning, ...] = ()

    def describe(self, batches: Sequence[int]) -> str:
        """Return from which batch size the candidate is faster, as a phrase after "faster".

        Args:
            batches: the batch sizes that were measured on both devices, ascending.

        >>> Crossing(CrossingStatus.CROSSES, 63.7, 48, 80, (1, 64)).describe([1, 64, 4096])
        'from batch 64 [48–80]'
        >>> [Crossing(status).describe([1, 64]) for status in ("always", "never", "beyond_range")]
        ['at every measured batch size (1–64)', 'never (1–64)', 'only above batch 64']
        >>> [Crossing(status).describe([64]) for status in ("always", "never")]
        ['at batch 64, the only one measured', 'not at batch 64, the only one measured']
        >>> Crossing(CrossingStatus.UNDECIDED, bracket=(1, 64)).describe([1, 8, 64])
        'from a batch size between 1 and 64'
        """
        if self.status == CrossingStatus.CROSSES:
            return f"from batch {self.describe_briefly(batches)}"
        if self.status == CrossingStatus.ALWAYS and len(batches) > 1:
            return f"at every measured batch size ({self._range(batches)})"
        if self.status in (CrossingStatus.ALWAYS, CrossingStatus.NEVER) and len(batches) == 1:
            return f"{'' if self.status == CrossingStatus.ALWAYS else 'not '}at batch {self._only(batches)}"
        if self.status == CrossingStatus.UNDECIDED and self.bracket[1] is not None:
            return fmt.undecided_range(*self.bracket)
        if self.status == CrossingStatus.BEYOND_RANGE:
            return f"only above batch {fmt.batch_size(batches[-1])}"
        if CrossingWarning.LOSES_LARGE in self.warnings:
            return f"only below batch {fmt.batch_size(batches[-1])}"
        return self.describe_briefly(batches)

    def describe_briefly(self, batches: Sequence[int]) -> str:
        """Return the same as the content of a table's cell.

        >>> Crossing(CrossingStatus.CROSSES, 63.7, 48, None, (1, 64)).describe_briefly([1, 64, 4096])
        '64 [48–>4,096]'
        >>> [Crossing(status).describe_briefly([1, 64]) for status in ("always", "never", "beyond_range")]
        ['always (1–64)', 'never (1–64)', 'beyond 64']
        >>> Crossing("never", warnings=(CrossingWarning.CUT_SHORT,)).describe_briefly([1, 4])
        'never (1–4; larger not timed)'
        >>> [Crossing(status).describe_briefly([64]) for status in ("always", "undecided")]
        ['at 64 only: faster', 'at 64 only: undecided']
        >>> [Crossing("undecided", bracket=(slower, 64)).describe_briefly([1, 64]) for slower in (1, None)]
        ['between 1 and 64', '64 at the latest']
        """
        if self.status == CrossingStatus.CROSSES and self.batch_size is not None:
            between = fmt.break_even_between(self.low, self.high, batches)
            return f"{fmt.break_even(self.batch_size)} {between}"
        if len(batches) == 1:
            words = {CrossingStatus.ALWAYS: "faster", CrossingStatus.UNDECIDED: "undecided"}
            word = words.get(self.status, "slower")
            return f"at {fmt.batch_size(batches[0])} only: {word}{self._larger()}"
        if self.status == CrossingStatus.UNDECIDED and self.bracket[1] is not None:
            where = fmt.undecided_range(*self.bracket).removeprefix("from ")
            return where.removeprefix("a batch size ").removeprefix("batch ")
        if self.status == CrossingStatus.BEYOND_RANGE:
            return f"beyond {fmt.batch_size(batches[-1])}"
        if CrossingWarning.LOSES_LARGE in self.warnings:
            return f"only below {fmt.batch_size(batches[-1])}"
        return f"{self.status} ({self._range(batches)})" if batches else self.status

    def _range(self, batches: Sequence[int]) -> str:
        return f"{fmt.batch_range(batches)}{self._larger()}"

    def _larger(self) -> str:
        return next((f"; {text}" for warning, text in LARGER.items() if warning in self.warnings), "")

    def _only(self, batches: Sequence[int]) -> str:
        larger = self._larger().removeprefix("; ")
        return f"{fmt.batch_size(batches[0])}{f' ({larger})' if larger else ', the only one measured'}"


def find_crossing(
    batches: Sequence[int],
    baseline: tuple[Array, Array],
    candidate: tuple[Array, Array],
    signs: Sequence[int],
    holes: Collection[int] = (),
    without_interval: Collection[int] = (),
) -> Crossing:
    """Return the batch size from which the candidate is faster, there and at every larger measured one.

    Between neighboring batch sizes each device's time is taken as ``floor + slope * batch_size``, which
    describes devices well. The difference of two devices is then linear too and crosses zero once. The 95%
    interval comes from the crossing in each resample of the medians of both devices.

    The status follows from `signs`:

    - all faster: ``always``
    - the largest is faster and a smaller one slower: ``crosses``
    - the largest is slower: ``beyond_range`` if none is faster and the trend of the largest batch sizes meets
      above them, else ``never``
    - anything else: ``undecided``, as where the largest is the same within 2%

    Args:
        batches: the batch sizes with a median on both devices, ascending.
        baseline: medians of shape ``(batches,)`` and resampled medians of shape ``(resamples, batches)``, in
            seconds.
        candidate: likewise.
        signs: per batch size, 1 if the candidate is faster, -1 if slower, 0 if undecided or the same within
            2%.
        holes: batch sizes without a median on one of the devices; nothing is interpolated across one.
        without_interval: those of the holes that were timed on both devices, in too few processes.
    """
    if not batches:
        return Crossing(CrossingStatus.UNDECIDED)
    warnings = _warnings_on(signs, is_only=not without_interval)
    larger = {hole for hole in holes if hole > batches[-1]}
    if larger:
        is_timed = larger.issubset(without_interval)
        warnings = (*warnings, CrossingWarning.NO_INTERVAL if is_timed else CrossingWarning.CUT_SHORT)
    known = _known_bracket(batches, signs)
    if all(sign > 0 for sign in signs):
        return Crossing(CrossingStatus.ALWAYS, bracket=known, warnings=warnings)
    if signs[-1] < 0:
        beyond = 1 not in signs and trend_meets(batches, baseline, candidate, holes)
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
    # A crossing in a hole may be anywhere between its edges: each end of the interval takes the outer edge.
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
    """Return the last crossing of each row of `lead`, and the index of the batch size where it follows.

    A row above 0 everywhere has index 0 and crosses at -inf. A row that ends at or below 0 has the number of
    batch sizes as its index and crosses at inf.

    Args:
        batches: shape ``(batches,)``, ascending.
        lead: baseline minus candidate, shape ``(rows, batches)``, in seconds.
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
    """Return for each batch size whether a hole lies between it and the one before, and a final False."""
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


def _warnings_on(signs: Sequence[int], *, is_only: bool) -> tuple[CrossingWarning, ...]:
    if len(signs) == 1:
        return (CrossingWarning.ONE_BATCH,) if signs[0] and is_only else ()
    decided = [sign for sign in signs if sign]
    changes = sum(a != b for a, b in pairwise(decided))
    if decided and signs[-1] < 0 and 1 in decided:
        return (CrossingWarning.LOSES_LARGE,)
    return (CrossingWarning.SEVERAL,) if changes > 1 else ()


def trend_meets(
    batches: Sequence[int],
    baseline: tuple[Array, Array],
    candidate: tuple[Array, Array],
    holes: Collection[int],
) -> bool:
    """Return whether lines through both devices' largest batch sizes are shown to meet within reach."""
    last_hole = max((hole for hole in holes if hole < batches[-1]), default=0)
    x = np.array([float(batch) for batch in batches if batch > last_hole][-TREND_POINTS:])
    if len(x) < 2:
        return False
    lead = (baseline[0] - candidate[0])[-len(x) :]
    drawn = (baseline[1] - candidate[1])[:, -len(x) :]
    weights = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
    slope = float(lead @ weights)
    if slope <= 0 or np.mean(drawn @ weights > 0) < _MIN_RISING:
        return False
    meets = x.mean() - float(lead.mean()) / slope
    return bool(meets <= MAX_TREND_REACH * batches[-1])
