"""How much a series wobbles from run to run, and for how long: the noise that a change must stand out of.

Owns two estimates of the noise of a series of logarithms. One is made of differences between neighbors,
which a few steps in the level do not move: it is there before anything is known of changes. The other is made
of what is left around levels that were found. Both tell the autocorrelation, because runs that share a
machine's mood are worth fewer independent ones. Pure: arrays in, numbers out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MIN_SD = 1e-3
"""The least standard deviation of a logarithm: a series that never moved may still move by 0.1%."""

MAX_RHO = 0.8
"""A larger lag-1 autocorrelation is not believed: a few runs cannot show it, and a step looks like it."""

_TRIMMED_MEAN = 0.6573  # the mean of |z| below its 90% point, for a standard normal z
_USUAL_RHO, _PRIOR_RUNS = 0.35, 30
_WINDOW = 7
_CLIP = 2.5


@dataclass(frozen=True)
class AR1Noise:
    """The standard deviation of one run's logarithm, and the lag-1 autocorrelation of neighboring runs."""

    sd: float
    rho: float

    @property
    def tau(self) -> float:
        """How many runs are worth one independent run, where many are averaged."""
        return (1 + self.rho) / (1 - self.rho)

    def error_of_mean(self, n: int) -> float:
        """Return the standard error of the mean of `n` neighboring runs.

        >>> round(AR1Noise(1.0, 0.0).error_of_mean(4), 3), round(AR1Noise(1.0, 0.5).error_of_mean(4), 3)
        (0.5, 0.718)
        """
        # The exact variance of a mean of AR(1); tau alone overstates it for the few runs after a change.
        rho = self.rho
        inflated = self.tau - 2 * rho * (1 - rho**n) / (n * (1 - rho) ** 2)
        return self.sd * math.sqrt(inflated / n)


def noise_from_differences(values: Array) -> AR1Noise:
    """Return the noise of a series whose levels are not known yet.

    The autocorrelation follows Chakar et al. (Bernoulli 23, 2017): for AR(1) the variance of differences
    over two runs is (1 + rho) times that over one. They take medians of the differences, which ignore those
    that span a change; a mean without the largest tenth does too, and needs half the runs to be as sure.

    Args:
        values: logarithms, at least 4, in the order of the runs.
    """
    one, two = (_spread(np.abs(values[lag:] - values[:-lag])) for lag in (1, 2))
    if one == 0:
        return AR1Noise(MIN_SD, 0.0)
    rho = _believed((two / one) ** 2 - 1, len(values))
    return AR1Noise(max(one / math.sqrt(2 * (1 - rho)), MIN_SD), rho)


def noise_from_residuals(residuals: Array, levels: int) -> AR1Noise:
    """Return the noise around levels that were found.

    Args:
        residuals: the values less their level, in the order of the runs.
        levels: how many levels were fitted to them; each takes a degree of freedom.
    """
    n = len(residuals)
    square = float(residuals @ residuals)
    if square == 0:
        return AR1Noise(MIN_SD, 0.0)
    rho = float(residuals[1:] @ residuals[:-1]) / square
    rho += levels * (1 + 3 * max(rho, 0.0)) / n  # fitted levels make neighbors look less alike (Kendall)
    rho = _believed(rho, n)
    return AR1Noise(max(math.sqrt(square / max(1, n - levels)), MIN_SD), rho)


def _spread(differences: Array) -> float:
    """Return the standard deviation that normal differences without their largest tenth speak of."""
    kept = np.sort(differences)[: max(1, math.ceil(0.9 * len(differences)))]
    return float(kept.mean()) / _TRIMMED_MEAN


def _believed(rho: float, n: int) -> float:
    """Return an estimated autocorrelation drawn towards what is usual, as far as few runs can tell it."""
    drawn = (n * min(max(rho, 0.0), 1.0) + _PRIOR_RUNS * _USUAL_RHO) / (n + _PRIOR_RUNS)
    return min(drawn, MAX_RHO)


def winsorize(values: Array, noise: AR1Noise) -> Array:
    """Return the values, each at most 2.5 standard deviations from the median of the 7 runs around it.

    A run or two that a neighbor disturbed are no change, and among only five runs on a side they would look
    like one; an edge between two levels stays where it is, also five runs from an end.
    """
    if len(values) < _WINDOW:
        return values
    windows = np.lib.stride_tricks.sliding_window_view(values, _WINDOW)
    inner = np.median(windows, axis=1)
    half = _WINDOW // 2
    middle = np.concatenate([np.full(half, inner[0]), inner, np.full(half, inner[-1])])
    reach = _CLIP * noise.sd
    return np.clip(values, middle - reach, middle + reach)
