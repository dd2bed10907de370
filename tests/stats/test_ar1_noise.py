"""AR(1) noise: both estimates, with and without correlation, steps and spikes."""

import numpy as np
import pytest

from breakeven.stats.ar1_noise import (
    MIN_SD,
    AR1Noise,
    noise_from_differences,
    noise_from_residuals,
    winsorize,
)
from support.ar1 import correlated


@pytest.mark.parametrize("rho", [0.0, 0.5])
def test_both_estimates_on_a_long_series(rho):
    values = correlated(rho, 5000, 0.02)
    for noise in (noise_from_differences(values), noise_from_residuals(values - values.mean(), 1)):
        assert noise.sd == pytest.approx(0.02, rel=0.08)
        assert noise.rho == pytest.approx(rho, abs=0.06)


def test_steps():
    """Steps hardly change the noise from differences."""
    values = correlated(0.0, 300, 0.02)
    stepped = values + np.repeat([0.0, 0.5, -0.3], 100)
    assert noise_from_differences(stepped).sd == pytest.approx(noise_from_differences(values).sd, rel=0.1)


def test_few_runs():
    """Their correlation is shrunk toward the typical one."""
    assert 0.1 < noise_from_residuals(np.array([1.0, -1.0, 1.0, -1.0, 0.5, -0.5]), 1).rho < 0.3


def test_fitted_levels():
    """They do not bias the correlation."""
    estimates = []
    for seed in range(200):
        parts = correlated(0.5, 40, 0.02, seed).reshape(4, 10)
        estimates.append(noise_from_residuals((parts - parts.mean(axis=1, keepdims=True)).ravel(), 4).rho)
    shrunk = (40 * 0.5 + 30 * 0.35) / 70
    assert np.mean(estimates) == pytest.approx(shrunk, abs=0.04)


def test_error_of_mean_matches_simulation():
    noise = AR1Noise(1.0, 0.5)
    means = correlated(0.5, 200_000).reshape(-1, 5).mean(axis=1)
    assert noise.error_of_mean(5) == pytest.approx(means.std(), rel=0.02)
    assert AR1Noise(2.0, 0.0).error_of_mean(4) == 1.0


def test_constant_series_has_the_minimum_noise():
    assert noise_from_differences(np.ones(20)) == AR1Noise(MIN_SD, 0.0)
    assert noise_from_residuals(np.zeros(20), 1) == AR1Noise(MIN_SD, 0.0)


def test_winsorize_clips_spikes_and_keeps_steps():
    values = np.repeat([0.0, 0.1], [15, 5])
    values[7] = 0.5
    winsorized = winsorize(values, AR1Noise(0.01, 0.0))
    assert winsorized[7] == pytest.approx(0.025)
    np.testing.assert_array_equal(np.delete(winsorized, 7), np.delete(values, 7))
