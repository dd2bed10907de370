"""How far the measuring is: one line between two cases, with the last result and the time left.

Owns the words, the arithmetic and when a line is due. Refuses to write, which `display` does, and to refresh
itself: it is asked between two cases only, since a thread that redraws a line while a case is timed would
take its core away, and small machines have few.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from breakeven.format import seconds as time_words

Clock = Callable[[], float]

EVERY_S = 10.0
"""Plain lines are at least so many seconds apart; a shorter run has none."""

TRUSTED_CASES = 8
"""The plan counts as much as so many cases that have ended: the first ones may be odd."""

MIN_LETTERS = 8
"""What must be left of a case's name, its ellipsis included; without room for it the result is left out."""


class Look(Enum):
    """How progress is shown: one line rewritten in place, or lines of their own."""

    LIVE = "live"
    PLAIN = "plain"


def look_for(*, is_terminal: bool, is_ci: bool, verbosity: int) -> Look | None:
    """Return how to show progress; None where pytest was asked to say more (-v) or less (-q) itself.

    >>> look_for(is_terminal=True, is_ci=False, verbosity=0)
    <Look.LIVE: 'live'>
    >>> look_for(is_terminal=True, is_ci=True, verbosity=0)
    <Look.PLAIN: 'plain'>
    """
    if verbosity:
        return None
    return Look.LIVE if is_terminal and not is_ci else Look.PLAIN


@dataclass(frozen=True)
class Last:
    """The case that ended last: its name on one line, its median or how else it ended, its half-width."""

    name: str
    result: str
    width: str = ""

    @classmethod
    def timed(cls, name: str, median_s: float, half_width: float | None) -> Last:
        """Return it for a case with a median, in seconds, and the relative half-width of its interval.

        >>> Last.timed("mlp train cpu batch=1", 0.000141, 0.009)
        Last(name='mlp train cpu batch=1', result='141 µs', width=' ±0.9%')
        """
        width = "" if half_width is None else f" ±{100 * half_width:.1f}%" if half_width < 1 else " ±>100%"
        return cls(name, time_words(median_s), width)


def seconds_left(remaining_s: float, planned_s: float, spent_s: float, trusted_s: float) -> float:
    """Return the seconds that the cases to come will take.

    The plan gives them `remaining_s`; it gave those that have ended `planned_s`, and they cost `spent_s`.
    The more has ended, the more that ratio counts; the plan counts as much as `trusted_s` planned seconds.

    >>> seconds_left(60.0, planned_s=0.0, spent_s=0.0, trusted_s=4.0)
    60.0
    >>> seconds_left(60.0, planned_s=4.0, spent_s=12.0, trusted_s=4.0)
    120.0
    """
    return remaining_s * (trusted_s + spent_s) / (trusted_s + planned_s)


def clock_face(duration_s: float) -> str:
    """Return a duration as a clock shows it, to the next second.

    >>> clock_face(4.2), clock_face(72.0), clock_face(3723.0)
    ('0:05', '1:12', '1:02:03')
    """
    minutes, rest = divmod(math.ceil(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def line_of(number: int, total: int, last: Last | None, left_s: float, columns: int | None = None) -> str:
    """Return the line, cut to so many columns: of the last case first its name, then its interval goes.

    >>> last = Last.timed("mlp forward cuda batch=16 width=64", 0.000141, 0.009)
    >>> line_of(34, 260, last, 72.0)
    'breakeven: case 34 of 260, last: mlp forward cuda batch=16 width=64 141 µs ±0.9%, 1:12 left'
    >>> line_of(34, 260, last, 72.0, columns=60)
    'breakeven: case 34 of 260, last: mlp forw… 141 µs, 1:12 left'
    """
    head, tail = f"breakeven: case {number} of {total}", f", {clock_face(left_s)} left"
    if last is None:
        return (head + tail)[:columns]
    for result in (last.result + last.width, last.result):
        whole = f"{head}, last: {last.name} {result}{tail}"
        over = 0 if columns is None else len(whole) - columns
        if over <= 0:
            return whole
        kept = len(last.name) - over - 1
        if kept >= MIN_LETTERS - 1:
            return f"{head}, last: {last.name[:kept]}… {result}{tail}"
    return (head + tail)[:columns]


class Progress:
    """What has ended of a run, and what it cost.

    Args:
        planned_s: the seconds that the plan gives each case, by its id.
        clock: seconds; injected by tests.
    """

    def __init__(self, planned_s: Mapping[str, float], clock: Clock = time.perf_counter) -> None:
        self._planned_s = dict(planned_s)
        self._spent_s: dict[str, float] = {}
        self._last: Last | None = None
        self._clock = clock
        self._now: tuple[str, float] | None = None
        self._said = clock()

    def __contains__(self, case_id: str) -> bool:
        return case_id in self._planned_s

    @property
    def is_complete(self) -> bool:
        """Tell whether every case has ended."""
        return len(self._spent_s) == len(self._planned_s)

    def start(self, case_id: str) -> None:
        """Begin a case."""
        self._now = (case_id, self._clock())

    def end(self, case_id: str, last: Last) -> None:
        """End the case that was begun; one that is tried again adds to its cost."""
        began = self._now[1] if self._now is not None else self._clock()
        self._spent_s[case_id] = self._spent_s.get(case_id, 0.0) + self._clock() - began
        self._last, self._now = last, None

    def line(self, columns: int | None = None) -> str:
        """Return the line of the case that was begun, cut to so many columns."""
        total = len(self._planned_s)
        begun = {*self._spent_s, *([self._now[0]] if self._now is not None else [])}
        planned_s = sum(self._planned_s[case_id] for case_id in self._spent_s)
        whole_s = sum(self._planned_s.values())
        left_s = seconds_left(
            whole_s - planned_s, planned_s, sum(self._spent_s.values()), TRUSTED_CASES * whole_s / total
        )
        return line_of(len(begun), total, self._last, left_s, columns)

    def line_if_due(self) -> str | None:
        """Return the line where the last one, or the beginning, is long enough ago."""
        now = self._clock()
        if now - self._said < EVERY_S:
            return None
        self._said = now
        return self.line()
