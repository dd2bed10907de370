"""How a phase is timed: one round, the warm-up, and the number of rounds.

A round is: prepare, synchronize, read the clock, run, synchronize, read the clock. pytest-benchmark times the
rounds that are recorded with the same `Round`: `setup`, then `run` between two readings of its clock.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from breakeven.case import Budget
from breakeven.hardware.devices import Device
from breakeven.measure.trainer import Trainer
from breakeven.phases import Phase

Clock = Callable[[], float]
CLOCK: Clock = time.perf_counter
"""Wall time, in seconds: the same quantity on every device."""

MAX_WARMUP_ROUNDS = 20_000
"""Ends the warm-up if the clock does not advance."""

MIN_TRUSTED = 16
"""The minimum number of timed rounds, if the time allows, however quiet the warm-up was."""

Z95 = 1.959964
MEDIAN_INFLATION = 1.2533
"""Standard error of a normal sample's median relative to that of its mean: sqrt(pi / 2)."""

MAD_TO_SIGMA = 1.4826
"""Standard deviation of a normal sample relative to its median absolute deviation."""


class Round:
    """One timed call of a phase: `setup` untimed, `run` timed; both end synchronized.

    `before_setup` is called first of all, untimed too.
    """

    def __init__(self, phase: Phase, trainer: Trainer) -> None:
        self.phase = phase
        self.trainer = trainer
        self.synchronize = trainer.device.synchronize
        self.before_setup: Callable[[], object] | None = None

    def setup(self) -> None:
        """Prepare the phase, and wait until the device is idle."""
        if self.before_setup is not None:
            self.before_setup()
        self.trainer.prepare(self.phase)
        self.synchronize()

    def run(self) -> None:
        """Run the phase and wait for it. Returns None, so that pytest-benchmark keeps no result alive."""
        self.trainer.run(self.phase)
        self.synchronize()


@dataclass(frozen=True)
class Timed:
    """The seconds of one round: its preparation (not part of results) and its run."""

    prepare_s: float
    latency_s: float

    @property
    def total_s(self) -> float:
        """The total time of the round."""
        return self.prepare_s + self.latency_s


def time_round(round_: Round, clock: Clock = CLOCK) -> Timed:
    """Do one round."""
    begin = clock()
    round_.setup()
    start = clock()
    round_.run()
    end = clock()
    return Timed(start - begin, end - start)


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


def min_warmup(device: Device) -> MinWarmup:
    """Return the minimum warm-up of a device: accelerators need 150 ms until their clocks have ramped up."""
    return MinWarmup(seconds=0.15) if device.is_accelerator else MinWarmup()


@dataclass(frozen=True)
class Warmup:
    """The rounds of a warm-up, which follow the first call, and whether their times became steady."""

    rounds: tuple[Timed, ...]
    steady: bool

    @property
    def tail(self) -> tuple[Timed, ...]:
        """The last half of the rounds, at most 100, from which the noise is estimated."""
        return self.rounds[-min(100, max(1, len(self.rounds) // 2)) :]

    @property
    def round_s(self) -> float:
        """The median time of a round, including its preparation, in seconds."""
        return median(timed.total_s for timed in self.tail)

    @property
    def fastest_s(self) -> float:
        """The time of the fastest round, including its preparation, in seconds: that of a quiet machine."""
        return min(timed.total_s for timed in self.rounds)


def warm_up(
    round_: Round, minimum: MinWarmup, max_s: float, earlier: Sequence[Timed] = (), clock: Clock = CLOCK
) -> Warmup:
    """Repeat a round until its times are steady.

    Ends when `minimum` is reached and the times are steady, or after `max_s` seconds, whichever comes first;
    there are at least two rounds, including the `earlier` ones. The first call of a phase is timed separately
    and is not one of them.
    """
    rounds = list(earlier)
    begin = clock()
    next_check = minimum.rounds
    steady = False
    while True:
        rounds.append(time_round(round_, clock))
        elapsed = clock() - begin
        if len(rounds) >= next_check and elapsed >= minimum.seconds:
            steady = is_steady([timed.latency_s for timed in rounds])
            if steady:
                break
            next_check = len(rounds) + max(3, len(rounds) // 4)
        if (elapsed >= max_s and len(rounds) >= 2) or len(rounds) >= MAX_WARMUP_ROUNDS:
            steady = is_steady([timed.latency_s for timed in rounds])
            break
    return Warmup(tuple(rounds), steady)


def beyond_steady(early: Sequence[Timed], warmup: Warmup) -> float:
    """Return the seconds that the first calls took beyond steady rounds, their preparation included.

    The very first call has no earlier step to finish, so its preparation may be shorter than a steady one.
    """
    latency_s = median(timed.latency_s for timed in warmup.tail)
    first = max(early[0].latency_s - latency_s, early[0].total_s - warmup.round_s)
    return max(0.0, first + sum(timed.total_s - warmup.round_s for timed in early[1:]))


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
class RoundPlan:
    """The rounds that pytest-benchmark runs: `lead_in` untimed ones, then `rounds` timed ones.

    The lead-in warms the caches for pytest-benchmark's loop. `cut_by_budget` is whether the time allowed
    fewer rounds than the target precision needs.
    """

    rounds: int
    lead_in: int
    cut_by_budget: bool


def plan_rounds(warmup: Warmup, budget: Budget) -> RoundPlan:
    """Return the number of rounds that should bring the median's interval to the target precision.

    The noise is that of the warm-up's tail, so a slow first call has no influence. The half-width of the
    median of n normal times is ``1.96 * 1.2533 * noise / sqrt(n)``; the lag-1 correlation rho of the times
    widens its square by ``(1 + rho) / (1 - rho)``, as in an AR(1) process. Twice as many rounds are planned,
    because a short tail estimates the noise badly; for the same reason there are at least 16 if the time
    allows. Cheap rounds are added: up to 40, if they fit into a twentieth of the time.
    """
    latencies = [timed.latency_s for timed in warmup.tail]
    spread = MEDIAN_INFLATION * Z95 * relative_noise(latencies) / budget.target_precision
    wanted = math.ceil(2 * spread**2 * correlation_factor(latencies)) + 4
    cost = max(warmup.round_s, 1e-9)
    free = min(40, int(budget.max_time_s / 20 / cost))
    affordable = int(budget.max_time_s / cost)
    wanted = min(max(wanted, free, budget.min_rounds, MIN_TRUSTED), budget.max_rounds)
    rounds = max(min(wanted, affordable), budget.min_rounds)
    lead_in = min(50, int(budget.max_time_s / 100 / cost))
    return RoundPlan(rounds, lead_in, cut_by_budget=rounds < wanted)


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
