"""95% intervals of a median, and of the ratio of two medians.

- One sample: order statistics, whose ranks widen with the autocorrelation of the rounds.
- A ratio of two samples: a bootstrap of both medians that accounts for the autocorrelation in the same way.

Of several processes: `breakeven.stats.processes`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr

Array = NDArray[np.float64]

LEVEL = 0.95
"""The confidence level of every interval."""

MIN_ROUNDS = 6
"""Five rounds are too few: the interval from the smallest to the largest covers 1 - 2/2**5 = .9375."""

RESAMPLES = 2000
"""Resamples of each case: 50 draws lie beyond each end of a 95% interval."""

MAX_LOG_WIDTH = math.log(1000)
"""Of an interval's logarithm: one whose ends are further apart than a factor of 1,000 is unknown."""

_TAIL = (1 - LEVEL) / 2
_MAX_LOG = math.log(np.finfo(float).max)
_MIN_LAG1 = 0.5  # in standard errors; a smaller lag-1 autocorrelation counts as independence


@dataclass(frozen=True)
class MedianInterval:
    """A median with its 95% interval, in the unit of the values; `low` and `high` are None without one.

    `n` is the number of rounds; `tau` of them are worth one independent round.
    """

    low: float | None
    median: float
    high: float | None
    n: int
    tau: float = 1.0

    @property
    def half_width(self) -> float | None:
        """Half the width of the interval, relative to the median; None without one or at a zero median."""
        if self.low is None or self.high is None or self.median == 0:
            return None
        return (self.high - self.low) / 2 / self.median


@dataclass(frozen=True)
class RatioInterval:
    """A ratio of two medians with its 95% interval; None where unknown or unbounded."""

    low: float | None
    ratio: float | None
    high: float | None


def median_interval(times: ArrayLike) -> MedianInterval:
    """Return the median of the rounds and its 95% interval.

    The interval reaches from one order statistic to another; their ranks follow exactly from the binomial
    distribution (Hoefler and Belli, SC'15). Rounds of one process correlate, so the distance of the ranks
    from the middle is multiplied by ``sqrt(tau)``, rounded outwards and limited to the sample.

    >>> median_interval([6.0, 2.0, 4.0, 1.0, 5.0, 3.0])
    MedianInterval(low=1.0, median=3.5, high=6.0, n=6, tau=1.0)
    >>> median_interval([3.0, 1.0, 2.0]).low is None
    True

    Args:
        times: one-dimensional, at least one value, finite, in the order of measuring.

    Raises:
        ValueError: `times` is empty, not one-dimensional, or contains a NaN or an infinity.
    """
    values = _checked(times)
    ordered = np.sort(values)
    n = len(values)
    median = median_of_sorted(ordered)
    tau = autocorrelation_time(values)
    if n < MIN_ROUNDS:
        return MedianInterval(None, median, None, n, tau)
    middle = (n + 1) / 2
    reach = (middle - _low_rank(n)) * math.sqrt(tau)
    low = max(1, math.floor(middle - reach))
    return MedianInterval(float(ordered[low - 1]), median, float(ordered[n - low]), n, tau)


def pooled_half_width(times: Array, rounds: NDArray[np.int64], medians: Array) -> float | None:
    """Return half the width of the interval of a median that the rounds of several processes allow.

    Each process's rounds are taken relative to their own median, so that only the noise within processes
    counts. None for fewer than `MIN_ROUNDS` rounds, without those that are alone in their process.

    Args:
        times: the rounds of the first process in their order, then those of the next.
        rounds: how many each process gave, shape (processes,).
        medians: of each process, positive; any value where it gave none.

    Returns:
        Relative to the median.
    """
    of = np.repeat(np.arange(len(rounds)), rounds)
    several = rounds[of] > 1
    of = of[several]
    # The median of few rounds follows them, as the mean of n follows each by 1 / n.
    away = (times[several] / medians[of] - 1) * np.sqrt(rounds[of] / (rounds[of] - 1))
    return median_interval(1 + away).half_width if len(away) else None


def autocorrelation_time(times: ArrayLike) -> float:
    """Return the integrated autocorrelation time of the rounds: how many are worth one independent round.

    It is computed from the signs of the rounds relative to their median, so that a single outlier has no
    effect, and summed over Geyer's initial monotone positive sequence (Statistical Science 7, 1992), which
    has no window to tune. If the lag-1 autocorrelation is below half its standard error, the rounds count as
    independent: the noise of the sum would otherwise widen the intervals of independent rounds (n = 100:
    coverage .98).

    Args:
        times: one-dimensional, finite, in the order of measuring.

    Returns:
        At least 1; exactly 1 if all rounds are equal or there are fewer than 4.
    """
    values = np.asarray(times, dtype=float)
    n = len(values)
    if n < 4:
        return 1.0
    signs = np.sign(values - np.median(values))
    signs -= signs.mean()
    correlations = _autocorrelation(signs)
    if correlations is None or correlations[1] < _MIN_LAG1 / math.sqrt(n):
        return 1.0
    pairs = correlations[: n // 2 * 2].reshape(-1, 2).sum(axis=1)
    ends = np.flatnonzero(pairs <= 0)
    pairs = np.minimum.accumulate(pairs[: ends[0]] if len(ends) else pairs)
    return float(max(1.0, 2 * pairs.sum() - 1))


def median_of_sorted(ordered: Array) -> float:
    """Return the median of ascending values; `np.median` takes five times as long on short arrays.

    >>> median_of_sorted(np.array([1.0, 2.0, 4.0])), median_of_sorted(np.array([1.0, 2.0, 4.0, 8.0]))
    (2.0, 3.0)
    """
    half = len(ordered) // 2
    return float(ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2)


def resampled_medians(times: ArrayLike, rng: np.random.Generator, resamples: int = RESAMPLES) -> Array:
    """Return bootstrap medians of one sample, shape ``(resamples,)``, in the unit of `times`.

    The k-th of n values drawn with replacement is the quantile U of the sample, with U ~ Beta(k, n - k + 1).
    The medians are therefore drawn from that distribution, and nothing is copied and sorted. The distance of
    U from the middle is multiplied by ``sqrt(tau)``, as `median_interval` widens its ranks, so that the
    interval of a speedup is consistent with those of its two medians. (A block bootstrap breaks the
    correlation at the ends of each block: at AR(.5) and n = 100 the interval of a ratio covers .88 instead of
    .95, and takes 30 times as long.)

    Args:
        times: one-dimensional, at least one value, finite, in the order of measuring.
        rng: the source of every draw.
        resamples: the number of medians to draw.

    Raises:
        ValueError: as in `median_interval`.
    """
    values = _checked(times)
    n = len(values)
    half = (n + 1) / 2
    quantiles = 0.5 + (rng.beta(half, half, resamples) - 0.5) * math.sqrt(autocorrelation_time(values))
    return np.interp(quantiles * n - 0.5, np.arange(n), np.sort(values))


def interval_of_draws(draws: Array) -> tuple[float | None, float | None]:
    """Return the 2.5% and 97.5% quantiles of bootstrap draws; None for an infinite or undefined end.

    Each end is the outer of the two nearest draws: between a finite and an infinite one, interpolation is
    undefined.
    """
    if np.isnan(draws).any():
        return None, None
    low = float(np.quantile(draws, _TAIL, method="lower"))
    high = float(np.quantile(draws, 1 - _TAIL, method="higher"))
    return (low if math.isfinite(low) else None), (high if math.isfinite(high) else None)


def ratio_of_draws(numerator: float, denominator: float, above: Array, below: Array) -> RatioInterval:
    """Return ``numerator / denominator`` with the 95% interval of its resampled logarithm.

    A median of zero, or a ratio that a float cannot hold, gives no ratio: everything is None. The interval
    always contains the ratio; one wider than `MAX_LOG_WIDTH` is None.

    Args:
        numerator: a median.
        denominator: a median in the same unit.
        above: bootstrap medians of the numerator, shape ``(resamples,)``.
        below: bootstrap medians of the denominator, of the same shape.
    """
    if numerator <= 0 or denominator <= 0:
        return RatioInterval(None, None, None)
    ratio = numerator / denominator
    if not 0 < ratio < math.inf:
        return RatioInterval(None, None, None)
    if above.min() <= 0 or below.min() <= 0:
        return RatioInterval(None, ratio, None)
    low, high = interval_of_draws(np.log(above) - np.log(below))
    if low is None or high is None or high > _MAX_LOG or high - low > MAX_LOG_WIDTH:
        return RatioInterval(None, ratio, None)
    return RatioInterval(min(math.exp(low), ratio), ratio, max(math.exp(high), ratio))


def _checked(times: ArrayLike) -> Array:
    values = np.asarray(times, dtype=float)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"expected a one-dimensional, non-empty array of times, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("times contain a NaN or an infinity; every round must be a finite number")
    return values


@lru_cache(maxsize=4096)
def _low_rank(n: int) -> int:
    """Return the largest rank whose order statistic exceeds the true median with a chance of at most 2.5%."""
    below = bdtr(np.arange(n // 2 + 1), n, 0.5)
    return max(1, int(np.searchsorted(below, _TAIL, side="right")))


def _autocorrelation(signs: Array) -> Array | None:
    """Return the autocorrelations at lags 0 to n - 1; None if `signs` are all zero."""
    n = len(signs)
    spectrum = np.fft.rfft(signs, 1 << (2 * n - 1).bit_length())
    covariances = np.fft.irfft(spectrum * spectrum.conj())[:n]
    if covariances[0] <= 1e-12 * n:
        return None
    return np.asarray(covariances / covariances[0])
