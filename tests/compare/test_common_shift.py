"""The shift that all cases share, and whether the canary explains it."""

import math

import numpy as np
import pytest
from scipy import stats

from breakeven.compare.common_shift import Shift, canary_shift, common_shift, explains

NOISY = np.random.default_rng(0).standard_normal((30, 5)) * 0.01


def state(seconds, spread=0.01, device="cpu"):
    """A machine's state whose canary took this time at each of three moments."""
    sample = {"median_s": seconds, "low_s": seconds * (1 - spread), "high_s": seconds * (1 + spread)}
    return {"canary": {device: dict.fromkeys(("start", "middle", "end"), sample)}}


def test_median_case():
    """The shift is that of the median case: a few cases that changed do not move it."""
    after = NOISY + math.log(1.08)
    after[:5] += 1.0
    found = common_shift(NOISY, after)
    assert math.exp(found.log_ratio) == pytest.approx(1.08, abs=0.01)
    assert found.is_significant


def test_interval_is_over_runs():
    """400 cases that move together have the same interval as one."""
    rng = np.random.default_rng(1)
    levels = [rng.standard_normal(5) * 0.2 for _ in range(2)]
    before, after = (np.tile(level, (400, 1)) for level in levels)
    found = common_shift(before, after)
    known = stats.ttest_ind(levels[1], levels[0]).confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(known.low), pytest.approx(known.high))


@pytest.mark.parametrize(("apart", "known"), [(1.1, True), (1.2, False)])
def test_runs_too_far_apart(apart, known):
    """With two runs per side, both `apart`: sd = apart / sqrt(2), and t(2) = 4.303 of it to a side."""
    before = np.tile([0.0, apart], (3, 1))
    found = common_shift(before, before)
    assert (found.low is not None, found.high is not None) == (known, known)


def test_single_runs():
    """One run per side has a shift, and an interval only with a noise floor."""
    before, after = NOISY[:, :1], NOISY[:, :1] + 0.3
    alone = common_shift(before, after)
    assert (alone.log_ratio, alone.low, alone.high) == (pytest.approx(0.3), None, None)
    assert not alone.is_significant
    with_floor = common_shift(before, after, floor=NOISY)
    assert with_floor.is_significant


def test_run_without_common_cases():
    """A run without any of the common cases does not count."""
    baseline = np.log(np.ones((4, 2)))
    candidate = np.full((4, 3), np.log(1.1))
    candidate[:, 1] = np.nan
    assert common_shift(baseline, candidate) == common_shift(baseline, candidate[:, [0, 2]])


@pytest.mark.parametrize(
    ("low", "high", "exceeds"),
    [(0.03, 0.05, True), (0.01, 0.05, False), (-0.05, -0.03, True), (-0.05, -0.01, False)],
)
def test_exceeds(low, high, exceeds):
    """The whole interval must be beyond the limit, in either direction."""
    assert Shift((low + high) / 2, low, high).exceeds(0.02) is exceeds


def test_canary_over_runs():
    found = canary_shift([state(1.0), state(1.01)], [state(1.1), state(1.12)], "cpu")
    assert found.log_ratio == pytest.approx(np.log([1.1, 1.12]).mean() - np.log([1.0, 1.01]).mean())
    assert found.is_significant


def test_canary_of_single_runs():
    """The interval spans the two runs' own intervals."""
    found = canary_shift([state(1.0)], [state(1.1)], "cpu")
    assert (found.low, found.high) == (
        pytest.approx(math.log(1.1 * 0.99 / 1.01)),
        pytest.approx(math.log(1.1 * 1.01 / 0.99)),
    )
    assert canary_shift([state(1.0, spread=0.2)], [state(1.1, spread=0.2)], "cpu").is_significant is False


@pytest.mark.parametrize(
    "broken",
    [{}, {"canary": 3}, {"canary": {"cpu": {"start": {"unreadable": "x"}}}}, state(1, device="cuda")],
)
def test_no_canary(broken):
    """Without samples on both sides nothing is known."""
    assert canary_shift([broken], [state(1.0)], "cpu") is None
    assert canary_shift([state(1.0)], [broken], "cpu") is None


SHIFT = Shift(math.log(1.10), math.log(1.08), math.log(1.12))


@pytest.mark.parametrize(
    ("canary", "shift", "explained"),
    [
        (SHIFT, SHIFT, True),
        (None, SHIFT, False),
        (SHIFT, None, False),
        (Shift(SHIFT.log_ratio, None, None), SHIFT, False),
        (Shift(SHIFT.log_ratio, -0.01, 0.3), SHIFT, False),  # the canary may not have moved at all
        (SHIFT, Shift(SHIFT.log_ratio, -0.01, 0.3), False),  # the cases may not have moved
        (Shift(-SHIFT.log_ratio, -SHIFT.high, -SHIFT.low), SHIFT, False),  # the opposite direction
        (Shift(math.log(1.03), math.log(1.025), math.log(1.035)), SHIFT, False),  # by far less
        (Shift(math.log(1.015), math.log(1.001), math.log(1.2)), SHIFT, False),  # within the threshold
        (Shift(math.log(1.07), math.log(1.05), math.log(1.085)), SHIFT, True),  # about as much
    ],
)
def test_explains(canary, shift, explained):
    """A canary explains a shift in the same direction, if both are significant and overlap."""
    assert explains(canary, shift, 0.02) is explained
