"""What all cases share, and whether the canary explains it."""

import math

import numpy as np
import pytest
from scipy import stats

from breakeven.compare.common_shift import Shift, canary_shift, common_shift, explains

NOISY = np.random.default_rng(0).standard_normal((30, 5)) * 0.01


def state(seconds, spread=0.01, device="cpu"):
    """A machine's state whose canary took so long at each of three moments."""
    song = {"median_s": seconds, "low_s": seconds * (1 - spread), "high_s": seconds * (1 + spread)}
    return {"canary": {device: dict.fromkeys(("start", "middle", "end"), song)}}


def test_the_shift_is_what_the_middle_case_did_and_a_few_changed_cases_do_not_move_it():
    after = NOISY + math.log(1.08)
    after[:5] += 1.0
    found = common_shift(NOISY, after)
    assert math.exp(found.log_ratio) == pytest.approx(1.08, abs=0.01)
    assert found.is_sure


def test_its_interval_rests_on_runs_and_not_on_cases():
    rng = np.random.default_rng(1)
    levels = [rng.standard_normal(5) * 0.2 for _ in range(2)]
    before, after = (np.tile(level, (400, 1)) for level in levels)
    found = common_shift(before, after)
    known = stats.ttest_ind(levels[1], levels[0]).confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(known.low), pytest.approx(known.high))


def test_one_run_a_side_has_a_shift_without_an_interval_unless_a_floor_lends_its_noise():
    before, after = NOISY[:, :1], NOISY[:, :1] + 0.3
    alone = common_shift(before, after)
    assert (alone.log_ratio, alone.low, alone.high) == (pytest.approx(0.3), None, None)
    assert not alone.is_sure
    beside = common_shift(before, after, floor=NOISY)
    assert beside.is_sure


def test_several_runs_a_side_need_no_floor():
    loud = NOISY * 100
    assert common_shift(NOISY, NOISY + 0.3, floor=loud) == common_shift(NOISY, NOISY + 0.3)


def test_of_fewer_than_three_cases_nobody_knows_what_they_share():
    assert common_shift(NOISY[:2], NOISY[:2]) is None


def test_the_canary_is_read_over_runs_where_there_are_several():
    found = canary_shift([state(1.0), state(1.01)], [state(1.1), state(1.12)], "cpu")
    assert found.log_ratio == pytest.approx(np.log([1.1, 1.12]).mean() - np.log([1.0, 1.01]).mean())
    assert found.is_sure


def test_of_two_single_runs_the_canarys_own_intervals_tell():
    found = canary_shift([state(1.0)], [state(1.1)], "cpu")
    assert (found.low, found.high) == (
        pytest.approx(math.log(1.1 * 0.99 / 1.01)),
        pytest.approx(math.log(1.1 * 1.01 / 0.99)),
    )
    assert canary_shift([state(1.0, spread=0.2)], [state(1.1, spread=0.2)], "cpu").is_sure is False


@pytest.mark.parametrize(
    "broken",
    [{}, {"canary": 3}, {"canary": {"cpu": {"start": {"unreadable": "x"}}}}, state(1, device="cuda")],
)
def test_a_canary_that_did_not_sing_says_nothing(broken):
    assert canary_shift([broken], [state(1.0)], "cpu") is None
    assert canary_shift([state(1.0)], [broken], "cpu") is None


SURE = Shift(math.log(1.10), math.log(1.08), math.log(1.12))


@pytest.mark.parametrize(
    ("canary", "shift", "explained"),
    [
        (SURE, SURE, True),
        (None, SURE, False),
        (SURE, None, False),
        (Shift(SURE.log_ratio, None, None), SURE, False),
        (Shift(SURE.log_ratio, -0.01, 0.3), SURE, False),  # the canary may not have moved at all
        (SURE, Shift(SURE.log_ratio, -0.01, 0.3), False),  # nor the cases
        (Shift(-SURE.log_ratio, -SURE.high, -SURE.low), SURE, False),  # the other way
        (Shift(math.log(1.03), math.log(1.025), math.log(1.035)), SURE, False),  # moved, but by far less
        (Shift(math.log(1.015), math.log(1.001), math.log(1.2)), SURE, False),  # within the threshold
        (Shift(math.log(1.07), math.log(1.05), math.log(1.085)), SURE, True),  # about as much
    ],
)
def test_the_canary_explains_a_shift_that_both_surely_made_alike(canary, shift, explained):
    assert explains(canary, shift, 0.02) is explained


def test_a_run_that_has_none_of_the_common_cases_says_nothing_of_the_shift():
    baseline = np.log(np.ones((4, 2)))
    candidate = np.full((4, 3), np.log(1.1))
    candidate[:, 1] = np.nan
    assert common_shift(baseline, candidate) == common_shift(baseline, candidate[:, [0, 2]])
