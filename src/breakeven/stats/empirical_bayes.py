"""Variances of many cases -> variances that have learnt from each other.

Owns the empirical Bayes step of limma (Smyth, Statistical Applications in Genetics and Molecular Biology 3,
2004) for run-to-run noise: a handful of runs says little of one case's noise, and four hundred cases say much
of what noise is like here. Pure arrays; imports numpy and ``scipy.special`` only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import polygamma, psi

Array = NDArray[np.float64]

MIN_VARIANCE = 1e-12
"""Of a log median: no clock tells times apart that agree to one part in a million."""


@dataclass(frozen=True)
class Prior:
    """What the noise is like among all cases: a scaled inverse chi-square of `df` around `variance`.

    `df` is 0 where nothing is known (one case, or none with two runs), and infinite where the cases' noise
    differs no more than chance makes it.
    """

    variance: float
    df: float


def fit_prior(variances: Array, df: Array, shared: float = 0.0) -> Prior:
    """Return the prior that the sample variances were drawn from, by the moments of their logarithms.

    Args:
        variances: shape (cases,), of log times.
        df: shape (cases,), the degrees of freedom of each; those with 0 are passed over.
        shared: what `mean_squared_correlation` returns. So much of the sampling error all variances have in
            common, and
            it cannot be what makes them differ.
    """
    known = df > 0
    if known.sum() < 2:
        return Prior(0.0, 0.0)
    half = df[known] / 2
    logs = np.log(np.maximum(variances[known], MIN_VARIANCE)) - psi(half) + np.log(half)
    center = float(logs.mean())
    excess = float(logs.var(ddof=1) - (1 - shared) * polygamma(1, half).mean())
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
    """Return the mean squared correlation between two cases' noise, from 0 (none) to 1 (all is shared).

    Runs of a suite share a process and a moment, and so their noise. The square of a correlation that is
    estimated from few runs is too large by about ``1 / df``, which is taken off.

    Args:
        residuals: shape (cases, runs), what is left of each log time when its group's mean is taken off.
        df: runs less groups.
    """
    norms = np.sqrt((residuals**2).sum(axis=1))
    rows = residuals[norms > 0] / norms[norms > 0, None]
    cases = len(rows)
    if cases < 2 or df < 2:
        return 0.0 if cases < 2 else 1.0
    gram = rows.T @ rows
    squared = (float((gram**2).sum()) - cases) / (cases * (cases - 1))
    return min(1.0, max(0.0, (squared - 1 / df) / (1 - 1 / df)))


def pooled_df(cases: int, df: float, shared: float) -> float:
    """Return how many degrees of freedom all cases together have: never more may be claimed of one.

    The sample variances of two cases whose noise correlates by r correlate by r squared. The mean of all then
    has ``df / mean(r^2)`` degrees of freedom: ``cases * df`` when they have nothing in common, `df` when they
    have all. Counting the first where the second holds is how a moderated test cries wolf.

    >>> pooled_df(400, 8, 0.0), pooled_df(400, 8, 1.0)
    (3200.0, 8.0)
    """
    return df / (1 / cases + (1 - 1 / cases) * shared) if cases else 0.0


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
