"""Baseline against candidate, case by case: ratio, interval, q-value and verdict.

The replicate is the run, not the round: rounds of one process share its noise, and the processes of one run
share that of its time. The run-to-run variance of a case is shrunk toward that of all cases
(`breakeven.stats.empirical_bayes`). The test is whether a case became slower or faster by more than the
threshold (TREAT: McCarthy and Smyth, Bioinformatics 25, 2009), and at most 5% of the cases reported as
changed are false alarms (Benjamini and Hochberg, 1995). A shift that all cases share is never subtracted:
that would hide a slowdown of everything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from breakeven.stats.empirical_bayes import fit_prior, mean_squared_correlation, pooled_df, shrink_variances
from breakeven.stats.intervals import MAX_LOG_WIDTH
from breakeven.stats.significance import benjamini_hochberg, student_quantile
from breakeven.stats.verdict import RESOLUTION, THRESHOLD, Verdict

Array = NDArray[np.float64]

ALPHA = 0.05
"""The false discovery rate of the cases reported as changed."""

MAX_FALSE_ALARM_RATE = 0.15
"""A noise floor above this is unusable; it is three times the rate under stationary noise."""

MAX_DF = 1e6
"""Student's t distribution is normal beyond this; scipy does not accept infinite degrees of freedom."""


@dataclass(frozen=True)
class Effects:
    """The effect in each case, in arrays of shape (cases,); NaN where unknown.

    `log_ratio` is the logarithm of candidate over baseline, with the 95% interval from `low` to `high`, which
    is unknown where it would be wider than `MAX_LOG_WIDTH`, the standard error `se` and `df` degrees of
    freedom (0 where the run-to-run noise is unknown). `sd` is the run-to-run standard deviation of a log
    time. `p` is the p-value of a change by more than the threshold,
    `q` the same after the correction for all cases. `n_baseline` and `n_candidate` count runs.
    """

    log_ratio: Array
    se: Array
    df: Array
    sd: Array
    p: Array
    q: Array
    low: Array
    high: Array
    n_baseline: NDArray[np.int64]
    n_candidate: NDArray[np.int64]


@dataclass(frozen=True)
class CaseNoise:
    """Run-to-run noise: sample variances of log times and their degrees of freedom, both of shape (cases,).

    `squared_correlation` is the mean squared correlation between the cases' noise, `max_df` the maximum
    degrees of freedom of a posterior variance.
    """

    variances: Array
    df: Array
    squared_correlation: float
    max_df: float


def estimate_noise(groups: list[Array]) -> CaseNoise:
    """Return the noise of the runs around the mean of their group.

    Args:
        groups: each of shape (cases, runs), log seconds, NaN where a run lacks the case.
    """
    residuals = np.concatenate([group - means(group)[:, None] for group in groups], axis=1)
    squares = np.nansum(residuals**2, axis=1)
    df = sum(np.maximum(np.isfinite(group).sum(axis=1) - 1, 0) for group in groups).astype(float)
    variances = np.divide(squares, df, out=np.full(len(df), np.nan), where=df > 0)
    complete = residuals[np.isfinite(residuals).all(axis=1)]
    correlation = mean_squared_correlation(complete, sum(max(group.shape[1] - 1, 0) for group in groups))
    max_df = pooled_df(int((df > 0).sum()), float(df.max(initial=0.0)), correlation)
    return CaseNoise(variances, df, correlation, max_df)


def posterior_variances(noise: CaseNoise) -> tuple[Array, Array]:
    """Return each case's posterior variance and its degrees of freedom, both of shape (cases,)."""
    prior = fit_prior(noise.variances, noise.df, noise.squared_correlation)
    posterior, df = shrink_variances(noise.variances, noise.df, prior)
    return posterior, np.minimum(df, noise.max_df)


def effects(
    baseline: Array, candidate: Array, floor: Array | None = None, threshold: float = THRESHOLD
) -> Effects:
    """Return the effect in every case, with its test.

    Args:
        baseline: shape (cases, runs), log seconds; NaN where a run lacks the case.
        candidate: likewise; the same cases, any number of runs.
        floor: likewise, runs of unchanged code, whose level does not matter. It provides the noise of the
            cases of which neither side has two runs.
        threshold: ignore relative changes up to this size.
    """
    noise = estimate_noise([baseline, candidate])
    if floor is not None:
        noise = _with_floor(noise, estimate_noise([floor]))
    posterior, df = posterior_variances(noise)
    n_baseline, n_candidate = (np.isfinite(side).sum(axis=1) for side in (baseline, candidate))
    log_ratio = means(candidate) - means(baseline)
    known = np.isfinite(log_ratio) & (df >= 1)
    with np.errstate(divide="ignore"):
        se = np.where(known, np.sqrt(posterior * (1 / n_baseline + 1 / n_candidate)), np.nan)
    p = _treat(log_ratio, se, df, math.log1p(threshold))
    reach = se * stdtrit(np.clip(df, 1, MAX_DF), 0.975)
    reach = np.where(2 * reach <= MAX_LOG_WIDTH, reach, np.nan)
    return Effects(
        log_ratio=log_ratio,
        se=se,
        df=np.where(known, df, 0.0),
        sd=np.where(df >= 1, np.sqrt(posterior), np.nan),
        p=p,
        q=benjamini_hochberg(p),
        low=log_ratio - reach,
        high=log_ratio + reach,
        n_baseline=n_baseline,
        n_candidate=n_candidate,
    )


def false_alarm_rate(floor: Array, threshold: float = THRESHOLD) -> float:
    """Return the share of pairs of a noise floor's runs in which the other runs would report any change.

    If one run in ten was disturbed, the noise fitted to ten runs does not describe the eleventh, and a single
    run compared with it is reported as slower far too often.

    Args:
        floor: shape (cases, runs), log seconds; NaN is returned for fewer than 4 runs.
        threshold: as in `effects`.
    """
    runs = floor.shape[1]
    if runs < 4:
        return math.nan
    alarms = []
    for one, other in combinations(range(runs), 2):
        rest = np.delete(floor, [one, other], axis=1)
        alarms.append((effects(floor[:, [one]], floor[:, [other]], rest, threshold).q <= ALPHA).any())
    return float(np.mean(alarms))


def runs_needed(sd: float, half_width: float = RESOLUTION, max_runs: int = 1000) -> int | None:
    """Return the runs per side for a ratio's interval of that half-width; None above `max_runs`.

    >>> runs_needed(0.02), runs_needed(0.20)
    (2, 33)
    """
    for runs in range(2, max_runs + 1):
        reach = student_quantile(2 * runs - 2) * sd * math.sqrt(2 / runs)
        if math.sinh(reach) <= half_width:
            return runs
    return None


def case_verdict(q: float, log_ratio: float, half_width: float, resolution: float = RESOLUTION) -> Verdict:
    """Return the verdict on one case; an unknown value is NaN and makes it `inconclusive`.

    Args:
        q: as in `Effects`.
        log_ratio: likewise.
        half_width: of the ratio's 95% interval.
        resolution: the largest half-width of an unchanged case.
    """
    if q <= ALPHA:
        return Verdict.REGRESSED if log_ratio > 0 else Verdict.IMPROVED
    is_known = half_width <= resolution and not math.isnan(q)
    return Verdict.UNCHANGED if is_known else Verdict.INCONCLUSIVE


def _with_floor(own: CaseNoise, floor: CaseNoise) -> CaseNoise:
    """Return a comparison's own noise, and the floor's for the cases in which it is unknown."""
    unknown = own.df == 0
    if not unknown.any():
        return own
    if unknown.all():
        return floor
    return CaseNoise(
        np.where(unknown, floor.variances, own.variances),
        np.where(unknown, floor.df, own.df),
        max(own.squared_correlation, floor.squared_correlation),
        min(own.max_df, floor.max_df),
    )


def means(group: Array) -> Array:
    """Return the mean over runs, NaN where there is none (`np.nanmean` would warn)."""
    counts = np.isfinite(group).sum(axis=1)
    empty = np.full(len(group), np.nan)
    return np.asarray(np.divide(np.nansum(group, axis=1), counts, out=empty, where=counts > 0))


def _treat(log_ratio: Array, se: Array, df: Array, threshold: float) -> Array:
    """Return the p-value of each log ratio against a true change of at most the threshold (TREAT)."""
    with np.errstate(invalid="ignore"):
        nearer, farther = (np.abs(log_ratio) - threshold) / se, (np.abs(log_ratio) + threshold) / se
    df = np.clip(df, 1, MAX_DF)
    return np.asarray(np.minimum(1.0, stdtr(df, -nearer) + stdtr(df, -farther)))
