"""Coverage of the 95% intervals, also of correlated rounds."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from breakeven.stats.intervals import (
    autocorrelation_time,
    interval_of_draws,
    median_interval,
    pooled_half_width,
    ratio_of_draws,
    resampled_medians,
)
from support.ar1 import correlated


def with_outliers(rng, n):
    return np.exp(0.05 * rng.standard_normal(n)) * np.where(rng.random(n) < 0.05, 5.0, 1.0)


KINDS = {
    "independent": (lambda rng, n: np.exp(0.05 * rng.standard_normal(n)), 1.0, (0.93, 0.98)),
    "outliers": (with_outliers, math.exp(0.05 * stats.norm.ppf(0.5 / 0.95)), (0.93, 0.98)),
    "AR(.5)": (lambda rng, n: np.exp(0.05 * correlated(0.5, n, 1.0, rng)), 1.0, (0.90, 1.0)),
    "AR(.9)": (lambda rng, n: np.exp(0.05 * correlated(0.9, n, 1.0, rng)), 1.0, (0.82, 1.0)),
}


@pytest.mark.parametrize("n", [100, 101, 300])
@pytest.mark.parametrize("kind", KINDS)
def test_coverage_of_the_median(kind, n):
    draw, truth, (low, high) = KINDS[kind]
    rng = np.random.default_rng(20)
    trials = 2000 if kind in ("independent", "outliers") else 600
    hits = 0
    for _ in range(trials):
        interval = median_interval(draw(rng, n))
        hits += interval.low <= truth <= interval.high
    print(f"coverage {kind} n={n}: {hits / trials:.3f}")
    assert low <= hits / trials <= high


@pytest.mark.parametrize(
    ("n", "low_rank"),
    # Conover, Practical Nonparametric Statistics, table A3: ranks of the median's 95% interval.
    [(6, 1), (8, 1), (9, 2), (10, 2), (12, 3), (15, 4), (20, 6), (25, 8), (30, 10), (50, 18), (100, 40)],
)
def test_ranks_match_the_published_table(n, low_rank):
    # An up-and-down order has negative autocorrelation, so that tau is 1.
    values = np.empty(n)
    values[::2], values[1::2] = np.arange(1, (n + 1) // 2 + 1), np.arange(n, (n + 1) // 2, -1)
    interval = median_interval(values)
    assert interval.tau == 1.0
    assert (interval.low, interval.high) == (low_rank, n + 1 - low_rank)


def test_ranks_widen_with_tau_and_are_rounded_outwards():
    values = correlated(0.5, 100)
    interval = median_interval(values)
    rank = np.searchsorted(np.sort(values), interval.low) + 1
    assert interval.tau > 1
    assert rank <= 50.5 - 10.5 * math.sqrt(interval.tau) < rank + 1


def test_independent_rounds_mostly_have_tau_one():
    rng = np.random.default_rng(9)
    ones = sum(autocorrelation_time(rng.standard_normal(100)) == 1.0 for _ in range(1000))
    assert ones >= 620


def test_tau_of_a_long_correlated_series():
    # Signs of a Gaussian AR(1): correlation (2/pi) asin(rho^k) at lag k.
    lags = np.arange(1, 200)
    for rho in (0.5, 0.9):
        truth = 1 + 2 * np.sum(2 / np.pi * np.arcsin(rho**lags))
        series = correlated(rho, 40_000, 1.0, 5)
        assert autocorrelation_time(series) == pytest.approx(truth, rel=0.15)


def test_drift_widens_the_interval():
    rng = np.random.default_rng(0)
    stepped = np.concatenate([rng.normal(1.0, 0.02, 50), rng.normal(1.1, 0.02, 50)])
    assert median_interval(stepped).half_width > 2 * median_interval(rng.permutation(stepped)).half_width


def test_resampled_medians_match_a_plain_bootstrap():
    rng = np.random.default_rng(1)
    values = np.exp(0.1 * rng.standard_normal(101))
    by_hand = np.median(rng.choice(values, (4000, 101)), axis=1)
    ours = resampled_medians(values, np.random.default_rng(2), 4000)
    for quantile in (0.025, 0.25, 0.5, 0.75, 0.975):
        assert np.quantile(ours, quantile) == pytest.approx(np.quantile(by_hand, quantile), abs=0.004)


def pooled(samples):
    """The half-width of these processes' rounds."""
    rounds, medians = np.array([len(s) for s in samples]), np.array([np.median(s) for s in samples])
    return pooled_half_width(np.concatenate(samples), rounds, medians)


def test_pooled_half_width():
    """Levels that differ between processes do not count, and few rounds a process follow their median."""
    rng = np.random.default_rng(5)
    rounds = np.exp(0.02 * rng.standard_normal((5, 40)))
    levels = np.array([1.0, 1.5, 0.7, 2.0, 1.2])[:, None]
    found = pooled(rounds * levels)
    assert found == pytest.approx(pooled(rounds))
    assert found == pytest.approx(median_interval(rounds.ravel()).half_width, rel=0.3)
    assert pooled([np.array([1.0, 3.0])] * 3) == pytest.approx(math.sqrt(2) / 2)
    assert pooled([np.array([1.0])] * 9) is None
    assert pooled([np.array([1.0, 2.0])] * 2) is None
    assert pooled([np.array([5.0])] * 3 + [np.array([1.0, 3.0])] * 3) == pytest.approx(math.sqrt(2) / 2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=6, max_size=60))
def test_interval_ends_are_values_around_the_median(values):
    interval = median_interval(values)
    assert interval.low in values
    assert interval.high in values
    assert interval.low <= interval.median <= interval.high
    assert interval.tau >= 1


@pytest.mark.parametrize(
    ("rounds", "ends", "half_width"),
    [
        ([5.0, 1.0, 2.0, 4.0, 3.0], (None, 3.0, None), None),
        ([1.0, 2.0, 3.0, 4.0], (None, 2.5, None), None),
        ([1.0, 3.0, 1.0, 3.0, 2.0, 2.0], (1.0, 2.0, 3.0), 0.5),
        ([0.0] * 10, (0.0, 0.0, 0.0), None),
        ([2.0] * 50, (2.0, 2.0, 2.0), 0.0),
        ([1.0, 2.0] * 50, (1.0, 1.5, 2.0), 1 / 3),
    ],
    ids=["few", "even", "relative", "zero", "constant", "alternating"],
)
def test_median_interval(rounds, ends, half_width):
    """Of few rounds, or without a positive correlation, tau is 1."""
    found = median_interval(rounds)
    assert (found.low, found.median, found.high) == ends
    assert (found.half_width, found.n, found.tau) == (half_width, len(rounds), 1.0)


@pytest.mark.parametrize("bad", [[1.0, math.nan], [math.inf, 1.0], [], [[1.0, 2.0]]])
def test_invalid_samples_are_refused(bad):
    with pytest.raises(ValueError, match=r"NaN|one-dimensional"):
        median_interval(bad)


@pytest.mark.parametrize(
    ("medians", "draws", "found"),
    [
        ((0.0, 1.0), ([0.0], [1.0]), (None, None, None)),
        ((1.0, 0.0), ([1.0], [0.0]), (None, None, None)),
        ((1.0, 1.0), ([0.0, 1.0], [1.0, 1.0]), (None, 1.0, None)),
        ((1e300, 1e-300), ([1.0], [1.0]), (None, None, None)),
        ((1e-300, 1e300), ([1.0], [1.0]), (None, None, None)),
        ((1.0, 1.0), ([1e300], [1e-300]), (None, 1.0, None)),
        ((4.0, 1.0), ([2.0] * 10, [1.0] * 10), (pytest.approx(2.0), 4.0, 4.0)),
        ((4.0, 1.0), ([0.1, 99.0] * 50, [1.0] * 100), (pytest.approx(0.1), 4.0, pytest.approx(99.0))),
        ((4.0, 1.0), ([0.1, 101.0] * 50, [1.0] * 100), (None, 4.0, None)),
    ],
)
def test_ratio_of_draws(medians, draws, found):
    """It is unknown for zeros, beyond a float and beyond a factor of 1,000, and has the ratio in it."""
    interval = ratio_of_draws(*medians, *map(np.array, draws))
    assert (interval.low, interval.ratio, interval.high) == found


def test_infinite_and_undefined_draws():
    assert interval_of_draws(np.repeat([-np.inf, 1.0], [10, 90])) == (None, 1.0)
    assert interval_of_draws(np.array([1.0, np.nan])) == (None, None)
