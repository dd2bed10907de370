"""How a phase is timed: one round, the warm-up, and the number of rounds.

A round is: prepare, synchronize, read the clock, run, synchronize, read the clock. The round of a loop runs
several steps, and its time is that of one step. pytest-benchmark times the rounds that are recorded with the
same `Round`: `setup`, then `run` between two readings of its clock.

Of a workload with several batches each round has each of them equally often, so that rounds are alike: the
steps of a loop are a multiple of what makes a whole cycle, and a round of another phase is a `CycleRound`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import Any, Self

from breakeven.case import Budget
from breakeven.hardware.device import Device
from breakeven.measure.skips import CONTENDED_FACTOR, MAX_OVERRUN, Deadline
from breakeven.measure.trainer import Trainer
from breakeven.phases import Phase

Clock = Callable[[], float]
CLOCK: Clock = time.perf_counter
"""Wall time, in seconds: the same quantity on every device."""

Settled = Callable[[Sequence[float], int], bool]
"""Returns whether the last times, in seconds per step, of rounds of that many steps, need no more warm-up."""

MAX_WARMUP_ROUNDS = 20_000
"""Ends the warm-up if the clock does not advance."""

MIN_TRUSTED = 16
"""The minimum number of timed rounds, if the time allows, however quiet the warm-up was."""

MIN_TRUSTED_LOOPS = 8
"""The same for rounds of several steps, each of which is already a mean."""

MIN_SLOW = 2
"""The number of rounds of a case that is timed however long they take."""

LATER_OVERRUN = 2.0
"""A later process may take this many times the time of a case for its minimum number of rounds: its machine
may be slower than that of the first one, in which the rounds filled the time."""

LOOP_S = 0.05
"""The seconds of a loop's round, if the time allows."""

MAX_LOOP_STEPS = 1000
"""The maximum number of steps in a loop's round."""

BLOCKS = 16
"""The blocks of the warm-up that have the steps of one round of a loop: a warm-up has too few whole rounds
to show their noise."""

FOLLOWING_SHARE = 1 / 3
"""The part of the minimum seconds of a warm-up that a case has if it follows another one of its cell."""

Z95 = 1.959964
MEDIAN_INFLATION = 1.2533
"""Standard error of a normal sample's median relative to that of its mean: sqrt(pi / 2)."""

MAD_TO_SIGMA = 1.4826
"""Standard deviation of a normal sample relative to its median absolute deviation."""


class Round:
    """One timed call of a phase: `setup` untimed, `run` timed; both end synchronized.

    `before_setup` is called before the phase is prepared, untimed too. `clock`, read before and after `run`,
    shows its time; None for any clock.

    Args:
        phase: what is timed.
        trainer: runs it.
        steps: how often `run` repeats the phase before its one synchronization.
        deadline: no round starts after it.
        clock: seconds; it times what only this process can.
    """

    def __init__(
        self,
        phase: Phase,
        trainer: Trainer,
        steps: int = 1,
        deadline: Deadline | None = None,
        clock: Clock = CLOCK,
    ) -> None:
        self.phase = phase
        self.trainer = trainer
        self.steps = steps
        self.deadline = deadline
        self.cycle = trainer.cycle(phase)
        self.own_clock = clock
        self._prepared_steps = steps
        self.synchronize = trainer.device.synchronize
        self.clock = trainer.round_clock
        self.before_setup: Callable[[], object] | None = None

    @property
    def max_steps(self) -> int:
        """The maximum number of steps in a round."""
        return 1 if self.trainer.repeats_one_step else MAX_LOOP_STEPS

    def of(self, steps: int) -> Round:
        """Return the same round with another number of steps; where it is no loop, one with every batch."""
        kind = Round if self.phase.is_loop or self.cycle == 1 else CycleRound
        return kind(self.phase, self.trainer, steps, self.deadline, self.own_clock)

    def setup(self) -> None:
        """Prepare the phase, and wait until the device is idle.

        Raises:
            CaseTimeout: the deadline has passed.
        """
        if self.deadline is not None:
            self.deadline.check()
        if self.before_setup is not None:
            self.before_setup()
        self.trainer.prepare(self.phase, self._prepared_steps)
        self.synchronize()

    def run(self) -> None:
        """Run the phase and wait for it. Returns None, so that pytest-benchmark keeps no result alive."""
        self.trainer.run(self.phase, self.steps)
        self.synchronize()


class CycleRound(Round):
    """One round of a phase that is no loop, over all batches: its time is the mean of theirs.

    The phase is prepared and timed for each batch in turn, so `clock` shows the mean of these times.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._prepared_steps = self.cycle
        self._read = self.clock or self.own_clock
        self._shown_s = 0.0
        self.clock = lambda: self._shown_s

    def run(self) -> None:
        """Run the phase on each batch, prepared before and waited for after.

        Raises:
            CaseTimeout: the deadline has passed.
        """
        timed_s = 0.0
        for index in range(self.cycle):
            if index:
                if self.deadline is not None:
                    self.deadline.check()
                self.trainer.prepare(self.phase, 0)
                self.synchronize()
            start = self._read()
            super().run()
            timed_s += self._read() - start
        self._shown_s += timed_s / self.cycle


@dataclass(frozen=True)
class Timed:
    """The seconds of one round: its preparation (not part of results), and one of its `steps`."""

    prepare_s: float
    latency_s: float
    steps: int = 1

    @property
    def total_s(self) -> float:
        """The total time of the round."""
        return self.round_s(self.steps)

    def round_s(self, steps: int) -> float:
        """Return the total time of a round of that many steps."""
        return self.prepare_s + steps * self.latency_s


def time_round(round_: Round, clock: Clock = CLOCK) -> Timed:
    """Do one round."""
    begin = clock()
    round_.setup()
    read = round_.clock or clock
    start = read()
    round_.run()
    timed_s = read() - start
    prepare_s = max(0.0, clock() - begin - timed_s)  # some of which may come in between
    return Timed(prepare_s, timed_s / round_.steps, round_.steps)


def time_once(work: Callable[[], object], device: Device, clock: Clock = CLOCK) -> float:
    """Return the seconds of work that happens once, synchronized before and after."""
    device.synchronize()
    start = clock()
    work()
    device.synchronize()
    return clock() - start


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


@dataclass(frozen=True)
class RoundNoise:
    """How rounds vary: the relative standard deviation of their times, and `correlation_factor` of them."""

    relative: float
    correlation: float

    @classmethod
    def of(cls, warmup: Warmup, steps: int) -> Self:
        """Return the noise of a round of that many steps.

        It is that of a shorter block of the warm-up, divided by the square root of the ratio of their steps.
        """
        latencies = [timed.latency_s for timed in warmup.tail]
        relative = relative_noise(latencies) * math.sqrt(warmup.tail[0].steps / steps)
        return cls(relative, correlation_factor(latencies))


@dataclass(frozen=True)
class RoundPlan:
    """The rounds that pytest-benchmark runs: `lead_in` untimed ones, then `rounds` timed ones.

    The lead-in warms the caches for pytest-benchmark's loop. A round has `steps` steps.
    """

    rounds: int
    lead_in: int
    steps: int = 1


def plan_rounds(
    warmup: Warmup, budget: Budget, steps: int = 1, left_s: float = math.inf, noise: RoundNoise | None = None
) -> RoundPlan:
    """Return the number of rounds that should bring the median's interval to the target precision.

    The noise is that of the warm-up's tail, so a slow first call has no influence. The half-width of the
    median of n normal times is ``1.96 * 1.2533 * noise / sqrt(n)``; the lag-1 correlation rho of the times
    widens its square by ``(1 + rho) / (1 - rho)``, as in an AR(1) process. Twice as many rounds are planned,
    because a short tail estimates the noise badly; for the same reason there are at least 16 if the time
    allows, or 8 of several steps each. All of a case's processes share these rounds. Cheap rounds are added:
    up to 40, if they fit into a twentieth of the time.

    Where even the minimum number of rounds would take more than `MAX_OVERRUN` times the time, in a later
    process `LATER_OVERRUN` times, as many are planned as fit into that, and at least 2.

    Args:
        warmup: the rounds before.
        budget: the precision and the limits.
        steps: the steps of a round.
        left_s: the seconds left for all rounds.
        noise: how rounds vary, in a later process, which does not find it out again.
    """
    is_first = noise is None
    noise = noise or RoundNoise.of(warmup, steps)
    spread = MEDIAN_INFLATION * Z95 * noise.relative / budget.target_precision
    wanted = 2 * spread**2 * noise.correlation + 4
    trusted = MIN_TRUSTED if steps == 1 else MIN_TRUSTED_LOOPS
    share = math.ceil(max(wanted, trusted) / budget.processes)
    cost = max(warmup.round_s(steps), 1e-9)
    free = min(40, int(budget.max_time_s / 20 / cost))
    share = min(max(share, free, budget.min_rounds), budget.max_rounds)
    affordable = max(int(budget.max_time_s / cost), budget.min_rounds)
    overrun = MAX_OVERRUN if is_first else LATER_OVERRUN
    limit = max(int(min(overrun * budget.max_time_s, left_s) / cost), MIN_SLOW)
    rounds = min(share, affordable, limit)
    lead_in = min(50, int(budget.max_time_s / 100 / cost))
    return RoundPlan(rounds, lead_in, steps)


def correlation_factor(latencies: Sequence[float]) -> float:
    """Return (1 + rho) / (1 - rho) for the lag-1 correlation rho of the times, in [1, 10].

    It is estimated from the above-median signs, which outliers do not move: those of a normal process
    correlate by ``2 / pi * asin(rho)`` (Sheppard's formula). With fewer than 20 times it is 1.
    """
    if len(latencies) < 20:
        return 1.0
    center = median(latencies)
    signs = [1 if latency > center else -1 for latency in latencies]
    rho = math.sin(math.pi / 2 * sum(a * b for a, b in pairwise(signs)) / (len(signs) - 1))
    return min(10.0, max(1.0, (1 + rho) / max(1e-9, 1 - rho)))
