"""Change points: where the level of a series of runs changed, by which ratio, and how certain.

`breakeven.stats.segmentation` proposes edges, with a penalty that follows from the noise and autocorrelation
of the series. An edge is kept if both levels have at least `MIN_LEVEL_RUNS` runs, the change reaches the
threshold, and a t-test between the two levels, with standard errors of correlated runs, is significant.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from breakeven.stats.ar1_noise import AR1Noise, Array, noise_from_differences, noise_from_residuals, winsorize
from breakeven.stats.segmentation import best_edges
from breakeven.stats.significance import student_quantile, two_sided_p

MIN_LEVEL_RUNS = 5
"""The smallest number of runs in a level."""

THRESHOLD = 0.03
"""Ignore changes below this size, however certain."""

SIGNIFICANCE = 0.0007
"""The largest p-value of a change, after the correction for choosing its place."""

PLACE_DEVIANCE = 7.35
"""Places of a change with twice the log likelihood ratio to the best one up to this hold the true one in 95%.

On either side of the true place the log likelihood is a Brownian motion with a drift downward, whose maximum
is exponential; the best place is the larger one of two: ``(1 - exp(-7.35 / 2)) ** 2 = 0.95``.
"""

_PENALTY = 1.0
"""Times log(n), in units of the long-run variance: low, because the gates decide afterwards."""

_ROUNDING = 1e-9


@dataclass(frozen=True)
class SeriesLevel:
    """Runs ``start <= i < stop`` without a change between them, and the mean of their logarithms."""

    start: int
    stop: int
    mean: float

    @property
    def n(self) -> int:
        """The number of runs."""
        return self.stop - self.start


@dataclass(frozen=True)
class LevelChange:
    """A change before run `at`: the ratio of the level after it to that before, with its 95% interval."""

    at: int
    ratio: float
    low: float
    high: float


@dataclass(frozen=True)
class Findings:
    """The levels of a series, the changes between them (one fewer), and the noise around the levels.

    `winsorized` are the logarithms as they were judged, with spikes clipped.
    """

    levels: tuple[SeriesLevel, ...]
    changes: tuple[LevelChange, ...]
    noise: AR1Noise
    winsorized: Array

    @property
    def dof(self) -> float:
        """The degrees of freedom of the variance of one run, at least 2."""
        square = self.noise.rho**2  # squared values of an AR(1) process correlate by rho squared
        return max(2.0, (len(self.winsorized) - len(self.levels)) * (1 - square) / (1 + square))


def may_be_at(values: Array, noise: AR1Noise, at: int, other: int) -> bool:
    """Return whether a change found before run `at` may, at 95%, be one before run `other`.

    Args:
        values: the logarithms of the two levels, of which the second begins at `at`.
        noise: around the levels.
        at: the first run after the change.
        other: likewise, of the other place; False if that leaves one of the levels empty.
    """
    if not 0 < other < len(values):
        return False
    return _gain(values, at) - _gain(values, other) <= PLACE_DEVIANCE * noise.tau * noise.sd**2


def _gain(values: Array, at: int) -> float:
    """Return by how much two levels reduce the sum of squares around one."""
    before, after = values[:at], values[at:]
    return len(before) * len(after) / len(values) * float(after.mean() - before.mean()) ** 2


def find_changes(values: Array, threshold: float = THRESHOLD) -> Findings:
    """Return levels and changes of one series; see `find_changes_in_all`."""
    return find_changes_in_all([values], threshold)[0]


def find_changes_in_all(series: Sequence[Array], threshold: float = THRESHOLD) -> list[Findings]:
    """Return levels and changes of each series.

    Args:
        series: logarithms, finite, in the order of the runs; at least one in each.
        threshold: ignore relative changes below this size.
    """
    rough = {i: noise_from_differences(v) for i, v in enumerate(series) if len(v) >= 2 * MIN_LEVEL_RUNS}
    winsorized = [winsorize(v, rough[i]) if i in rough else v for i, v in enumerate(series)]
    edges = [[0, len(values)] for values in series]
    searched = [i for i in rough if _may_change(winsorized[i], threshold)]
    scaled = [_scaled(winsorized[i], rough[i]) for i in searched]
    penalties = [_PENALTY * math.log(len(values)) for values in scaled]
    for i, found in zip(searched, best_edges(scaled, penalties, MIN_LEVEL_RUNS), strict=True):
        edges[i] = found
    return [_gated(*one, threshold) for one in zip(winsorized, edges, strict=True)]


def _may_change(values: Array, threshold: float) -> bool:
    """Return whether any two levels can differ by the threshold; if not, there is no need to search.

    Every level divides into stretches of 5 to 9 runs, and its mean lies between their means.
    """
    sums = np.concatenate([[0.0], np.cumsum(values - values[0])])
    longest = min(2 * MIN_LEVEL_RUNS, len(sums))
    means = np.concatenate([(sums[n:] - sums[:-n]) / n for n in range(MIN_LEVEL_RUNS, longest)])
    return bool(np.ptp(means) >= math.log1p(threshold) * (1 - _ROUNDING))


def _scaled(values: Array, noise: AR1Noise) -> Array:
    """Return the values in units of the long-run standard deviation."""
    scaled: Array = (values - values.mean()) / (noise.sd * math.sqrt(noise.tau))
    return scaled


def _gated(values: Array, edges: list[int], threshold: float) -> Findings:
    """Return what remains after the weakest failing edge is dropped, again and again, until all pass."""
    while True:
        noise = _noise_around(values, edges)
        weakest = _weakest(values, edges, noise, threshold)
        if weakest is None:
            return _findings(values, edges, noise)
        edges.pop(weakest)


def _noise_around(values: Array, edges: list[int]) -> AR1Noise:
    means = np.repeat([values[a:b].mean() for a, b in pairwise(edges)], np.diff(edges))
    return noise_from_residuals(values - means, len(edges) - 1)


def _weakest(values: Array, edges: list[int], noise: AR1Noise, threshold: float) -> int | None:
    """Return the index of the failing inner edge with the smallest t statistic; None if all pass."""
    weakest: tuple[float, int] | None = None
    for i in range(1, len(edges) - 1):
        before, after = values[edges[i - 1] : edges[i]], values[edges[i] : edges[i + 1]]
        step = abs(float(after.mean() - before.mean()))
        t = step / math.hypot(noise.error_of_mean(len(before)), noise.error_of_mean(len(after)))
        # Bonferroni: tests at neighboring places share most of their runs, so that about every fifth place
        # counts as one more test.
        p = two_sided_p(t, _dof(len(values), len(edges) - 1, noise)) * len(values) / MIN_LEVEL_RUNS
        fails = step < math.log1p(threshold) or p > SIGNIFICANCE or _borrows_run(before, after)
        if fails and (weakest is None or t < weakest[0]):
            weakest = (t, i)
    return None if weakest is None else weakest[1]


def _borrows_run(before: Array, after: Array) -> bool:
    """Return whether a level of `MIN_LEVEL_RUNS` runs includes one that belongs to its neighbor.

    If only four runs follow a large step, the search completes their level with the last run before it.
    """
    middle = (float(np.median(before)) + float(np.median(after))) / 2
    up = float(np.median(after)) > middle
    first_is_old = len(after) == MIN_LEVEL_RUNS and (after[0] > middle) != up
    last_is_new = len(before) == MIN_LEVEL_RUNS and (before[-1] > middle) == up
    return bool(first_is_old or last_is_new)


def _dof(n: int, levels: int, noise: AR1Noise) -> float:
    """Return the degrees of freedom of a difference of levels, at least 2."""
    return max(2.0, (n - levels) / noise.tau)


def _findings(values: Array, edges: list[int], noise: AR1Noise) -> Findings:
    levels = tuple(SeriesLevel(a, b, float(values[a:b].mean())) for a, b in pairwise(edges))
    reach = student_quantile(_dof(len(values), len(levels), noise))
    changes = []
    for before, after in pairwise(levels):
        step = after.mean - before.mean
        error = reach * math.hypot(noise.error_of_mean(before.n), noise.error_of_mean(after.n))
        changes.append(LevelChange(int(after.start), *(math.exp(step + k * error) for k in (0, -1, 1))))
    return Findings(levels, tuple(changes), noise, values)
