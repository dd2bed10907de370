"""Empirical Bayes variances: each case's run-to-run noise, improved by that of all cases.

This is the variance step of limma (Smyth, Statistical Applications in Genetics and Molecular Biology 3,
2004). A few runs show little about the noise of one case, but four hundred cases show much about typical
noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import polygamma, psi

Array = NDArray[np.float64]

MIN_VARIANCE = 1e-12
"""Of a log median: a clock cannot distinguish times that agree to one part in a million."""


@dataclass(frozen=True)
class Prior:
    """The distribution of variances over all cases: scaled inverse chi-square, of `df` around `variance`.

    `df` is 0 if nothing is known (fewer than two cases with two runs), and infinite where the variances
    differ no more than by chance.
    """

    variance: float
    df: float


def fit_prior(variances: Array, df: Array, squared_correlation: float = 0.0) -> Prior:
    """Return the prior of the sample variances, fitted by the moments of their logarithms.

    Args:
        variances: shape (cases,), of log times.
        df: shape (cases,), the degrees of freedom of each; cases with 0 are ignored.
        squared_correlation: as `mean_squared_correlation` returns it. All variances share this part of their
            sampling error, so it cannot explain why they differ.
    """
    known = df > 0
    if known.sum() < 2:
        return Prior(0.0, 0.0)
    half = df[known] / 2
    logs = np.log(np.maximum(variances[known], MIN_VARIANCE)) - psi(half) + np.log(half)
    center = float(logs.mean())
    excess = float(logs.var(ddof=1) - (1 - squared_correlation) * polygamma(1, half).mean())
    if excess <= 0:
        return Prior(math.exp(center), math.inf)
    half_prior = _inverse_trigamma(excess)
    return Prior(math.exp(center + float(psi(half_prior)) - math.log(half_prior)), 2 * half_prior)


def shrink_variances(variances: Array, df: Array, prior: Prior) -> tuple[Array, Array]:
    """Return the posterior variances and their degrees of freedom, each of shape (cases,)."""
    if prior.df == 0:
        return np.maximum(variances, MIN_VARIANCE), df.astype(float)
    if math.isinf(prior.df):
        return np.full(len(df), max(prior.variance, MIN_VARIANCE)), np.full(len(df), math.inf)
    known = np.where(df > 0, variances, 0.0)
    posterior = (prior.df * prior.variance + df * known) / (prior.df + df)
    return np.maximum(posterior, MIN_VARIANCE), df + prior.df


def mean_squared_correlation(residuals: Array, df: int) -> float:
    """Return the mean squared correlation between the noise of two cases: 0 is independent, 1 is shared.

    Cases of a run share a process and a moment, and so part of their noise. The square of a correlation
    estimated from few runs is too large by about ``1 / df``, which is subtracted.

    Args:
        residuals: shape (cases, runs), each log time minus the mean of its group.
        df: the number of runs minus the number of groups.
    """
    norms = np.sqrt((residuals**2).sum(axis=1))
    rows = residuals[norms > 0] / norms[norms > 0, None]
    cases = len(rows)
    if cases < 2 or df < 2:
        return 0.0 if cases < 2 else 1.0
    gram = rows @ rows.T if cases < rows.shape[1] else rows.T @ rows  # the squares of both have one sum
    squared = (float((gram**2).sum()) - cases) / (cases * (cases - 1))
    return min(1.0, max(0.0, (squared - 1 / df) / (1 - 1 / df)))


def pooled_df(cases: int, df: float, squared_correlation: float) -> float:
    """Return the degrees of freedom of all cases together, the maximum for a single one.

    The sample variances of two cases whose noise has correlation r have correlation r squared. The mean of
    all then has ``df / mean(r^2)`` degrees of freedom: ``cases * df`` if the cases are independent, `df` if
    they share all their noise. To assume independence of shared noise raises false alarms.

    >>> pooled_df(400, 8, 0.0), pooled_df(400, 8, 1.0)
    (3200.0, 8.0)
    """
    return df / (1 / cases + (1 - 1 / cases) * squared_correlation) if cases else 0.0


def _inverse_trigamma(value: float) -> float:
    """Return x with trigamma(x) = value, by Newton's method on 1 / trigamma, which is nearly straight."""
    if value < 1e-6:
        return 1 / value
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, x))
        x += step
        if -step / x < 1e-8:
            break
    return x
