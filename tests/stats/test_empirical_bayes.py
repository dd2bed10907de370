"""Empirical Bayes variances: prior, posterior, and pooled degrees of freedom."""

import numpy as np
import pytest
from scipy.special import polygamma

from breakeven.stats.empirical_bayes import (
    Prior,
    fit_prior,
    mean_squared_correlation,
    pooled_df,
    shrink_variances,
)


def drawn(rng, cases, df, prior_df, variance):
    """Sample variances whose true values follow a scaled inverse chi-square distribution."""
    true = variance * prior_df / rng.chisquare(prior_df, cases) if np.isfinite(prior_df) else variance
    return true * rng.chisquare(df, cases) / df


def test_fit_prior_recovers_the_true_prior():
    rng = np.random.default_rng(0)
    found = fit_prior(drawn(rng, 20_000, 8, 4.0, 0.01), np.full(20_000, 8.0))
    assert found.df == pytest.approx(4.0, rel=0.1)
    assert found.variance == pytest.approx(0.01, rel=0.05)


def test_equal_noise():
    """The prior has many degrees of freedom."""
    rng = np.random.default_rng(1)
    found = fit_prior(drawn(rng, 400, 8, np.inf, 0.0004), np.full(400, 8.0))
    assert found.df > 100
    assert found.variance == pytest.approx(0.0004, rel=0.1)


def test_one_case_has_no_prior():
    assert fit_prior(np.array([0.1]), np.array([8.0])) == Prior(0.0, 0.0)
    variance, df = shrink_variances(np.array([0.1]), np.array([8.0]), Prior(0.0, 0.0))
    assert (variance.tolist(), df.tolist()) == ([0.1], [8.0])


def test_cases_without_two_runs_get_the_prior():
    variances, df = np.array([0.01, 0.02, np.nan]), np.array([4.0, 4.0, 0.0])
    prior = fit_prior(variances, df)
    assert prior == fit_prior(variances[:2], df[:2])
    posterior, total = shrink_variances(variances, df, Prior(0.015, 6.0))
    assert posterior[2] == 0.015
    assert total.tolist() == [10.0, 10.0, 6.0]


def test_posterior_is_the_weighted_mean():
    """Prior and own variance are weighted by their degrees of freedom."""
    posterior, total = shrink_variances(np.array([0.04]), np.array([2.0]), Prior(0.01, 6.0))
    assert posterior[0] == pytest.approx((6 * 0.01 + 2 * 0.04) / 8)
    assert total[0] == 8.0


def test_identical_runs_have_a_variance():
    prior = fit_prior(np.zeros(5), np.full(5, 8.0))
    posterior, _ = shrink_variances(np.zeros(5), np.full(5, 8.0), prior)
    assert (posterior > 0).all()


def test_shared_noise_counts_once():
    common = np.array([1.0, -2.0, 1.0, 0.5, -0.5])
    residuals = np.outer(np.linspace(1, 3, 50), common - common.mean())
    assert mean_squared_correlation(residuals, 4) == pytest.approx(1.0)
    assert pooled_df(50, 4, 1.0) == pytest.approx(4.0)


def test_shared_sampling_error():
    # All cases share their noise up to a factor. Were the sampling error independent, the variances would
    # differ no more than by chance.
    """It is subtracted from the spread."""
    rng = np.random.default_rng(3)
    loudness = np.exp(rng.standard_normal(500) * 0.5)
    variances = loudness * 0.3  # one draw of the shared part
    df = np.full(500, 2.0)
    assert fit_prior(variances, df).df == np.inf
    assert fit_prior(variances, df, squared_correlation=1.0).df < 20


@pytest.mark.parametrize("excess", [1e-9, 1e-5, 1e-3, 0.5, 30.0, 1e5])
def test_prior_explains_the_excess_spread(excess):
    # With this many degrees of freedom the variances have no sampling error: all of their spread is excess.
    apart = np.sqrt(2 * excess)
    prior = fit_prior(np.exp([apart, 0.0]), np.full(2, 1e15))
    assert float(polygamma(1, prior.df / 2)) == pytest.approx(excess, rel=1e-3)
