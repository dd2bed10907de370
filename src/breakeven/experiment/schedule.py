"""The order of an experiment's runs, and how many pairs its limits allow.

Nothing here reads a clock or starts a process.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from breakeven.errors import UsageError

DEFAULT_PAIRS = 8
"""The default number of pairs: 3 of all cases and 5 of the cases to time again."""

FIRST_PAIRS = 3
"""The maximum number of pairs that time all cases; more time is better spent on the cases to retest."""

MIN_PAIRS = 2
"""The minimum number of pairs of either stage: one run per side does not show the run-to-run noise."""


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
                f"--pairs {self.pairs} compares nothing; use at least 1, better {DEFAULT_PAIRS} or more"
            )

    @property
    def max_pairs(self) -> int | None:
        """The maximum number of pairs; None where only the budget limits them."""
        return self.pairs if self.pairs is not None or self.budget_s is not None else DEFAULT_PAIRS

    @property
    def first_pairs(self) -> int:
        """The maximum number of pairs that time all cases."""
        if self.max_pairs is None:
            return FIRST_PAIRS
        if self.max_pairs < 2 * MIN_PAIRS:  # too few to split: all of them time all cases
            return self.max_pairs
        return min(FIRST_PAIRS, self.max_pairs - MIN_PAIRS)

    def allows_retest(self, first_pairs: int) -> bool:
        """Return whether enough pairs are left to time cases again after `first_pairs` of all cases."""
        return self.max_pairs is None or first_pairs + MIN_PAIRS <= self.max_pairs

    def allows_first_pair(self, done: int, spent_s: float, pair_s: float) -> bool:
        """Return whether another pair times all cases.

        Args:
            done: pairs of all cases so far.
            spent_s: seconds spent so far.
            pair_s: seconds that such a pair takes.
        """
        if done < MIN_PAIRS:
            return self.max_pairs is None or done < self.max_pairs
        # The number of cases to retest is not known yet: a pair of them may take as long as one of all.
        return done < self.first_pairs and self._fits(spent_s + (1 + MIN_PAIRS) * pair_s)

    def allows_retest_pair(self, done: int, first_pairs: int, spent_s: float, pair_s: float) -> bool:
        """Return whether another pair times the cases to retest.

        Args:
            done: pairs of these cases so far.
            first_pairs: pairs of all cases.
            spent_s: seconds spent so far, in both stages.
            pair_s: seconds that a pair of these cases takes.
        """
        if done < MIN_PAIRS:
            return self.allows_retest(first_pairs)
        return (self.max_pairs is None or first_pairs + done < self.max_pairs) and self._fits(
            spent_s + pair_s
        )

    def is_too_short(self, pair_s: float) -> bool:
        """Return whether the minimum number of pairs of both stages exceeds the budget."""
        return not self._fits(2 * MIN_PAIRS * pair_s)

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
