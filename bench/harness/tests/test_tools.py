"""Every tool, timing functions whose time is exact."""

import itertools
import math

import pytest
import torch
from synthetic import BASE_S, DISTRIBUTIONS, TICK_S, SyntheticFunction, TickingClock
from tools import (
    PYTEST_BENCHMARK_DEFAULTS,
    SYNTHETIC_TOOLS,
    TOOLS,
    by_pyperfs_method,
    by_torch,
    by_torchs_rule,
    mean_reading,
)


class Steps:
    """A function that takes given seconds on its own clock; the last one repeats."""

    def __init__(self, *seconds):
        self.clock = TickingClock()
        self.calls = 0
        self._seconds = itertools.chain(seconds, itertools.repeat(seconds[-1]))

    def __call__(self):
        self.calls += 1
        self.clock.now += next(self._seconds)


@pytest.mark.parametrize("tool", SYNTHETIC_TOOLS.values(), ids=lambda tool: tool.name)
def test_equal_calls_are_read_exactly(tool):
    function = Steps(BASE_S)
    reading = tool.measure(function, function.clock)
    assert reading.center_s == pytest.approx(BASE_S, abs=1.01 * TICK_S)
    if reading.low_s is not None:
        assert reading.low_s == pytest.approx(BASE_S, abs=1.01 * TICK_S)
        assert reading.high_s == pytest.approx(BASE_S, abs=1.01 * TICK_S)
    assert 5 <= reading.rounds <= function.calls


@pytest.mark.parametrize(
    ("tool", "estimand", "claims"),
    [("breakeven", "median", True), ("pytest-benchmark", "mean", True),
     ("pytest-benchmark median", "median", False), ("pytest-benchmark precision", "mean", True),
     ("torch adaptive_autorange", "median", False), ("pyperf's method", "mean", True)],
)  # fmt: skip
def test_estimand_and_interval(tool, estimand, claims):
    function = Steps(BASE_S)
    reading = TOOLS[tool].measure(function, function.clock)
    assert reading.estimand == estimand
    assert (reading.low_s is not None) == claims == (TOOLS[tool].interval != "none")


def test_pytest_benchmark_defaults(pytestconfig):
    """They match pytest-benchmark's command line."""
    given = {name: pytestconfig.getoption(f"benchmark_{name}") for name in PYTEST_BENCHMARK_DEFAULTS}
    given["cprofile"] = bool(given["cprofile"])  # its option is the column to sort by
    given["cprofile_dump"] = given["cprofile_dump"] or None
    assert {name: value and float(value) for name, value in given.items()} == PYTEST_BENCHMARK_DEFAULTS


def test_pytest_benchmark_rounds():
    """A slow first call determines the number of rounds."""
    function = Steps(1.5, BASE_S)
    assert TOOLS["pytest-benchmark"].measure(function, function.clock).rounds == 5
    function = Steps(1.5, BASE_S)
    assert TOOLS["breakeven"].measure(function, function.clock).rounds == 40


def test_precision_mode_stops_at_its_min_rounds():
    function = Steps(BASE_S)
    assert TOOLS["pytest-benchmark precision"].measure(function, function.clock).rounds == 5


@pytest.mark.parametrize("name", ["quiet", "outliers", "warm-up ramp", "slow first call"])
@pytest.mark.parametrize("repetition", range(5))
def test_torchs_rule(name, repetition):
    """It makes the same calls as torch."""
    readings = []
    for measure in (by_torch, by_torchs_rule):
        clock = TickingClock()
        reading = measure(SyntheticFunction(DISTRIBUTIONS[name], clock, repetition), clock)
        readings.append((reading.rounds, reading.center_s, clock.now))
    assert readings[0] == pytest.approx(readings[1])


def test_torchs_rule_with_short_calls():
    """Short calls are timed in blocks, as in torch."""
    found = []
    for measure in (by_torch, by_torchs_rule):
        function = Steps(20e-6)
        found.append((measure(function, function.clock).rounds, function.calls))
    assert found[0] == found[1]
    assert found[0][0] % 10 == 0


def test_torch_keeps_the_threads_that_are_set():
    function, seen = Steps(BASE_S), set()
    by_torch(lambda: (function(), seen.add(torch.get_num_threads())), function.clock)
    assert seen == {torch.get_num_threads()}


def test_pyperfs_method():
    """It takes sixty values of 100 ms in twenty processes."""
    function, processes = Steps(BASE_S), []
    function.fresh_process = lambda: processes.append(function.calls)
    reading = by_pyperfs_method(function, function.clock)
    # 1 + 2 + 4 + ... + 64 calls are too few for 100 ms; four times 128 are enough.
    assert processes[:2] == [0, 127 + 4 * 128]
    assert len(processes) == 1 + 20
    assert set(map(int.__sub__, processes[2:], processes[1:])) == {4 * 128}
    assert reading.rounds == 60 * 128


def test_interval_of_a_mean():
    reading = mean_reading([1.0, 2.0, 3.0], quantile=2.0, rounds=3)
    assert (reading.low_s, reading.center_s, reading.high_s) == pytest.approx(
        (2 - 2 / math.sqrt(3), 2, 2 + 2 / math.sqrt(3))
    )
