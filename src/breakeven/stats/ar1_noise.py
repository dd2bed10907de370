"""The noise of a series of runs whose neighbors correlate: an AR(1) process.

There are two estimates. One takes differences between neighboring runs, which a few steps in the level hardly
change, so that it needs no knowledge of the levels. The other takes the residuals around known levels. Both
include the autocorrelation: the mean of correlated runs is less certain than that of independent ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MIN_SD = 1e-3
"""The smallest standard deviation of a logarithm: a series that never moved may still move by 0.1%."""

MAX_RHO = 0.8
"""The largest lag-1 autocorrelation: a few runs cannot show a larger one, and a step looks like one."""

_TRIMMED_MEAN = 0.6573  # the mean of |z| below its 90% point, for a standard normal z
_PRIOR_RHO, _PRIOR_RUNS = 0.35, 30
_WINDOW = 7
_MAX_DEVIATION = 2.5  # in standard deviations


@dataclass(frozen=True)
class AR1Noise:
    """The standard deviation of one run's logarithm, and the lag-1 autocorrelation of neighboring runs."""

    sd: float
    rho: float

    @property
    def tau(self) -> float:
        """The number of runs that are worth one independent run, in the mean of many."""
        return (1 + self.rho) / (1 - self.rho)

    def error_of_mean(self, n: int) -> float:
        """Return the standard error of the mean of `n` neighboring runs.

        >>> round(AR1Noise(1.0, 0.0).error_of_mean(4), 3), round(AR1Noise(1.0, 0.5).error_of_mean(4), 3)
        (0.5, 0.718)
        """
        # The exact variance of a mean of AR(1): tau alone overstates it for the few runs after a change.
        rho = self.rho
        inflation = self.tau - 2 * rho * (1 - rho**n) / (n * (1 - rho) ** 2)
        return self.sd * math.sqrt(inflation / n)


def noise_from_differences(values: Array) -> AR1Noise:
    """Return the noise of a series whose levels are not known.

    The autocorrelation follows Chakar et al. (Bernoulli 23, 2017): for AR(1), differences over two runs have
    ``1 + rho`` times the variance of differences over one. They use the median of the absolute differences,
    which ignores those across a change. The mean without the largest tenth ignores them too, and is as
    precise with half the runs.

    Args:
        values: logarithms, at least 4, in the order of the runs.
    """
    one, two = (_spread(np.abs(values[lag:] - values[:-lag])) for lag in (1, 2))
    if one == 0:
        return AR1Noise(MIN_SD, 0.0)
    rho = _shrink_rho((two / one) ** 2 - 1, len(values))
    return AR1Noise(max(one / math.sqrt(2 * (1 - rho)), MIN_SD), rho)


def noise_from_residuals(residuals: Array, levels: int) -> AR1Noise:
    """Return the noise around fitted levels.

    Args:
        residuals: each value minus its level, in the order of the runs.
        levels: the number of fitted levels; each takes one degree of freedom.
    """
    n = len(residuals)
    square = float(residuals @ residuals)
    if square == 0:
        return AR1Noise(MIN_SD, 0.0)
    rho = float(residuals[1:] @ residuals[:-1]) / square
    rho += levels * (1 + 3 * max(rho, 0.0)) / n  # fitting a level biases the autocorrelation down (Kendall)
    rho = _shrink_rho(rho, n)
    return AR1Noise(max(math.sqrt(square / max(1, n - levels)), MIN_SD), rho)


def winsorize(values: Array, noise: AR1Noise) -> Array:
    """Return the values, each clipped to 2.5 standard deviations around the median of the 7 runs around it.

    One or two disturbed runs could otherwise look like a change where a level has only five. A step between
    two levels stays where it is, even five runs from an end.
    """
    if len(values) < _WINDOW:
        return values
    windows = np.lib.stride_tricks.sliding_window_view(values, _WINDOW)
    inner = np.median(windows, axis=1)
    half = _WINDOW // 2
    medians = np.concatenate([np.full(half, inner[0]), inner, np.full(half, inner[-1])])
    reach = _MAX_DEVIATION * noise.sd
    return np.clip(values, medians - reach, medians + reach)


def _spread(differences: Array) -> float:
    """Return the standard deviation of normal differences from their mean without the largest tenth."""
    kept = np.sort(differences)[: max(1, math.ceil(0.9 * len(differences)))]
    return float(kept.mean()) / _TRIMMED_MEAN


def _shrink_rho(rho: float, n: int) -> float:
    """Return an autocorrelation estimated from `n` runs, shrunk toward the typical one."""
    shrunk = (n * min(max(rho, 0.0), 1.0) + _PRIOR_RUNS * _PRIOR_RHO) / (n + _PRIOR_RUNS)
    return min(shrunk, MAX_RHO)
