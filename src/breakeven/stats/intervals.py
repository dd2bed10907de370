"""Arrays in, intervals out: the median of one sample, and the ratio of two medians.

Owns the statistics of METHOD: order statistics whose ranks are widened by the rounds' autocorrelation,
a seeded bootstrap that counts as many independent rounds as that autocorrelation leaves, and draws from
Student's distribution where there are too few runs to resample. Pure: no frames, no files, no clocks, no
global random state; every random draw comes from a seed it is given.

It imports numpy and ``scipy.special`` only: ``scipy.stats`` takes longer to import than a report takes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr

Array = NDArray[np.float64]

LEVEL = 0.95
"""The confidence of every interval."""

MIN_ROUNDS = 6
"""Five rounds cannot give a 95% interval of a median: 1 - 2/2**5 is .9375."""

MIN_RUNS = MIN_ROUNDS
"""Nor can five runs: a bootstrap over two holds the truth .59 of the time, over three .77, over five .93."""

RESAMPLES = 2000
"""Resamples a case: the ends of a 95% interval then rest on 50 draws each."""

_TAIL = (1 - LEVEL) / 2
_LARGEST_LOG = math.log(np.finfo(float).max)
_FARTHEST_LOG = 300.0  # a draw's; Student's of one degree of freedom knows no bounds, but floats do
_TAU_LAG1 = 0.5  # in standard errors of a lag-1 autocorrelation: below it, independence is taken as given


@dataclass(frozen=True)
class MedianInterval:
    """A median with its 95% interval, in the unit of the values; `low` and `high` are None without one.

    `n` counts the rounds, `tau` is how many of them are worth one independent round.
    """

    low: float | None
    median: float
    high: float | None
    n: int
    tau: float = 1.0

    @property
    def half_width(self) -> float | None:
        """Half the interval's width relative to the median; None without an interval or at a zero median."""
        if self.low is None or self.high is None or self.median == 0:
            return None
        return (self.high - self.low) / 2 / self.median


@dataclass(frozen=True)
class RatioInterval:
    """A ratio of two medians with its 95% interval; None where it is unknown or unbounded."""

    low: float | None
    ratio: float | None
    high: float | None


def median_interval(times: ArrayLike) -> MedianInterval:
    """Return the median of the rounds, in the order they ran, and its 95% interval.

    The plain interval reaches between two order statistics whose ranks follow exactly from the binomial
    distribution (Hoefler and Belli, SC'15). Rounds of one process correlate, so the ranks' distance from
    the middle is widened by ``sqrt(tau)``, outwards, and stays within the sample.

    >>> median_interval([6.0, 2.0, 4.0, 1.0, 5.0, 3.0])
    MedianInterval(low=1.0, median=3.5, high=6.0, n=6, tau=1.0)
    >>> median_interval([3.0, 1.0, 2.0]).low is None
    True

    Args:
        times: one-dimensional, at least one value, finite; in the order of measuring.

    Raises:
        ValueError: when `times` is empty, not one-dimensional, or holds a NaN or an infinity.
    """
    values = _checked(times)
    ordered = np.sort(values)
    n = len(values)
    median = _middle(ordered)
    tau = autocorrelation_time(values)
    if n < MIN_ROUNDS:
        return MedianInterval(None, median, None, n, tau)
    middle = (n + 1) / 2
    reach = (middle - _low_rank(n)) * math.sqrt(tau)
    low = max(1, math.floor(middle - reach))
    return MedianInterval(float(ordered[low - 1]), median, float(ordered[n - low]), n, tau)


def autocorrelation_time(times: ArrayLike) -> float:
    """Return the integrated autocorrelation time of "above or below the median", at least 1.

    The sum runs over Geyer's initial monotone positive sequence (Statistical Science 7, 1992), which needs
    no tuned window and cannot be led astray by a single outlier, since only signs enter. When the lag-1
    autocorrelation is within half a standard error of zero, or negative, the rounds count as independent:
    otherwise the sum's own noise would widen the intervals of independent rounds (n = 100: coverage .98).

    Args:
        times: one-dimensional, finite, in the order of measuring.

    Returns:
        How many rounds are worth one independent round; 1.0 when all are equal or there are fewer than 4.
    """
    values = np.asarray(times, dtype=float)
    n = len(values)
    if n < 4:
        return 1.0
    signs = np.sign(values - np.median(values))
    signs -= signs.mean()
    correlations = _autocorrelation(signs)
    if correlations is None or correlations[1] < _TAU_LAG1 / math.sqrt(n):
        return 1.0
    pairs = correlations[: n // 2 * 2].reshape(-1, 2).sum(axis=1)
    ends = np.flatnonzero(pairs <= 0)
    pairs = np.minimum.accumulate(pairs[: ends[0]] if len(ends) else pairs)
    return float(max(1.0, 2 * pairs.sum() - 1))


def resampled_medians(times: ArrayLike, rng: np.random.Generator, resamples: int = RESAMPLES) -> Array:
    """Return bootstrap medians of one sample, shape ``(resamples,)``, in the unit of `times`.

    Drawing n values with replacement and taking the k-th gives the value at quantile U of the sample,
    U ~ Beta(k, n - k + 1): the bootstrap's law is known, so that nothing need be copied and sorted. With
    correlated rounds U's distance from the middle is widened by ``sqrt(tau)``, as `median_interval` widens
    its ranks, so that a speedup never claims more than the medians it is made of. (Blocks of tau rounds
    copied literally cut the correlation at each of their ends: the interval of a ratio then covers .88 of
    the time at AR(.5) and n = 100, against .95 here, and takes 30 times as long.)

    Args:
        times: one-dimensional, at least one value, finite; in the order of measuring.
        rng: the source of every draw.
        resamples: how many medians to draw.

    Raises:
        ValueError: as `median_interval`.
    """
    values = _checked(times)
    n = len(values)
    half = (n + 1) / 2
    quantiles = 0.5 + (rng.beta(half, half, resamples) - 0.5) * math.sqrt(autocorrelation_time(values))
    return np.interp(quantiles * n - 0.5, np.arange(n), np.sort(values))


def resampled_over_runs(
    samples: Sequence[ArrayLike], run_draws: Array, rng: np.random.Generator, resamples: int = RESAMPLES
) -> Array:
    """Return bootstrap medians over runs, shape ``(resamples,)``: the replicate is the run.

    Hierarchical: each resample draws as many runs as there are, with replacement, resamples the rounds
    within each, and takes the median of their medians. `run_draws`, uniform in [0, 1) and of shape
    ``(resamples, at least len(samples))``, chooses the runs: given the same one, two devices that ran in
    the same processes are drawn from the same processes, and what the processes shared cancels.

    Raises:
        ValueError: as `median_interval`, or when there is no sample.
    """
    if not samples:
        raise ValueError("there is no sample to resample")
    within = np.stack([resampled_medians(sample, rng, resamples) for sample in samples])
    if len(samples) == 1:
        return np.asarray(within[0], dtype=float)
    chosen = (run_draws[:resamples, : len(samples)] * len(samples)).astype(int)
    return np.asarray(np.median(within[chosen, np.arange(resamples)[:, None]], axis=1), dtype=float)


@dataclass(frozen=True, eq=False)
class RunDraws:
    """What chooses the runs in every resample of one machine class; a row a resample.

    `choices` is uniform in [0, 1), `normals` and `squares` (of standard normals) make Student's draws; each
    has a column a run. Given the same one, two devices that ran in the same processes are drawn from the
    same processes, and what the processes shared cancels.
    """

    choices: Array
    normals: Array
    squares: Array

    @classmethod
    def draw(cls, rng: np.random.Generator, runs: int, resamples: int = RESAMPLES) -> RunDraws:
        """Draw anew for at most so many runs."""
        shape = (resamples, runs)
        return cls(rng.random(shape), rng.standard_normal(shape), rng.standard_normal(shape) ** 2)


def student_over_runs(medians: Sequence[float], places: Sequence[int], draws: RunDraws) -> Array:
    """Return draws of what a few runs' medians have in common, shape ``(resamples,)``, in their unit.

    They follow Student's distribution around the mean of the logarithms, with one degree of freedom fewer
    than there are runs: as wide as the unknown noise between runs makes it, that of the rounds within each
    included. A draw is linear in the logarithms, so that the ratio of two devices' draws is Student's of the
    paired ratios.

    Args:
        medians: of at least 2 runs, positive.
        places: which of the runs that `draws` knows they are.
        draws: shared by all cases of a machine class.
    """
    logs = np.log(np.asarray(medians, dtype=float))
    runs = len(logs)
    away = draws.normals[:, places] @ (logs - logs.mean()) / math.sqrt(runs * (runs - 1))
    scale = np.sqrt(draws.squares[:, : runs - 1].mean(axis=1))
    drawn = np.clip(logs.mean() + away / scale, -_FARTHEST_LOG, _FARTHEST_LOG)
    return np.asarray(np.exp(drawn), dtype=float)


def interval_of_draws(draws: Array) -> tuple[float | None, float | None]:
    """Return the 2.5% and 97.5% points of bootstrap draws; an infinite or undefined end is None.

    The outer draw is taken on each side rather than interpolated, which also keeps infinities apart.
    """
    if np.isnan(draws).any():
        return None, None
    low = float(np.quantile(draws, _TAIL, method="lower"))
    high = float(np.quantile(draws, 1 - _TAIL, method="higher"))
    return (low if math.isfinite(low) else None), (high if math.isfinite(high) else None)


def ratio_of_draws(numerator: float, denominator: float, above: Array, below: Array) -> RatioInterval:
    """Return ``numerator / denominator`` with the interval of its resampled logarithm.

    `above` and `below` are the bootstrap medians that belong to the two medians. A median of zero, or
    one beyond what a float can divide, has no ratio: everything is None. The interval always holds the
    ratio itself.
    """
    if numerator <= 0 or denominator <= 0:
        return RatioInterval(None, None, None)
    ratio = numerator / denominator
    if not 0 < ratio < math.inf:
        return RatioInterval(None, None, None)
    if above.min() <= 0 or below.min() <= 0:
        return RatioInterval(None, ratio, None)
    low, high = interval_of_draws(np.log(above) - np.log(below))
    if low is None or high is None or high > _LARGEST_LOG:
        return RatioInterval(None, ratio, None)
    return RatioInterval(min(math.exp(low), ratio), ratio, max(math.exp(high), ratio))


def _checked(times: ArrayLike) -> Array:
    values = np.asarray(times, dtype=float)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"expected a one-dimensional, non-empty array of times, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("times hold a NaN or an infinity; every round must be a finite number")
    return values


def _middle(ordered: Array) -> float:
    n = len(ordered)
    return float((ordered[(n - 1) // 2] + ordered[n // 2]) / 2)


@lru_cache(maxsize=4096)
def _low_rank(n: int) -> int:
    """Return the largest rank l whose order statistic lies above the true median in at most 2.5%."""
    below = bdtr(np.arange(n // 2 + 1), n, 0.5)
    return max(1, int(np.searchsorted(below, _TAIL, side="right")))


def _autocorrelation(signs: Array) -> Array | None:
    """Return the autocorrelations at lags 0..n-1, or None when `signs` are all zero."""
    n = len(signs)
    spectrum = np.fft.rfft(signs, 1 << (2 * n - 1).bit_length())
    covariances = np.fft.irfft(spectrum * spectrum.conj())[:n]
    if covariances[0] <= 1e-12 * n:
        return None
    return np.asarray(covariances / covariances[0])
