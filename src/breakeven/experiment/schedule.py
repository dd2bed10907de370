"""Whose turn it is, and whether another pair is begun: A B B A A B B A, as long as the limits allow.

Owns the order, the counting and the reckoning with time. Pure: reads no clock and starts nothing.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from breakeven.errors import UsageError

BASE, CANDIDATE = "base", "candidate"

PAIRS = 8
"""How many pairs there are at most when nothing limits them: 3 for all cases and 5 for the suspects."""

FIRST_PAIRS = 3
"""So many pairs time all cases; more would be better spent on the suspects."""

MIN_PAIRS = 2
"""Pairs of either stage: of a single run a side nobody knows the noise."""

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", re.ASCII)


@dataclass(frozen=True)
class ScheduledRun:
    """One run: the how manieth of all, of which pair, of which side."""

    number: int
    pair: int
    side: str


def turn(number: int) -> ScheduledRun:
    """Return the run of that number, counted from 1.

    The sides change places from pair to pair, so that a machine that warms up or tires favours neither.

    >>> " ".join(turn(number).side[0] for number in range(1, 9))
    'b c c b b c c b'
    """
    pair = (number + 1) // 2
    is_first = number % 2 == 1
    return ScheduledRun(number, pair, BASE if is_first == (pair % 2 == 1) else CANDIDATE)


@dataclass(frozen=True)
class Limits:
    """What may be spent: `pairs` in all, or `budget_s` seconds, or whichever ends first."""

    pairs: int | None = None
    budget_s: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no number of pairs.

        Raises:
            UsageError: with the value and the fewest there may be.
        """
        if self.pairs is not None and self.pairs < 1:
            raise UsageError(f"--pairs {self.pairs} compares nothing; use 1 or more, better {PAIRS}")

    @property
    def most(self) -> int | None:
        """How many pairs there are at most; None where only time limits them."""
        return self.pairs if self.pairs is not None or self.budget_s is not None else PAIRS

    @property
    def first(self) -> int:
        """How many pairs time all cases, at most."""
        if self.most is None:
            return FIRST_PAIRS
        # So few that none would be left for the suspects: all of them time all cases.
        return self.most if self.most < 2 * MIN_PAIRS else min(FIRST_PAIRS, self.most - MIN_PAIRS)

    def allow_a_second_stage(self, before: int) -> bool:
        """Return whether enough pairs are left to decide on the suspects, when so many timed all cases."""
        return self.most is None or before + MIN_PAIRS <= self.most

    def another_of_all(self, done: int, spent_s: float, pair_s: float) -> bool:
        """Return whether another pair times all cases.

        Args:
            done: pairs that did.
            spent_s: seconds spent so far.
            pair_s: seconds that a pair takes.
        """
        if done < MIN_PAIRS:
            return self.most is None or done < self.most
        # Nobody knows yet how many suspects there are: the pairs that decide may cost as much as these.
        return done < self.first and self._fits(spent_s + (1 + MIN_PAIRS) * pair_s)

    def another_of_suspects(self, done: int, before: int, spent_s: float, pair_s: float) -> bool:
        """Return whether another pair times the suspects.

        Args:
            done: pairs that did.
            before: pairs that timed all cases.
            spent_s: seconds spent so far, in all.
            pair_s: seconds that a pair of suspects takes.
        """
        if done < MIN_PAIRS:
            return self.allow_a_second_stage(before)
        return (self.most is None or before + done < self.most) and self._fits(spent_s + pair_s)

    def cannot_hold(self, pair_s: float) -> bool:
        """Return whether even the fewest pairs of both stages take longer than the budget."""
        return not self._fits(2 * MIN_PAIRS * pair_s)

    def left_s(self, pairs_done: float, spent_s: float, pair_s: float) -> float:
        """Return about how many seconds are left, if every pair to come takes `pair_s`."""
        begun_s = (math.ceil(pairs_done) - pairs_done) * pair_s
        left_s = []
        if self.most is not None:
            left_s.append(max(0.0, self.most - pairs_done) * pair_s)
        if self.budget_s is not None and pair_s > 0:
            fitting = math.floor((self.budget_s - spent_s - begun_s) / pair_s)
            left_s.append(begun_s + max(0, fitting) * pair_s)
        return min(left_s, default=0.0)

    def _fits(self, seconds: float) -> bool:
        return self.budget_s is None or seconds <= self.budget_s


def seconds_of(text: str) -> float:
    """Return the seconds of a duration as people write it.

    >>> seconds_of("90s"), seconds_of("20m"), seconds_of("1h30m"), seconds_of("45")
    (90.0, 1200.0, 5400.0, 45.0)

    Raises:
        UsageError: it is none, or no time at all.
    """
    found = _DURATION.fullmatch(text.strip().lower().replace(" ", "")) if text.strip() else None
    parts = [float(part or 0) for part in found.groups()] if found else [0.0]
    seconds = sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))
    if not 0 < seconds < 1e7:
        raise UsageError(f"{text!r} is no duration; write it as 90s, 20m or 1h30m")
    return seconds


def duration(seconds: float) -> str:
    """Return a duration as a line of progress shows it.

    >>> duration(0.3), duration(41.2), duration(540), duration(5520)
    ('0.3 s', '41 s', '9 min', '1 h 32 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
