"""A step in the rounds is found where it is, and noise alone is none."""

import numpy as np
import pytest

from breakeven.stats.drift import find_drift

SEEDS = 200


def rounds(seed, n=60, noise=0.02, rho=0.0, step=1.0, at=None):
    """Lognormal rounds of about a millisecond whose logarithm is an AR(1) process, with a step in them."""
    rng = np.random.default_rng(seed)
    state, path = 0.0, []
    for shock in rng.normal(0, noise * np.sqrt(1 - rho**2), n + 50):
        state = rho * state + shock
        path.append(state)
    times = np.exp(path[50:]) * 1e-3
    times[n // 2 if at is None else at :] *= step
    return times


def found(**kwargs):
    return np.mean([find_drift(rounds(seed, **kwargs)) is not None for seed in range(SEEDS)])


def test_a_three_percent_step_in_two_percent_noise_is_found_in_sixty_rounds():
    share = found(step=1.03)
    print(f"3% step, 2% noise, n=60: found {share:.3f}")
    assert share >= 0.90


@pytest.mark.parametrize(("rho", "most"), [(0.0, 0.02), (0.5, 0.08)])
def test_noise_alone_is_no_drift_even_when_rounds_correlate(rho, most):
    share = found(rho=rho)
    print(f"no step, 2% noise, AR({rho}), n=60: false alarms {share:.3f}")
    assert share <= most


@pytest.mark.parametrize("rho", [0.0, 0.5])
def test_loud_noise_is_no_drift_either(rho):
    assert found(noise=0.1, rho=rho) <= 0.08


def test_the_step_is_placed_and_measured():
    drift = find_drift(rounds(3, n=200, noise=0.005, step=1.10, at=120))
    assert drift.round == pytest.approx(120, abs=3)
    assert drift.change == pytest.approx(0.10, abs=0.01)
    assert drift.p <= 0.01


def test_becoming_faster_is_drift_too():
    assert find_drift(rounds(1, n=200, noise=0.005, step=0.9)).change == pytest.approx(-0.1, abs=0.01)


def test_a_sure_but_small_step_concerns_nobody():
    assert find_drift(rounds(1, n=1000, noise=0.001, step=1.01)) is None


def test_one_outlier_is_no_drift():
    times = rounds(1)
    times[30] *= 1000
    assert find_drift(times) is None


@pytest.mark.parametrize(
    "times", [[1.0] * 19, [1.0] * 1000, [0.0] * 50, [0.0] * 25 + [1.0] * 25, [5e-324] * 50]
)
def test_few_equal_zero_and_subnormal_rounds_show_none(times):
    assert find_drift(times) is None


def test_the_same_rounds_always_give_the_same_answer():
    times = rounds(8, step=1.03)
    assert find_drift(times) == find_drift(times)
