"""Baseline against candidate, case by case: log medians of runs -> ratio, interval, q, verdict.

Owns the statistics of "Regression between runs" in METHOD. The replicate is the run, never the round; each
case's noise is moderated by that of all (`breakeven.stats.empirical_bayes`); what is tested is "no more than
the threshold slower or faster" (TREAT: McCarthy and Smyth, Bioinformatics 25, 2009); false alarms are held to
5% of what is called changed (Benjamini and Hochberg, 1995). No ratio and no test is ever corrected for what
all cases share: that would explain a slowdown of everything away. Pure arrays, no files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from breakeven.stats.empirical_bayes import (
    fit_prior,
    mean_squared_correlation,
    pooled_df,
    shrink_variances,
)
from breakeven.stats.significance import benjamini_hochberg

Array = NDArray[np.float64]

ALPHA = 0.05
"""The share of false ones among the cases called changed."""

THRESHOLD = 0.02
"""A change up to this is nobody's concern."""

MAX_FALSE_ALARM_RATE = 0.15
"""Of the pairs of a floor's runs; three times what chance makes of even noise. Beyond it judges nothing."""

RESOLUTION = 0.10
"""An interval wider than this to each side cannot tell that nothing changed."""

_HIGH = 0.975
MAX_DF = 1e6
"""Student's distribution of more degrees of freedom is the normal one; scipy knows none of infinite."""


class Verdict(StrEnum):
    """What became of a case, or of a series' newest run, compared with the runs before."""

    REGRESSED = "regressed"
    IMPROVED = "improved"
    UNCHANGED = "unchanged"
    INCONCLUSIVE = "inconclusive"
    MISSING = "missing"
    NEW = "new"
    ERROR = "error"


@dataclass(frozen=True)
class Effects:
    """What is known of each case, in arrays of shape (cases,).

    `log_ratio` is candidate over baseline, NaN where a side has no run; `se` its standard error and `df` its
    degrees of freedom, NaN and 0 where nothing tells of run-to-run noise; `sd` the run-to-run standard
    deviation of a log time; `p` the chance of such a ratio though nothing changed by more than the threshold.
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
    """Run-to-run noise: of each case, shape (cases,); how much is shared; what may at most be claimed."""

    variances: Array
    df: Array
    squared_correlation: float
    max_df: float


def estimate_noise(groups: list[Array]) -> CaseNoise:
    """Return what runs tell of the noise, each group's around its own mean.

    Args:
        groups: each of shape (cases, runs), log seconds, NaN where a run lacks the case.
    """
    residuals = np.concatenate([group - _means(group)[:, None] for group in groups], axis=1)
    squares = np.nansum(residuals**2, axis=1)
    df = sum(np.maximum(np.isfinite(group).sum(axis=1) - 1, 0) for group in groups).astype(float)
    variances = np.divide(squares, df, out=np.full(len(df), np.nan), where=df > 0)
    whole = residuals[np.isfinite(residuals).all(axis=1)]
    shared = mean_squared_correlation(whole, sum(max(group.shape[1] - 1, 0) for group in groups))
    most = float(df.max(initial=0.0))
    return CaseNoise(variances, df, shared, pooled_df(int((df > 0).sum()), most, shared))


def posterior_variances(noise: CaseNoise) -> tuple[Array, Array]:
    """Return each case's variance, having learnt from all, and its degrees of freedom; shape (cases,)."""
    prior = fit_prior(noise.variances, noise.df, noise.squared_correlation)
    posterior, total = shrink_variances(noise.variances, noise.df, prior)
    return posterior, np.minimum(total, noise.max_df)


def effects(
    baseline: Array, candidate: Array, floor: Array | None = None, threshold: float = THRESHOLD
) -> Effects:
    """Return the effect in every case, tested.

    Args:
        baseline: shape (cases, runs), log seconds; NaN where a run lacks the case.
        candidate: likewise; the same cases, any number of runs.
        floor: likewise, of runs made to learn the noise, whose own level does not matter. It is only asked
            where neither side has two runs of a case.
        threshold: the relative change that is nobody's concern.
    """
    noise = estimate_noise([baseline, candidate])
    if floor is not None:
        noise = _with_floor(noise, estimate_noise([floor]))
    posterior, total = posterior_variances(noise)
    n_baseline, n_candidate = (np.isfinite(side).sum(axis=1) for side in (baseline, candidate))
    log_ratio = _means(candidate) - _means(baseline)
    known = np.isfinite(log_ratio) & (total >= 1)
    with np.errstate(divide="ignore"):
        se = np.where(known, np.sqrt(posterior * (1 / n_baseline + 1 / n_candidate)), np.nan)
    p = _treat(log_ratio, se, total, math.log1p(threshold))
    reach = se * stdtrit(np.clip(total, 1, MAX_DF), _HIGH)
    return Effects(
        log_ratio=log_ratio,
        se=se,
        df=np.where(known, total, 0.0),
        sd=np.where(total >= 1, np.sqrt(posterior), np.nan),
        p=p,
        q=benjamini_hochberg(p),
        low=log_ratio - reach,
        high=log_ratio + reach,
        n_baseline=n_baseline,
        n_candidate=n_candidate,
    )


def false_alarm_rate(floor: Array, threshold: float = THRESHOLD) -> float:
    """Return in which share of the pairs of a floor's own runs any case is called changed by the other runs.

    It is the floor asked about itself. Where one run in ten was disturbed, no law of the noise that is fitted
    to ten runs holds for the eleventh, and single runs judged by it are called slower far too often.

    Args:
        floor: shape (cases, runs), log seconds; of fewer than 4 runs nothing can be asked: NaN.
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
    """Return how many runs a side give a ratio's interval of that half-width; None beyond `max_runs`.

    >>> runs_needed(0.02), runs_needed(0.20)
    (2, 33)
    """
    for runs in range(2, max_runs + 1):
        reach = float(stdtrit(2 * runs - 2, _HIGH)) * sd * math.sqrt(2 / runs)
        if math.sinh(reach) <= half_width:
            return runs
    return None


def case_verdict(q: float, log_ratio: float, half_width: float, resolution: float = RESOLUTION) -> Verdict:
    """Return the verdict on one case; NaN stands for what is not known, and leaves it `inconclusive`."""
    if q <= ALPHA:
        return Verdict.REGRESSED if log_ratio > 0 else Verdict.IMPROVED
    return Verdict.UNCHANGED if half_width <= resolution else Verdict.INCONCLUSIVE


def _with_floor(own: CaseNoise, floor: CaseNoise) -> CaseNoise:
    """Return the floor's noise for the cases of which a comparison's own runs know nothing."""
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


def _means(group: Array) -> Array:
    """Return the mean over runs, NaN where there is none (numpy's own would warn)."""
    counts = np.isfinite(group).sum(axis=1)
    empty = np.full(len(group), np.nan)
    return np.asarray(np.divide(np.nansum(group, axis=1), counts, out=empty, where=counts > 0))


def _treat(log_ratio: Array, se: Array, df: Array, threshold: float) -> Array:
    """Return the largest chance, over all true changes within the threshold, of a ratio so far from 1."""
    with np.errstate(invalid="ignore"):
        away, towards = (np.abs(log_ratio) - threshold) / se, (np.abs(log_ratio) + threshold) / se
    df = np.clip(df, 1, MAX_DF)
    return np.asarray(np.minimum(1.0, stdtr(df, -away) + stdtr(df, -towards)))
