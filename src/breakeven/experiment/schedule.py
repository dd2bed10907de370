"""The order of an experiment's runs, and how many pairs its limits allow.

Nothing here reads a clock or starts a process.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from breakeven.errors import UsageError

MIN_PAIRS = 5
"""The minimum number of pairs of a case before any verdict on it; these pairs time all cases."""

DEFAULT_PAIRS = 10
"""The default number of pairs: 5 of all cases, and up to 5 of the cases that are undecided then."""


class Side(StrEnum):
    """One of the two commands that are compared."""

    BASE = "base"
    CANDIDATE = "candidate"


@dataclass(frozen=True)
class ScheduledRun:
    """A run's number, its pair (both counted from 1) and its side."""

    number: int
    pair: int
    side: Side


def scheduled_run(number: int) -> ScheduledRun:
    """Return the run of that number, counted from 1.

    The order alternates from pair to pair, so that a warming machine favors neither side.

    >>> " ".join(scheduled_run(number).side[0] for number in range(1, 9))
    'b c c b b c c b'
    """
    pair = (number + 1) // 2
    is_first = number % 2 == 1
    return ScheduledRun(number, pair, Side.BASE if is_first == (pair % 2 == 1) else Side.CANDIDATE)


@dataclass(frozen=True)
class Limits:
    """The maximum number of `pairs`, the `budget_s` in seconds, or both: the first limit reached applies."""

    pairs: int | None = None
    budget_s: float | None = None

    def __post_init__(self) -> None:
        """Check the number of pairs.

        Raises:
            UsageError: it is below 1.
        """
        if self.pairs is not None and self.pairs < 1:
            raise UsageError(
                f"--pairs {self.pairs} compares nothing; use at least {MIN_PAIRS}, better {DEFAULT_PAIRS}"
            )

    @property
    def max_pairs(self) -> int | None:
        """The maximum number of pairs; None where only the budget limits them."""
        return self.pairs if self.pairs is not None or self.budget_s is not None else DEFAULT_PAIRS

    def allows_pair(self, done: int, spent_s: float, pair_s: float) -> bool:
        """Return whether another pair may start.

        Args:
            done: pairs so far.
            spent_s: seconds spent so far.
            pair_s: seconds that such a pair takes.
        """
        if self.max_pairs is not None and done >= self.max_pairs:
            return False
        return done < MIN_PAIRS or self._fits(spent_s + pair_s)

    def is_too_short(self, pair_s: float) -> bool:
        """Return whether the minimum number of pairs exceeds the budget."""
        return not self._fits(MIN_PAIRS * pair_s)

    def left_s(self, pairs_done: float, spent_s: float, pair_s: float) -> float:
        """Return about how many seconds are left if every remaining pair takes `pair_s`."""
        started_s = (math.ceil(pairs_done) - pairs_done) * pair_s
        left_s = []
        if self.max_pairs is not None:
            left_s.append(max(0.0, self.max_pairs - pairs_done) * pair_s)
        if self.budget_s is not None and pair_s > 0:
            fitting = math.floor((self.budget_s - spent_s - started_s) / pair_s)
            left_s.append(started_s + max(0, fitting) * pair_s)
        return min(left_s, default=0.0)

    def _fits(self, seconds: float) -> bool:
        return self.budget_s is None or seconds <= self.budget_s
