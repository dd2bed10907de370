"""Where the level of one series changed for good: change points, gated by size, evidence and runs behind.

Owns the search and its gates; which commit a change belongs to, and whether it matters, is decided elsewhere.
`search` proposes: the price of a level comes from the noise of the series with its autocorrelation. What it
proposes must then pass: so many runs on either side, a size, and a test between neighboring levels whose
standard errors are those of correlated runs. Pure: arrays in, findings out.
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

MIN_RUNS = 5
"""So many runs stand on each side of a change, and make a level."""

THRESHOLD = 0.03
"""A change of a level below 3% is nobody's concern, however sure."""

SIGNIFICANCE = 0.0007
"""How likely a change may be by chance, although it was chosen among all places of its series."""

_PENALTY = 1.0
"""Times log(n), in units of the long-run variance: low, because this only proposes and the gates decide."""

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Level:
    """A stretch of runs ``start <= i < stop`` without a change, and the mean of their logarithms."""

    start: int
    stop: int
    mean: float

    @property
    def n(self) -> int:
        """How many runs."""
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
    """The levels of a series, one more than its changes, and the noise around them.

    `tame` are the series' values as they were judged, without spikes.
    """

    levels: tuple[Level, ...]
    changes: tuple[LevelChange, ...]
    noise: AR1Noise
    winsorized: Array

    @property
    def dof(self) -> float:
        """The degrees of freedom of the noise of one run: squares correlate as the square of values does."""
        square = self.noise.rho**2
        return max(2.0, (len(self.winsorized) - len(self.levels)) * (1 - square) / (1 + square))


def find_changes(values: Array, threshold: float = THRESHOLD) -> Findings:
    """Return levels and changes of a series, as `find_changes_in_all` does of many."""
    return find_changes_in_all([values], threshold)[0]


def find_changes_in_all(series: Sequence[Array], threshold: float = THRESHOLD) -> list[Findings]:
    """Return levels and changes of each series.

    Args:
        series: logarithms, finite, in the order of the runs; at least one in each.
        threshold: the smallest change, relative, that counts.
    """
    rough = {i: noise_from_differences(v) for i, v in enumerate(series) if len(v) >= 2 * MIN_RUNS}
    winsorized = [winsorize(v, rough[i]) if i in rough else v for i, v in enumerate(series)]
    edges = [[0, len(values)] for values in series]
    moved = [i for i in rough if _may_move(winsorized[i], threshold)]
    scaled = [_scaled(winsorized[i], rough[i]) for i in moved]
    penalties = [_PENALTY * math.log(len(values)) for values in scaled]
    for i, found in zip(moved, best_edges(scaled, penalties, MIN_RUNS), strict=True):
        edges[i] = found
    return [_judged(*one, threshold) for one in zip(winsorized, edges, strict=True)]


def _may_move(values: Array, threshold: float) -> bool:
    """Return whether any two levels can differ by the threshold.

    Every level falls into stretches of once to twice the fewest runs, and its mean lies between theirs.
    """
    sums = np.concatenate([[0.0], np.cumsum(values - values[0])])
    most = min(2 * MIN_RUNS, len(sums))
    means = np.concatenate([(sums[n:] - sums[:-n]) / n for n in range(MIN_RUNS, most)])
    return bool(np.ptp(means) >= math.log1p(threshold) * (1 - _ROUNDING))


def _scaled(values: Array, noise: AR1Noise) -> Array:
    scaled: Array = (values - values.mean()) / (noise.sd * math.sqrt(noise.tau))
    return scaled


def _judged(values: Array, edges: list[int], threshold: float) -> Findings:
    """Return what is left of the proposed edges after dropping, again and again, what fails by most."""
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
    """Return which inner edge fails its gates by most; None when all pass."""
    worst: tuple[float, int] | None = None
    for i in range(1, len(edges) - 1):
        before, after = values[edges[i - 1] : edges[i]], values[edges[i] : edges[i + 1]]
        step = abs(float(after.mean() - before.mean()))
        t = step / math.hypot(noise.error_of_mean(len(before)), noise.error_of_mean(len(after)))
        # Neighboring places share most of their runs: about every fifth is one more chance to err.
        p = two_sided_p(t, _dof(len(values), len(edges) - 1, noise)) * len(values) / MIN_RUNS
        fails = step < math.log1p(threshold) or p > SIGNIFICANCE or _borrows(before, after)
        if fails and (worst is None or t < worst[0]):
            worst = (t, i)
    return None if worst is None else worst[1]


def _borrows(before: Array, after: Array) -> bool:
    """Return whether a level of the fewest runs counts one that is rather of its neighbor's.

    With four runs after a large step the search makes a fifth of the last run before it.
    """
    middle = (float(np.median(before)) + float(np.median(after))) / 2
    up = float(np.median(after)) > middle
    first_is_old = len(after) == MIN_RUNS and (after[0] > middle) != up
    last_is_new = len(before) == MIN_RUNS and (before[-1] > middle) == up
    return bool(first_is_old or last_is_new)


def _dof(n: int, levels: int, noise: AR1Noise) -> float:
    return max(2.0, (n - levels) / noise.tau)


def _findings(values: Array, edges: list[int], noise: AR1Noise) -> Findings:
    levels = tuple(Level(a, b, float(values[a:b].mean())) for a, b in pairwise(edges))
    reach = student_quantile(_dof(len(values), len(levels), noise))
    changes = []
    for before, after in pairwise(levels):
        step = after.mean - before.mean
        error = reach * math.hypot(noise.error_of_mean(before.n), noise.error_of_mean(after.n))
        changes.append(LevelChange(int(after.start), *(math.exp(step + k * error) for k in (0, -1, 1))))
    return Findings(levels, tuple(changes), noise, values)
