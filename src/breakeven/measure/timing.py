"""How a phase is timed: one round, the warm-up, the number of rounds. The only code that touches a clock.

Owns the order prepare, synchronize, clock, run, synchronize, clock. Refuses to keep results: the timed
rounds themselves are pytest-benchmark's, which calls the same `Round` (`setup`, then `run` between two
readings of the same clock).
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from breakeven.case import Budget
from breakeven.hardware.devices import Device, EventApi
from breakeven.measure.phases import Phase
from breakeven.measure.trainer import Trainer

Clock = Callable[[], float]
CLOCK: Clock = time.perf_counter
"""Wall time, in seconds; the same on every device, so that their rows are the same quantity."""

PATIENCE = 5.0
"""A case is hopeless when its fewest rounds are predicted to take this many times its `max_time_s`."""

MAX_WARMUP_ROUNDS = 20_000
"""Ends the warm-up under a clock that stands still."""

MIN_TRUSTED = 16
"""Rounds that are timed however quiet the warm-up was, where the time allows them."""

Z95 = 1.959964
MEDIAN_INFLATION = 1.2533
"""Standard error of a normal sample's median over that of its mean: sqrt(pi / 2)."""


class Round:
    """One timed call of a phase: `setup` untimed, `run` timed; both end synchronized."""

    def __init__(self, phase: Phase, trainer: Trainer) -> None:
        self._phase = phase
        self._placed = trainer
        self._synchronize = trainer.device.synchronize

    def setup(self) -> None:
        """Prepare the phase, and wait until the device is idle."""
        self._phase.prepare(self._placed)
        self._synchronize()

    def run(self) -> None:
        """Run the phase and wait for it. Returns None, so that nothing outlives the round unseen."""
        self._phase.run(self._placed)
        self._synchronize()


@dataclass(frozen=True)
class Timed:
    """Seconds that one round took: to prepare (untimed in results) and to run."""

    prepare_s: float
    latency_s: float

    @property
    def total_s(self) -> float:
        """What the round costs us."""
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
    """Return the seconds of something that happens once, synchronized before and after."""
    device.synchronize()
    start = clock()
    work()
    device.synchronize()
    return clock() - start


@contextmanager
def collection_off() -> Iterator[None]:
    """Collect the younger garbage, then keep the collector off for the length of the block.

    The oldest generation is the session's to collect, between cells: walking it all takes the caches from
    the next 20 to 40 ms, which then read 3 to 5% too much.
    """
    was_on = gc.isenabled()
    gc.collect(1)
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@dataclass(frozen=True)
class Floor:
    """The least that a warm-up takes: `rounds` and `seconds`, whichever ends later."""

    rounds: int = 6
    seconds: float = 0.05


def floor_for(device: Device) -> Floor:
    """Return the warm-up floor: accelerators need 150 ms until their clocks have ramped up."""
    return Floor(seconds=0.15) if device.is_accelerator else Floor()


@dataclass(frozen=True)
class Warmup:
    """What the warm-up saw: its rounds after the first call, and whether their times became steady."""

    rounds: tuple[Timed, ...]
    steady: bool

    @property
    def tail(self) -> tuple[Timed, ...]:
        """The last half of the rounds, at most 100: what the noise is estimated from."""
        return self.rounds[-min(100, max(1, len(self.rounds) // 2)) :]

    @property
    def round_s(self) -> float:
        """Median cost of a round, its preparation included, in seconds."""
        return median(timed.total_s for timed in self.tail)

    @property
    def fastest_s(self) -> float:
        """Cost of the fastest round, its preparation included, in seconds: what a quiet machine needs."""
        return min(timed.total_s for timed in self.rounds)


def warm_up(
    round_: Round, floor: Floor, cap_s: float, seen: Sequence[Timed] = (), clock: Clock = CLOCK
) -> Warmup:
    """Repeat a round until its times are steady.

    Ends when `floor` is reached and the times are steady, or after `cap_s` seconds, whatever comes
    first; there are at least two rounds, those `seen` before counted in. The first call of a phase
    is not part of it: time that apart.
    """
    rounds = list(seen)
    begin = clock()
    look_at = floor.rounds
    steady = False
    while True:
        rounds.append(time_round(round_, clock))
        elapsed = clock() - begin
        if len(rounds) >= look_at and elapsed >= floor.seconds:
            steady = is_steady([timed.latency_s for timed in rounds])
            if steady:
                break
            look_at = len(rounds) + max(3, len(rounds) // 4)
        if (elapsed >= cap_s and len(rounds) >= 2) or len(rounds) >= MAX_WARMUP_ROUNDS:
            steady = is_steady([timed.latency_s for timed in rounds])
            break
    return Warmup(tuple(rounds), steady)


def beyond_steady(early: Sequence[Timed], warmup: Warmup) -> float:
    """Return the seconds that the first calls took beyond steady rounds, their preparation included.

    The very first has no step of an earlier round to finish, so its preparation alone may be the shorter.
    """
    latency_s = median(timed.latency_s for timed in warmup.tail)
    first = max(early[0].latency_s - latency_s, early[0].total_s - warmup.round_s)
    return max(0.0, first + sum(timed.total_s - warmup.round_s for timed in early[1:]))


def is_steady(latencies: Sequence[float]) -> bool:
    """Tell whether the last quarter of the times has the same median as the quarter before it.

    The same means within 1%, or within two standard errors of the difference where noise is larger.
    The noise is that of neighbors' differences, which a trend does not inflate.
    """
    quarter = max(3, len(latencies) // 4)
    if len(latencies) < 2 * quarter:
        return False
    before, last = latencies[-2 * quarter : -quarter], latencies[-quarter:]
    center = median(before)
    if center <= 0:
        return median(last) <= 0
    differences = [later - earlier for earlier, later in pairwise([*before, *last])]
    noise = 1.4826 * _median_deviation(differences) / math.sqrt(2) / center
    error = MEDIAN_INFLATION * noise * math.sqrt(2 / quarter)
    return abs(median(last) / center - 1) <= max(0.01, 2 * error)


def relative_noise(latencies: Sequence[float]) -> float:
    """Return the robust standard deviation (1.4826 x the median deviation) over the median."""
    center = median(latencies)
    if center <= 0:
        return 0.0
    return 1.4826 * _median_deviation(latencies) / center


def _median_deviation(values: Sequence[float]) -> float:
    center = median(values)
    return median(abs(value - center) for value in values)


@dataclass(frozen=True)
class Plan:
    """What pytest-benchmark is asked to do: `lead_in` untimed rounds, then `rounds` timed ones.

    The lead-in is for its own loop, whose first rounds find their code and data uncached.
    `cut_by_budget` tells whether time cut the rounds below the wish.
    """

    rounds: int
    lead_in: int
    cut_by_budget: bool


def plan_rounds(warmup: Warmup, budget: Budget) -> Plan:
    """Return the number of rounds that should bring the median's interval to the wished half-width.

    The noise is the warm-up tail's, so a slow first call never decides. The half-width of a median
    of n normal times is ``1.96 * 1.2533 * noise / sqrt(n)``; the signs' lag-1 correlation rho widens
    its square by ``(1 + rho) / (1 - rho)``, as in an AR(1) process. Twice that is asked for, since a
    short tail tells the noise badly; there are 16 rounds, where the time allows them, for the same
    reason; and cheap rounds are taken freely: 40, where they fit into a twentieth of the time.
    """
    latencies = [timed.latency_s for timed in warmup.tail]
    spread = MEDIAN_INFLATION * Z95 * relative_noise(latencies) / budget.half_width
    wished = math.ceil(2 * spread**2 * correlation_factor(latencies)) + 4
    cost = max(warmup.round_s, 1e-9)
    free = min(40, int(budget.max_time_s / 20 / cost))
    affordable = int(budget.max_time_s / cost)
    wished = min(max(wished, free, budget.min_rounds, MIN_TRUSTED), budget.max_rounds)
    rounds = max(min(wished, affordable), budget.min_rounds)
    lead_in = min(50, int(budget.max_time_s / 100 / cost))
    return Plan(rounds, lead_in, cut_by_budget=rounds < wished)


def correlation_factor(latencies: Sequence[float]) -> float:
    """Return (1 + rho) / (1 - rho) for the lag-1 correlation rho of the times, in [1, 10].

    It is read off the above-median signs, which outliers do not move: those of a normal process
    correlate by ``2 / pi * asin(rho)`` (Sheppard's formula). Fewer than 20 times tell nothing about it: 1.
    """
    if len(latencies) < 20:
        return 1.0
    center = median(latencies)
    signs = [1 if latency > center else -1 for latency in latencies]
    rho = math.sin(math.pi / 2 * sum(a * b for a, b in pairwise(signs)) / (len(signs) - 1))
    return min(10.0, max(1.0, (1 + rho) / max(1e-9, 1 - rho)))


class Forecast:
    """Predicts a case's round from the same case at smaller batches: time grows linearly with the batch."""

    def __init__(self) -> None:
        self._seen: dict[object, dict[int, float]] = {}

    def observe(self, key: object, batch_size: int, seconds: float) -> None:
        """Remember what a round of `key` cost at a batch size."""
        self._seen.setdefault(key, {})[batch_size] = seconds

    def predict(self, key: object, batch_size: int) -> float | None:
        """Return the line through the two largest smaller batches, in seconds; None without two."""
        smaller = sorted(item for item in self._seen.get(key, {}).items() if item[0] < batch_size)[-2:]
        if len(smaller) < 2:
            return None
        (low_batch, low), (high_batch, high) = smaller
        slope = max(0.0, (high - low) / (high_batch - low_batch))
        return high + slope * (batch_size - high_batch)


def hopeless(round_s: float, budget: Budget) -> str | None:
    """Return why a case should not be timed, or None: its fewest rounds cost far more than its budget."""
    needed = budget.min_rounds * round_s
    if needed <= PATIENCE * budget.max_time_s:
        return None
    return (
        f"would take too long: {budget.min_rounds} rounds of about {round_s:.2g} s, {needed:.2g} s in all; "
        f"--benchmark-max-time={math.ceil(needed / PATIENCE)} or more would time it"
    )


def part_seconds(phase: Phase, trainer: Trainer, events: EventApi, rounds: int) -> dict[str, float]:
    """Return the median seconds of each part of a phase, by marks at its borders, and of ``"all"`` of it.

    These are rounds of their own, never the timed ones. A share includes the device's idle gaps while
    it waits for the host.
    """
    device = trainer.device
    shares: dict[str, list[float]] = {name: [] for name, _ in phase.parts}
    for _ in range(rounds):
        phase.prepare(trainer)
        device.synchronize()
        marks = [events.record()]
        for _, part in phase.parts:
            part(trainer)
            marks.append(events.record())
        device.synchronize()
        for (name, _), (start, end) in zip(phase.parts, pairwise(marks), strict=True):
            shares[name].append(events.seconds(start, end))
    medians = {name: median(seconds) for name, seconds in shares.items()}
    totals = [sum(parts) for parts in zip(*shares.values(), strict=True)]
    return {**medians, "all": median(totals)}


@dataclass(frozen=True)
class Enqueued:
    """Seconds for which the host is busy queueing a whole phase, and the transfer in it (0.0 without one).

    `all_s` is a median, `low_s` and `high_s` are the fastest and the slowest round.
    """

    all_s: float
    low_s: float
    high_s: float
    transfer_s: float


def enqueue_seconds(phase: Phase, trainer: Trainer, rounds: int, clock: Clock = CLOCK) -> Enqueued:
    """Return the median seconds until the last of a phase's work is queued: no synchronization at its end.

    These are rounds of their own, never the timed ones. Where the queue is full or a part waits for the
    device (a copy from pageable memory does), the host's waiting counts.
    """
    whole: list[float] = []
    transfers: list[float] = []
    for _ in range(rounds):
        phase.prepare(trainer)
        trainer.device.synchronize()
        start = clock()
        transferred = start
        for name, part in phase.parts:
            part(trainer)
            if name == "transfer":
                transferred = clock()
        whole.append(clock() - start)
        transfers.append(transferred - start)
        trainer.device.synchronize()
    return Enqueued(median(whole), min(whole), max(whole), median(transfers))
