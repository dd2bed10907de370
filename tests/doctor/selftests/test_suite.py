"""The figures of METHOD, reached by the self-test's own code; and every mutation that it must notice."""

import math

import numpy as np
import pytest

from breakeven.doctor.selftests import coverage, real_clock, simulated_device
from breakeven.doctor.selftests.checks import Check
from breakeven.doctor.selftests.suite import TRUTHS, SelfTest, run_selftest
from breakeven.measure import runner, timing
from breakeven.measure.simulated import SimulatedDevice
from breakeven.measure.timing import Round, Timed
from breakeven.report import estimates
from breakeven.stats import drift, intervals

CHECKS = 18


@pytest.fixture(scope="module")
def figures():
    """One whole self-test."""
    result = run_selftest()
    for check in result.checks:
        print(f"{check.name}: {check.got} (must be {check.must}) {check.note}")
    return {check.name: check for check in result.checks}


def failures(truth):
    """The names of the figures that are not what they must be."""
    return [check.name for check in truth() if not check.passed]


@pytest.mark.slow
def test_every_figure_is_reached_on_this_machine(figures):
    failed = [check for check in figures.values() if not check.passed]
    disturbed = [check for check in failed if "other processes" in check.note]
    assert failed == disturbed, [f"{check.name}: {check.got}, {check.note}" for check in failed]
    if disturbed:
        pytest.skip(f"three attempts were disturbed: {disturbed[0].name} {disturbed[0].got}")


@pytest.mark.slow
def test_the_figures_are_those_that_the_method_names(figures):
    assert len(figures) == CHECKS
    for word in (
        "empty phase",
        "deadline spin",
        "simulated",
        "coverage",
        "drift",
        "break-even",
        "cpu@1",
        "phases' sum",
    ):
        assert any(word in name for name in figures), word


def test_a_synchronize_that_does_nothing_is_noticed(monkeypatch):
    monkeypatch.setattr(SimulatedDevice, "synchronize", lambda _: None)
    assert "device time read in the right phase (simulated)" in failures(simulated_device.synchronization)


@pytest.mark.parametrize("forgotten", ["setup", "run"])
def test_a_round_that_forgets_either_synchronize_is_noticed(forgotten, monkeypatch):
    parts = {
        "setup": lambda self: self.trainer.prepare(self.phase),
        "run": lambda self: self.trainer.run(self.phase),
    }
    monkeypatch.setattr(Round, forgotten, parts[forgotten])
    assert "device time read in the right phase (simulated)" in failures(simulated_device.synchronization)


def test_a_clock_that_is_read_before_the_work_is_waited_for_is_noticed(monkeypatch):
    def too_early(round_, clock):
        begin = clock()
        round_.setup()
        start = clock()
        round_.trainer.run(round_.phase)
        end = clock()
        round_.synchronize()
        return Timed(start - begin, end - start)

    monkeypatch.setattr(simulated_device, "time_round", too_early)
    assert "device time read in the right phase (simulated)" in failures(simulated_device.synchronization)


def test_a_clock_that_is_read_before_the_preparation_is_noticed(monkeypatch):
    def too_wide(round_, clock):
        start = clock()
        round_.setup()
        round_.run()
        return Timed(0.0, clock() - start)

    monkeypatch.setattr(simulated_device, "time_round", too_wide)
    assert "device time read in the right phase (simulated)" in failures(simulated_device.synchronization)


def test_a_check_that_no_longer_sees_a_missing_synchronize_fails_itself(monkeypatch):
    monkeypatch.setattr(simulated_device.ForgetfulDevice, "synchronize", SimulatedDevice.synchronize)
    assert failures(simulated_device.synchronization) == ["a synchronize left out is noticed"]


def test_intervals_without_the_correction_for_autocorrelation_are_noticed(monkeypatch):
    monkeypatch.setattr(intervals, "tau_of_signs", lambda _: 1.0)
    assert failures(coverage.coverage) == [
        "coverage, rounds correlated by 0.5",
        "coverage, rounds correlated by 0.9",
    ]


def test_a_mean_in_place_of_the_median_is_noticed(monkeypatch):
    monkeypatch.setattr(intervals, "_middle", np.mean)
    assert failures(coverage.coverage) == ["bias of the center under the same outliers"]


def test_intervals_that_are_too_narrow_or_too_wide_are_noticed(monkeypatch):
    ranks = intervals._low_rank
    for moved in (5, -5):
        monkeypatch.setattr(intervals, "_low_rank", lambda n, moved=moved: ranks(n) + moved)
        assert "coverage of the 95% interval, independent rounds" in failures(coverage.coverage)


def test_blind_and_nervous_drift_tests_are_noticed(monkeypatch):
    monkeypatch.setattr(drift, "SIGNIFICANCE", 0.0)
    assert failures(coverage.drift) == ["drift found: a 3% step, 2% noise, 60 rounds"]
    monkeypatch.setattr(drift, "SIGNIFICANCE", 1.0)
    monkeypatch.setattr(drift, "MIN_CHANGE", 0.0)
    assert len(failures(coverage.drift)) == 2


def test_draws_that_are_too_narrow_make_the_break_even_fail(monkeypatch):
    monkeypatch.setattr(coverage, "SEEDS", 40)
    draws = estimates.resampled_medians
    monkeypatch.setattr(
        estimates,
        "resampled_medians",
        lambda times, rng: np.median(times) + (draws(times, rng) - np.median(times)) / 9,
    )
    assert failures(coverage.break_even)


def test_a_first_call_that_decides_the_rounds_is_noticed(monkeypatch):
    """As plain `benchmark()` does: as many rounds as fit into the time, if all were like the first."""
    seen = []

    def watched(round_, clock):
        seen.append(timing.time_round(round_, clock))
        return seen[-1]

    def by_the_slowest(warmup, budget):
        slowest = max(timed.latency_s for timed in seen)
        seen.clear()
        return timing.Plan(max(5, int(budget.max_time_s / slowest)), 0, False)

    monkeypatch.setattr(runner, "time_round", watched)
    monkeypatch.setattr(runner, "plan_rounds", by_the_slowest)
    assert "rounds planned after a 1000x slower first call" in failures(simulated_device.slow_first_call)


def test_a_plan_that_wants_too_many_rounds_is_noticed(monkeypatch):
    monkeypatch.setattr(simulated_device, "plan_rounds", lambda *_: timing.Plan(41, 0, False))
    assert failures(simulated_device.planned_rounds) == ["rounds planned for ±2% at 2% noise, median"]


def test_a_device_that_leaves_the_thread_count_alone_is_noticed(monkeypatch):
    monkeypatch.setattr("breakeven.hardware.devices.Cpu.threads", 3)
    assert failures(simulated_device.one_thread) == ["threads of torch inside a round on cpu@1"]


def attempt(lost=0.0, latencies=(1e-2,) * 9, truths=(1e-2,) * 9):
    return {"latencies_s": list(latencies), "truths_s": list(truths), "lost": lost}


def judged(empty, spin):
    overhead, bias = real_clock.judge({"empty": empty, "spin": spin})
    return overhead, bias


def test_the_bias_is_held_against_what_the_spin_itself_saw():
    overhead, bias = judged(
        [attempt(latencies=[4e-7] * 9)], [attempt(latencies=[0.030003] * 9, truths=[0.03] * 9)]
    )
    assert (overhead.reached, overhead.passed, overhead.note) == (4e-7, True, "")
    assert bias.reached == pytest.approx(1e-4)
    assert bias.passed


def test_too_slow_an_empty_phase_and_too_biased_a_spin_fail_in_both_directions():
    overhead, bias = judged([attempt(latencies=[1.1e-6] * 9)], [attempt(latencies=[0.01002] * 9)])
    assert not overhead.passed
    assert not bias.passed
    assert not judged([attempt()], [attempt(latencies=[0.00998] * 9)])[1].passed


def test_the_least_disturbed_attempt_counts_whatever_its_figure_and_the_note_says_so():
    attempts = [attempt(0.5), attempt(0.1, latencies=[0.02] * 9), attempt(0.4)]
    bias = judged([attempt()], attempts)[1]
    assert bias.reached == pytest.approx(1.0)
    assert bias.note.startswith("repeated 2x, since other processes took the core; 10.0% of it")


def test_a_pytest_that_does_not_run_fails_both_figures_and_says_why(monkeypatch, tmp_path):
    monkeypatch.setattr(real_clock, "PROBE", tmp_path / "absent.py")
    checks = real_clock.real_time()
    assert [check.reached for check in checks] == [None, None]
    assert all("pytest gave no timing: " in check.note for check in checks)
    assert not any(check.passed for check in checks)


def test_a_truth_that_raises_has_failed_and_the_others_still_run():
    def broken_truth():
        raise RuntimeError("no such device")

    told = []
    result = run_selftest([broken_truth, lambda: [Check("one", 1.0, at_least=1.0)]], told.append)
    assert [check.passed for check in result.checks] == [False, True]
    assert result.checks[0].note == "RuntimeError: no such device"
    assert told[0] == "broken truth"
    assert not result.passed
    assert result.summary == "Self-test failed: 1 of 2 figures: broken truth."


@pytest.mark.parametrize(
    ("check", "passed", "must", "got"),
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
def test_a_figure_is_held_against_its_bounds_and_says_both(check, passed, must, got):
    assert (check.passed, check.must, check.got) == (passed, must, got)


def test_a_passed_self_test_says_how_many_figures_and_how_long():
    assert SelfTest((Check("x", 1.0, 1.0),), 12.3).summary == "Self-test passed: 1 of 1 figures, in 12 s."
    assert len({truth.__name__ for truth in TRUTHS}) == len(TRUTHS)
