"""How much a series wobbles from run to run, and for how long: the noise that a change must stand out of.

Owns two estimates of the noise of a series of logarithms. One is made of differences between neighbours,
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

FLOOR = 1e-3
"""The least standard deviation of a logarithm: a series that never moved may still move by 0.1%."""

MOST_CORRELATED = 0.8
"""A larger lag-1 autocorrelation is not believed: a few runs cannot show it, and a step looks like it."""

_NORMAL_MEDIAN = 0.6745  # the median of |z| for a standard normal z
_WINDOW = 5
_CLIP = 3.0


@dataclass(frozen=True)
class Noise:
    """The standard deviation of one run's logarithm, and the lag-1 autocorrelation of neighbouring runs."""

    sd: float
    rho: float

    @property
    def tau(self) -> float:
        """How many runs are worth one independent run, where many are averaged."""
        return (1 + self.rho) / (1 - self.rho)

    def of_mean(self, n: int) -> float:
        """Return the standard error of the mean of `n` neighbouring runs.

        >>> round(Noise(1.0, 0.0).of_mean(4), 3), round(Noise(1.0, 0.5).of_mean(4), 3)
        (0.5, 0.718)
        """
        # The exact variance of a mean of AR(1); tau alone overstates it for the few runs after a change.
        rho = self.rho
        inflated = self.tau - 2 * rho * (1 - rho**n) / (n * (1 - rho) ** 2)
        return self.sd * math.sqrt(max(inflated, 1.0) / n)


def noise_of_differences(values: Array) -> Noise:
    """Return the noise of a series whose levels are not known yet.

    The autocorrelation is that of Chakar et al. (Bernoulli 23, 2017): for AR(1) the spread of differences
    over two runs is (1 + rho) times that over one, and medians of both ignore the few that span a change.

    Args:
        values: logarithms, at least 4, in the order of the runs.
    """
    one, two = (float(np.median(np.abs(values[lag:] - values[:-lag]))) for lag in (1, 2))
    if one == 0:
        return Noise(FLOOR, 0.0)
    rho = min(max((two / one) ** 2 - 1, 0.0), MOST_CORRELATED)
    return Noise(max(one / _NORMAL_MEDIAN / math.sqrt(2 * (1 - rho)), FLOOR), rho)


def noise_of_residuals(residuals: Array, levels: int) -> Noise:
    """Return the noise around levels that were found.

    Args:
        residuals: the values less their level, in the order of the runs.
        levels: how many levels were fitted to them; each takes a degree of freedom.
    """
    n = len(residuals)
    square = float(residuals @ residuals)
    if square == 0:
        return Noise(FLOOR, 0.0)
    rho = float(residuals[1:] @ residuals[:-1]) / square
    rho += levels * (1 + 3 * max(rho, 0.0)) / n  # fitted levels make neighbours look less alike (Kendall)
    rho = min(max(rho, 0.0), MOST_CORRELATED)
    return Noise(max(math.sqrt(square / max(1, n - levels)), FLOOR), rho)


def without_spikes(values: Array, noise: Noise) -> Array:
    """Return the values, each at most 3 standard deviations from the median of the 5 runs around it.

    A single run that a neighbour disturbed is no change, and with only five runs on a side it would look like
    one; an edge between two levels stays where it is.
    """
    if len(values) < _WINDOW:
        return values
    windows = np.lib.stride_tricks.sliding_window_view(values, _WINDOW)
    inner = np.median(windows, axis=1)
    half = _WINDOW // 2
    middle = np.concatenate([np.full(half, inner[0]), inner, np.full(half, inner[-1])])
    reach = _CLIP * noise.sd
    return np.clip(values, middle - reach, middle + reach)
