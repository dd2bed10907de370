"""The self-tests pass on this machine, and fail when breakeven is broken on purpose."""

import math

import numpy as np
import pytest

from breakeven.doctor.selftests import SELF_TESTS, coverage, real_clock, simulated_device
from breakeven.doctor.selftests.suite import Check, SelfTestResult, run_selftests
from breakeven.measure import round_plan, runner, timing
from breakeven.measure.simulated import SimulatedDevice
from breakeven.measure.timing import Round, Timed
from breakeven.report import estimates
from breakeven.stats import drift, intervals

CHECKS = 18
EXACT = "device time measured in the right phase (simulated)"


@pytest.fixture(scope="module")
def figures():
    """The checks of all self-tests by name."""
    result = run_selftests(SELF_TESTS, lambda _: None)
    for check in result.checks:
        print(f"{check.name}: {check.reached_text} (bounds: {check.bounds_text}) {check.note}")
    return {check.name: check for check in result.checks}


def failures(selftest):
    """The names of the checks that fail."""
    return [check.name for check in selftest() if not check.passed]


@pytest.mark.slow
def test_every_check_passes_here(figures):
    failed = [check for check in figures.values() if not check.passed]
    disturbed = [check for check in failed if "other processes" in check.note]
    assert failed == disturbed, [f"{check.name}: {check.reached_text}, {check.note}" for check in failed]
    if disturbed:
        pytest.skip(f"three attempts were disturbed: {disturbed[0].name} {disturbed[0].reached_text}")


@pytest.mark.slow
def test_all_checks(figures):
    assert len(figures) == CHECKS
    for word in (
        "empty phase",
        "deadline spin",
        "simulated",
        "coverage",
        "drift",
        "break-even",
        "cpu@1",
        "sum of the phases",
    ):
        assert any(word in name for name in figures), word


def too_early(round_, clock):
    """Time a round without waiting for its end."""
    round_.setup()
    start = clock()
    round_.trainer.run(round_.phase)
    end = clock()
    round_.synchronize()
    return Timed(0.0, end - start)


def too_wide(round_, clock):
    """Time a round with its preparation."""
    start = clock()
    round_.setup()
    round_.run()
    return Timed(0.0, clock() - start)


@pytest.mark.parametrize(
    ("where", "name", "broken"),
    [
        (SimulatedDevice, "synchronize", lambda _: None),
        (Round, "setup", lambda self: self.trainer.prepare(self.phase)),
        (Round, "run", lambda self: self.trainer.run(self.phase)),
        (simulated_device, "time_round", too_early),
        (simulated_device, "time_round", too_wide),
    ],
)
def test_wrong_synchronization(where, name, broken, monkeypatch):
    monkeypatch.setattr(where, name, broken)
    assert EXACT in failures(simulated_device.synchronization)


def test_blind_check_fails(monkeypatch):
    monkeypatch.setattr(simulated_device.ForgetfulDevice, "synchronize", SimulatedDevice.synchronize)
    assert failures(simulated_device.synchronization) == ["a missing synchronize is noticed"]


def test_intervals_without_autocorrelation(monkeypatch):
    monkeypatch.setattr(intervals, "autocorrelation_time", lambda _: 1.0)
    assert failures(coverage.coverage) == [
        "coverage, rounds correlated by 0.5",
        "coverage, rounds correlated by 0.9",
    ]


def test_mean_instead_of_median(monkeypatch):
    monkeypatch.setattr(intervals, "median_of_sorted", np.mean)
    assert failures(coverage.coverage) == ["bias of the center with the same outliers"]


def test_intervals_too_narrow_or_too_wide(monkeypatch):
    ranks = intervals._low_rank
    for moved in (5, -5):
        monkeypatch.setattr(intervals, "_low_rank", lambda n, moved=moved: ranks(n) + moved)
        assert "coverage of the 95% interval, independent rounds" in failures(coverage.coverage)


def test_broken_drift_test(monkeypatch):
    """A drift test without power, or with false alarms, fails."""
    monkeypatch.setattr(drift, "SIGNIFICANCE", 0.0)
    assert failures(coverage.drift) == ["drift found: 3% step, 2% noise, 60 rounds"]
    monkeypatch.setattr(drift, "SIGNIFICANCE", 1.0)
    monkeypatch.setattr(drift, "MIN_CHANGE", 0.0)
    assert len(failures(coverage.drift)) == 2


def test_break_even_draws_too_narrow(monkeypatch):
    monkeypatch.setattr(coverage, "SEEDS", 40)
    draws = estimates.resampled_medians
    monkeypatch.setattr(
        estimates,
        "resampled_medians",
        lambda times, rng: np.median(times) + (draws(times, rng) - np.median(times)) / 9,
    )
    assert failures(coverage.break_even)


@pytest.mark.slow
def test_rounds_planned_from_the_first_call(monkeypatch):
    """As many rounds as fit into the time if all took as long as the first, as plain `benchmark()` plans."""
    seen = []

    def watched(round_, clock):
        seen.append(timing.time_round(round_, clock))
        return seen[-1]

    def by_the_slowest(warmup, budget, *_):
        slowest = max(timed.latency_s for timed in seen)
        seen.clear()
        return round_plan.RoundPlan(max(5, int(budget.max_time_s / slowest)), 0)

    monkeypatch.setattr(runner, "time_round", watched)
    monkeypatch.setattr(runner, "plan_rounds", by_the_slowest)
    assert "cases planned alike after a first call of 1, 10 and 60 s" in failures(
        simulated_device.slow_first_call
    )


def test_too_many_rounds(monkeypatch):
    monkeypatch.setattr(simulated_device, "plan_rounds", lambda *_: round_plan.RoundPlan(41, 0))
    assert failures(simulated_device.planned_rounds) == ["rounds planned for ±2% at 2% noise, median"]


def test_thread_count_not_set(monkeypatch):
    monkeypatch.setattr("breakeven.hardware.devices.Cpu.threads", 3)
    assert failures(simulated_device.one_thread) == ["threads of torch inside a round on cpu@1"]


def attempt(lost=0.0, latencies=(1e-2,) * 9, true=(1e-2,) * 9):
    return {"latencies_s": list(latencies), "true_s": list(true), "lost": lost}


def judged(empty, spin):
    overhead, bias = real_clock.checks_of({"empty": empty, "spin": spin})
    return overhead, bias


def test_bias_is_relative_to_the_true_length():
    overhead, bias = judged(
        [attempt(latencies=[4e-7] * 9)], [attempt(latencies=[0.030003] * 9, true=[0.03] * 9)]
    )
    assert (overhead.reached, overhead.passed, overhead.note) == (4e-7, True, "")
    assert bias.reached == pytest.approx(1e-4)
    assert bias.passed


def test_slow_empty_phase_and_biased_spin():
    """A bias fails in both directions."""
    overhead, bias = judged([attempt(latencies=[1.1e-6] * 9)], [attempt(latencies=[0.01002] * 9)])
    assert not overhead.passed
    assert not bias.passed
    assert not judged([attempt()], [attempt(latencies=[0.00998] * 9)])[1].passed


def test_least_disturbed_attempt_counts():
    attempts = [attempt(0.5), attempt(0.1, latencies=[0.02] * 9), attempt(0.4)]
    bias = judged([attempt()], attempts)[1]
    assert bias.reached == pytest.approx(1.0)
    assert bias.note.startswith("repeated 2x because other processes took the core; 10.0% of it")


def test_pytest_does_not_run(monkeypatch, tmp_path):
    monkeypatch.setattr(real_clock, "PROBE", tmp_path / "absent.py")
    checks = real_clock.real_time()
    assert [check.reached for check in checks] == [None, None]
    assert all("pytest measured nothing: " in check.note for check in checks)
    assert not any(check.passed for check in checks)


def test_selftest_that_raises():
    def broken_selftest():
        raise RuntimeError("no such device")

    names = []
    result = run_selftests([broken_selftest, lambda: [Check("one", 1.0, at_least=1.0)]], names.append)
    assert [check.passed for check in result.checks] == [False, True]
    assert result.checks[0].note == "RuntimeError: no such device"
    assert names[0] == "broken selftest"
    assert not result.passed
    assert result.summary == "Self-test failed: 1 of 2 figures: broken selftest."


@pytest.mark.parametrize(
    ("check", "passed", "bounds", "reached"),
    [
        (Check("x", 0.95, 0.93, 0.98), True, "93% to 98%", "95%"),
        (Check("x", 0.99, 0.93, 0.98), False, "93% to 98%", "99%"),
        (Check("x", 1e-6, at_most=1e-6, unit="s"), True, "at most 1 us", "1 us"),
        (Check("x", math.nan, at_most=1.0), False, "at most 100%", "nan%"),
        (Check("x", None, at_least=0.9), False, "at least 90%", "nothing"),
        (Check("x", 1, 1, 1, "threads"), True, "1 thread", "1 thread"),
        (Check("x", 1e-9, at_most=0.01), True, "at most 1%", "below 0.001%"),
    ],
)
def test_bounds(check, passed, bounds, reached):
    assert (check.passed, check.bounds_text, check.reached_text) == (passed, bounds, reached)


def test_summary():
    assert (
        SelfTestResult((Check("x", 1.0, 1.0),), 12.3).summary == "Self-test passed: 1 of 1 figures, in 12 s."
    )
    assert len({selftest.__name__ for selftest in SELF_TESTS}) == len(SELF_TESTS)
