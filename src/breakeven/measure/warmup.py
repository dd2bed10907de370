"""The warm-up: rounds whose times become steady, and how many steps the round of a loop has."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from breakeven.case import Budget
from breakeven.hardware.device import Device
from breakeven.measure.skips import CONTENDED_FACTOR, MAX_OVERRUN
from breakeven.measure.timing import CLOCK, MAX_LOOP_STEPS, Clock, Round, Timed, time_round

Settled = Callable[[Sequence[float], int], bool]
"""Returns whether the last times, in seconds per step, of rounds of that many steps, need no more warm-up."""

MAX_WARMUP_ROUNDS = 20_000
"""Ends the warm-up if the clock does not advance."""

LOOP_S = 0.05
"""The seconds of a loop's round, if the time allows."""

BLOCKS = 16
"""The blocks of the warm-up that have the steps of one round of a loop: a warm-up has too few whole rounds
to show their noise."""

FOLLOWING_SHARE = 1 / 3
"""The part of the minimum seconds of a warm-up that a case has if it follows another one of its cell."""

MEDIAN_INFLATION = 1.2533
"""Standard error of a normal sample's median relative to that of its mean: sqrt(pi / 2)."""

MAD_TO_SIGMA = 1.4826
"""Standard deviation of a normal sample relative to its median absolute deviation."""


@dataclass(frozen=True)
class MinWarmup:
    """The minimum length of a warm-up: `rounds` and `seconds`, whichever takes longer."""

    rounds: int = 6
    seconds: float = 0.05

    def of_next_case(self) -> MinWarmup:
        """Return that of a case after another one of its cell: clocks and caches are its own already."""
        return replace(self, seconds=FOLLOWING_SHARE * self.seconds)


CPU_WARMUP = MinWarmup()

ACCELERATOR_WARMUP = MinWarmup(seconds=0.15)
"""Accelerators need 150 ms until their clocks have ramped up."""


def min_warmup(device: Device) -> MinWarmup:
    """Return the minimum warm-up of a device."""
    return ACCELERATOR_WARMUP if device.is_accelerator else CPU_WARMUP


@dataclass(frozen=True)
class Warmup:
    """The rounds of a warm-up, which follow the first call, and whether their times became steady."""

    rounds: tuple[Timed, ...]
    steady: bool

    @property
    def tail(self) -> tuple[Timed, ...]:
        """The last half of the rounds, 3 to 100 of them, from which the noise is estimated."""
        return self.rounds[-min(100, max(3, len(self.rounds) // 2)) :]

    @property
    def latency_s(self) -> float:
        """The median time of a step, in seconds."""
        return median(timed.latency_s for timed in self.tail)

    def round_s(self, steps: int = 1) -> float:
        """Return the median time of a round, including its preparation, in seconds."""
        return median(timed.round_s(steps) for timed in self.tail)

    def fastest_s(self, steps: int = 1) -> float:
        """Return the time of the fastest round, with its preparation, in seconds: that of a quiet machine."""
        return min(timed.round_s(steps) for timed in self.rounds)


def warm_up(
    round_: Round,
    minimum: MinWarmup,
    max_s: float,
    earlier: Sequence[Timed] = (),
    clock: Clock = CLOCK,
    has_settled: Settled | None = None,
) -> Warmup:
    """Repeat a round until its times are steady.

    Ends when `has_settled` finds the times at those of earlier processes, when `minimum` is reached and the
    times are steady, or after `max_s` seconds, whichever comes first; there are at least two rounds, or one
    `earlier` one. A round that a busy neighbor slowed down counts as `CONTENDED_FACTOR` times the fastest, up
    to `MAX_OVERRUN` times `max_s` in all: one of them must not end the warm-up. The first call of a phase is
    timed separately.
    """
    rounds = list(earlier)
    fastest_s = min((timed.total_s for timed in rounds), default=math.inf)
    spent_s = len(rounds) * fastest_s if rounds else 0.0
    begin = clock()
    next_check = minimum.rounds
    while True:
        elapsed = clock() - begin
        is_over = spent_s >= max_s or elapsed >= MAX_OVERRUN * max_s
        if (is_over and len(rounds) >= (1 if earlier else 2)) or len(rounds) >= MAX_WARMUP_ROUNDS:
            too_few = len(rounds) < minimum.rounds  # to tell
            return Warmup(tuple(rounds), too_few or is_steady([timed.latency_s for timed in rounds]))
        if len(rounds) >= next_check and elapsed >= minimum.seconds:
            if is_steady([timed.latency_s for timed in rounds]):
                return Warmup(tuple(rounds), steady=True)
            next_check = len(rounds) + max(3, len(rounds) // 4)
        if has_settled is not None and has_settled([timed.latency_s for timed in rounds[-9:]], round_.steps):
            return Warmup(tuple(rounds), steady=True)
        rounds.append(time_round(round_, clock))
        fastest_s = min(fastest_s, rounds[-1].total_s)
        spent_s += min(rounds[-1].total_s, CONTENDED_FACTOR * fastest_s)


def loop_steps(step_s: float, budget: Budget, cycle: int = 1, max_steps: int = MAX_LOOP_STEPS) -> int:
    """Return how many steps the round of a loop has, so that it lasts about `LOOP_S`: a multiple of `cycle`.

    It lasts less if the minimum number of rounds would otherwise not fit into the time of a case.
    """
    round_s = min(LOOP_S, budget.max_time_s / budget.min_rounds)
    return whole_cycles(min(max_steps, int(round_s / max(step_s, 1e-9))), cycle)


def whole_cycles(steps: int, cycle: int) -> int:
    """Return the number of steps, rounded down to a multiple of `cycle`, and at least that.

    >>> [whole_cycles(steps, 3) for steps in (0, 3, 8)]
    [3, 3, 6]
    """
    return max(cycle, steps // cycle * cycle)


def warm_up_loop(
    round_: Round,
    minimum: MinWarmup,
    budget: Budget,
    earlier: Sequence[Timed],
    clock: Clock = CLOCK,
) -> tuple[Warmup, int]:
    """Repeat blocks of steps until their times are steady; return them, and the steps of a timed round.

    Args:
        round_: a round of one step.
        minimum: the minimum length of the warm-up.
        budget: what may be spent.
        earlier: rounds of one step after the first call. The fastest one decides how many steps a block has.
        clock: seconds.
    """
    step_s = min(timed.latency_s for timed in earlier)
    cycle = round_.cycle
    block = round_.of(block_steps(loop_steps(step_s, budget, cycle, round_.max_steps), cycle))
    same = earlier if block.steps == earlier[0].steps else ()
    warmup = warm_up(block, minimum, budget.max_time_s, same, clock)
    return warmup, loop_steps(warmup.latency_s, budget, cycle, round_.max_steps)


def block_steps(steps: int, cycle: int = 1) -> int:
    """Return the steps of a block of the warm-up of a loop: a multiple of `cycle`."""
    return whole_cycles(steps // BLOCKS, cycle)


def first_call_s(early: Sequence[Timed]) -> float:
    """Return the seconds of the very first step: its round's, without the other steps in it."""
    first, *later = early
    if not later:
        return first.latency_s
    usual_s = min(timed.latency_s for timed in later)
    return max(usual_s, first.steps * first.latency_s - (first.steps - 1) * usual_s)


def beyond_steady(early: Sequence[Timed], warmup: Warmup) -> float:
    """Return the seconds that the first calls took beyond steady rounds, their preparation included.

    The very first call has no earlier step to finish, so its preparation may be shorter than a steady one.
    """
    first = max(early[0].latency_s - warmup.latency_s, early[0].total_s - warmup.round_s())
    return max(0.0, first + sum(timed.total_s - warmup.round_s() for timed in early[1:]))


def is_steady(latencies: Sequence[float]) -> bool:
    """Return whether the last quarter of the times has the same median as the quarter before it.

    "The same" means within 1%, or within two standard errors of the difference if that is more. The noise is
    estimated from the differences of consecutive times, which a trend does not inflate.
    """
    quarter = max(3, len(latencies) // 4)
    if len(latencies) < 2 * quarter:
        return False
    before, last = latencies[-2 * quarter : -quarter], latencies[-quarter:]
    center = median(before)
    if center <= 0:
        return median(last) <= 0
    differences = [later - earlier for earlier, later in pairwise([*before, *last])]
    noise = MAD_TO_SIGMA * _median_deviation(differences) / math.sqrt(2) / center
    error = MEDIAN_INFLATION * noise * math.sqrt(2 / quarter)
    return abs(median(last) / center - 1) <= max(0.01, 2 * error)


def relative_noise(latencies: Sequence[float]) -> float:
    """Return the robust standard deviation (1.4826 x the median deviation) over the median."""
    center = median(latencies)
    if center <= 0:
        return 0.0
    return MAD_TO_SIGMA * _median_deviation(latencies) / center


def _median_deviation(values: Sequence[float]) -> float:
    center = median(values)
    return median(abs(value - center) for value in values)
