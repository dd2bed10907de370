"""The tools that are compared, with a common signature: `measure(function, clock)`.

`function` is a call without arguments, `clock` reads seconds (of a real or of a simulated clock). Every tool
runs with its own defaults. If it has no interval, it is given none, or the one that a user would derive from
its output, as `Tool.interval` records.

Needs pytest-benchmark 5.3 or later, the first with a precision mode.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from types import SimpleNamespace
from typing import Any

import torch
from pytest_benchmark.fixture import BenchmarkFixture
from pytest_benchmark.logger import Logger
from pytest_benchmark.utils import NameWrapper
from scipy.special import stdtrit
from torch.utils.benchmark import Timer

from breakeven.case import Budget
from breakeven.collector import collection_off
from breakeven.measure.round_plan import RoundPlan, plan_rounds
from breakeven.measure.timing import time_round
from breakeven.measure.warmup import MinWarmup, warm_up
from breakeven.stats.intervals import median_interval

Call = Callable[[], object]
Clock = Callable[[], float]

Z95 = 1.959964

PYTEST_BENCHMARK_DEFAULTS: dict[str, Any] = {
    "disable_gc": False,
    "min_rounds": 5,
    "min_time": 0.000005,
    "max_time": 1.0,
    "precision": None,
    "confidence": 0.99,
    "warmup": False,
    "warmup_iterations": 100_000,
    "calibration_precision": 10,
    "cprofile": False,
    "cprofile_loops": 1,
    "cprofile_dump": None,
}
"""What its command line documents as defaults (on CPython, where ``--benchmark-warmup=auto`` is off)."""


@dataclass(frozen=True)
class Measurement:
    """The result of one use of a tool: a center and an interval, in seconds; `low_s` is None without one.

    `rounds` counts the timed calls behind the center, `estimand` is what the center estimates.
    """

    center_s: float
    low_s: float | None
    high_s: float | None
    rounds: int
    estimand: str


@dataclass(frozen=True)
class Tool:
    """A tool and its name in the tables; `interval` is where its interval comes from."""

    name: str
    interval: str
    measure: Callable[[Call, Clock], Measurement]


class CallRound:
    """A plain function as a round, without preparation or synchronization."""

    steps = 1
    clock = None

    def __init__(self, function: Call) -> None:
        self._function = function

    def setup(self) -> None:
        """Prepare nothing."""

    def run(self) -> None:
        """Call the function."""
        self._function()


def planned(round_: Any, minimum: MinWarmup, clock: Clock) -> RoundPlan:
    """Time the first call, warm up and return the number of rounds."""
    time_round(round_, clock)
    second = time_round(round_, clock)
    budget = Budget()
    return plan_rounds(warm_up(round_, minimum, budget.max_time_s, (second,), clock), budget)


def by_breakeven(function: Call, clock: Clock) -> Measurement:
    """Measure as `breakeven.measure.runner` does: separate first call, warm-up, plan, `pedantic`, median."""
    round_ = CallRound(function)
    with collection_off(collect_first=True):
        plan = planned(round_, MinWarmup(), clock)
        benchmark = fixture(clock)
        benchmark.pedantic(
            round_.run, setup=round_.setup, rounds=plan.rounds, warmup_rounds=plan.lead_in, iterations=1
        )
    interval = median_interval(benchmark.stats.stats.data)
    return Measurement(interval.median, interval.low, interval.high, interval.n, "median")


def by_pytest_benchmark(function: Call, clock: Clock) -> Measurement:
    """Measure with ``benchmark(function)`` and its defaults; read the mean and the stddev of its table."""
    return _mean_of(fixture(clock), function)


def by_its_median(function: Call, clock: Clock) -> Measurement:
    """Measure likewise, and read the median of its table."""
    benchmark = fixture(clock)
    benchmark(function)
    stats = benchmark.stats.stats
    return Measurement(stats.median, None, None, stats.rounds * benchmark.stats.iterations, "median")


def by_its_precision(function: Call, clock: Clock) -> Measurement:
    """Measure with ``--benchmark-precision=0.02 --benchmark-confidence=0.95``, otherwise its defaults."""
    return _mean_of(fixture(clock, precision=0.02, confidence=0.95), function)


def fixture(clock: Clock, **changes: Any) -> BenchmarkFixture:
    """Return the ``benchmark`` fixture of a test, with `changes` of its defaults."""
    return BenchmarkFixture(
        SimpleNamespace(name="harness", nodeid="harness"),
        timer=NameWrapper(clock),
        add_stats=[].append,
        logger=Logger(Logger.QUIET),
        warner=None,
        disabled=False,
        **(PYTEST_BENCHMARK_DEFAULTS | changes),
    )


def _mean_of(benchmark: BenchmarkFixture, function: Call) -> Measurement:
    benchmark(function)
    times = benchmark.stats.stats.data
    return mean_reading(times, Z95, len(times) * benchmark.stats.iterations)


def mean_reading(values: Sequence[float], quantile: float, rounds: int) -> Measurement:
    """Return the mean of the values, `quantile` standard errors to either side."""
    center = fmean(values)
    reach = quantile * stdev(values) / math.sqrt(len(values))
    return Measurement(center, center - reach, center + reach, rounds, "mean")


def by_torch(function: Call, clock: Clock) -> Measurement:
    """Measure with ``Timer(...).adaptive_autorange()``, on the current number of threads."""
    timer = Timer(
        "function()", globals={"function": function}, timer=clock, num_threads=torch.get_num_threads()
    )
    found = timer.adaptive_autorange()
    return Measurement(found.median, None, None, len(found.raw_times) * found.number_per_run, "median")


def by_torchs_rule(function: Call, clock: Clock) -> Measurement:
    """Measure by the rule of ``adaptive_autorange``, call for call; for simulated clocks only.

    The Timer sorts all its times after each of up to 10,000 rounds: ten real seconds per reading, which a
    simulated clock does not show. Here they are kept sorted. A test compares the two.
    """
    number = _torchs_block(function, clock)
    ordered: list[float] = []
    total_s, steady = 0.0, False
    while total_s < 0.01 or not steady:
        spent_s = _timeit(function, clock, number)
        insort(ordered, spent_s)
        total_s += spent_s
        steady = len(ordered) > 3 and (
            _quantile(ordered, 0.75) - _quantile(ordered, 0.25) < 0.1 * _quantile(ordered, 0.5)
        )
        if total_s > 10.0:
            break
    return Measurement(_quantile(ordered, 0.5) / number, None, None, len(ordered) * number, "median")


def _torchs_block(function: Call, clock: Clock) -> int:
    """Return the number of calls per timing, so that reading the clock is negligible."""
    overhead_s = sorted(_timeit(function, clock, 0) for _ in range(5))[2]
    number = 1
    while True:
        taken_s = _timeit(function, clock, number)
        if (overhead_s / taken_s <= 1e-4 and taken_s >= 0.05 / 1000) or taken_s > 0.05:
            return number
        number *= 10


def _timeit(function: Call, clock: Clock, number: int) -> float:
    start = clock()
    for _ in range(number):
        function()
    return max(clock() - start, 1e-9)


def _quantile(ordered: Sequence[float], share: float) -> float:
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def by_pyperfs_method(function: Call, clock: Clock) -> Measurement:
    """Measure as pyperf does by default: 20 processes x (1 warm-up + 3 values of at least 100 ms each).

    The loops of a value are doubled until one takes 100 ms, in a separate process. A function with a method
    `fresh_process` restarts in each; others stay in this process, unlike in pyperf. Starting processes is not
    charged.
    """
    fresh_process = getattr(function, "fresh_process", lambda: None)
    fresh_process()
    loops, left = 1, 4
    while left:
        if _timeit(function, clock, loops) < 0.1:
            loops *= 2
        else:
            left -= 1
    values = []
    for _ in range(20):
        fresh_process()
        times = [_timeit(function, clock, loops) / loops for _ in range(4)]
        values += times[1:]
    return mean_reading(values, float(stdtrit(len(values) - 1, 0.975)), len(values) * loops)


DERIVED = "derived: mean +- 1.96 stddev / sqrt(rounds)"

TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool("breakeven", "claimed: order statistics of the median", by_breakeven),
        Tool("pytest-benchmark", DERIVED, by_pytest_benchmark),
        Tool("pytest-benchmark median", "none", by_its_median),
        Tool("pytest-benchmark precision", "claimed: the mean within 2% at 95%", by_its_precision),
        Tool("torch adaptive_autorange", "none", by_torch),
        Tool("pyperf's method", "derived: mean +- t(59) stddev / sqrt(60)", by_pyperfs_method),
    )
}
"""All tools, for real clocks."""

SYNTHETIC_TOOLS: dict[str, Tool] = TOOLS | {
    "torch adaptive_autorange": Tool("torch adaptive_autorange", "none", by_torchs_rule)
}
"""The same for simulated clocks."""
