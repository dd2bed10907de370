"""Flags from the rounds themselves, each with its evidence."""

import numpy as np
import pytest

from breakeven.errors import MeasurementError
from breakeven.runs.flags import evidence_in, refuse_impossible
from breakeven.stats.intervals import median_interval


def evidence(times, wished=0.02, steady=True, cut_by_budget=False):
    return evidence_in(times, median_interval(times), wished, steady=steady, cut_by_budget=cut_by_budget)


def rounds(noise, n=100):
    return np.exp(np.random.default_rng(0).normal(0, noise, n)) * 1e-3


def test_quiet_rounds_give_no_flag():
    assert evidence(rounds(0.01)) == {}


def test_a_wish_that_was_missed_is_noisy_with_both_widths():
    found = evidence(rounds(0.5))
    assert list(found) == ["noisy"]
    assert found["noisy"]["half_width"] > found["noisy"]["wished"] == 0.02


def test_a_wish_that_time_cut_short_is_budget_too():
    assert list(evidence(rounds(0.5), cut_by_budget=True)) == ["noisy", "budget"]


def test_a_wish_that_was_reached_is_neither_however_short_the_time():
    assert evidence(rounds(0.01), cut_by_budget=True) == {}


def test_five_rounds_are_few():
    assert evidence(rounds(0.01, n=5)) == {"few_rounds": {"rounds": 5}}


def test_a_median_of_zero_is_below_the_clock():
    assert evidence([0.0] * 30) == {"zero_time": {"rounds": 30}}


def test_a_warm_up_that_never_settled_is_said():
    assert list(evidence(rounds(0.01), steady=False)) == ["unsteady"]


def test_a_step_in_the_rounds_is_drift_with_where_and_how_much():
    times = rounds(0.005)
    times[50:] *= 1.2
    drift = evidence(times, wished=1.0)["drift"]
    assert drift["round"] == pytest.approx(50, abs=2)
    assert drift["after_s"] / drift["before_s"] == pytest.approx(1.2, rel=0.02)


def test_one_round_and_equal_rounds_have_an_answer():
    assert list(evidence([1.0])) == ["few_rounds"]
    assert evidence([1.0] * 50) == {}


@pytest.mark.parametrize("wrong", [-1e-9, float("nan"), float("inf"), float("-inf")])
def test_a_time_that_no_clock_can_give_is_refused_with_its_round(wrong):
    with pytest.raises(MeasurementError, match=r"round 3 took .*the clock stepped back"):
        refuse_impossible([1.0, 1.0, 0.0, wrong, 1.0])


def test_zero_and_subnormal_times_are_possible():
    refuse_impossible([0.0, 5e-324, 1.0])
