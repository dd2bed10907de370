"""Drift: power, false alarms, place and size of the step."""

import numpy as np
import pytest

from breakeven.stats.drift import find_drift
from support.ar1 import correlated

SEEDS = 200


def rounds(seed, n=60, noise=0.02, rho=0.0, step=1.0, at=None):
    """Lognormal rounds of about a millisecond whose logarithm is an AR(1) process, with a step in them."""
    times = np.exp(correlated(rho, n, noise, seed)) * 1e-3
    times[n // 2 if at is None else at :] *= step
    return times


def found(**kwargs):
    return np.mean([find_drift(rounds(seed, **kwargs)) is not None for seed in range(SEEDS)])


def test_power():
    """A 3% step in 2% noise is found in 60 rounds, 9 times in 10."""
    share = found(step=1.03)
    print(f"3% step, 2% noise, n=60: found {share:.3f}")
    assert share >= 0.90


@pytest.mark.parametrize(("rho", "limit"), [(0.0, 0.02), (0.5, 0.08)])
def test_false_alarms(rho, limit):
    share = found(rho=rho)
    print(f"no step, 2% noise, AR({rho}), n=60: false alarms {share:.3f}")
    assert share <= limit


def test_place_and_size_of_the_step():
    drift = find_drift(rounds(3, n=200, noise=0.005, step=1.10, at=120))
    assert drift.round == pytest.approx(120, abs=3)
    assert drift.change == pytest.approx(0.10, abs=0.01)
    assert drift.p <= 0.01


def test_outlier_is_not_drift():
    times = rounds(1)
    times[30] *= 1000
    assert find_drift(times) is None


@pytest.mark.parametrize(
    "times", [[1.0] * 19, [1.0] * 1000, [0.0] * 50, [0.0] * 25 + [1.0] * 25, [5e-324] * 50]
)
def test_degenerate_rounds_show_no_drift(times):
    assert find_drift(times) is None
