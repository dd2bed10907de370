"""Drift: whether the machine changed while a case was timed, found as one step in its rounds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from breakeven.stats.intervals import autocorrelation_time

Array = NDArray[np.float64]

MIN_CHANGE = 0.02
"""Ignore changes below this size, however certain."""

SIGNIFICANCE = 0.01
PERMUTATIONS = 199
MIN_DRIFT_ROUNDS = 20
SEED = 1


@dataclass(frozen=True)
class Drift:
    """A step: the round it precedes, the medians before and after it in seconds, and its p-value."""

    round: int
    before_s: float
    after_s: float
    p: float

    @property
    def change(self) -> float:
        """The relative change of the median; above 0 the rounds became slower."""
        return self.after_s / self.before_s - 1


def find_drift(times: ArrayLike) -> Drift | None:
    """Return the step in the rounds, or None.

    The step is placed where the cumulative sum of the centered ranks is farthest from zero (Pettitt, Applied
    Statistics 28, 1979), which a single outlier does not move. It counts as drift if the medians on its two
    sides differ by at least 2% and at most 1% of the permutations have a larger sum. Both conditions are
    needed: with many rounds any difference is significant, with few any difference is large. The permutation
    moves blocks, whose length follows from the autocorrelation of the rounds.

    Args:
        times: one-dimensional, finite, in the order of measuring; fewer than 20 rounds never show drift.
    """
    values = np.asarray(times, dtype=float)
    n = len(values)
    if n < MIN_DRIFT_ROUNDS:
        return None
    scores = _ranks(values) - (n + 1) / 2
    sums = np.abs(np.cumsum(scores)[:-1])
    at = int(sums.argmax()) + 1
    before, after = float(np.median(values[:at])), float(np.median(values[at:]))
    if before <= 0 or abs(after / before - 1) < MIN_CHANGE:
        return None
    p = _permutation_p(scores, float(sums.max()), _block_length(values, n))
    return Drift(at, before, after, p) if p <= SIGNIFICANCE else None


def _ranks(values: Array) -> Array:
    """Return ranks from 1; equal values share their mean rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[place])


def _block_length(values: Array, n: int) -> int:
    """Return how many neighboring rounds must stay together: twice their autocorrelation time.

    A step would itself look like correlation, so the time is that of the half with less of it.
    """
    halves = (values[: n // 2], values[n // 2 :])
    tau = min(autocorrelation_time(half) for half in halves)
    return max(1, min(math.ceil(2 * tau) if tau > 1 else 1, n // 6))


def _permutation_p(scores: Array, observed: float, block: int) -> float:
    """Return the share of block permutations whose cumulative sum is at least as far from zero."""
    n = len(scores)
    rng = np.random.default_rng(SEED)
    blocks = math.ceil(n / block)
    order = rng.permuted(np.tile(np.arange(blocks), (PERMUTATIONS, 1)), axis=1)
    rows = (order[:, :, None] * block + np.arange(block)).reshape(PERMUTATIONS, -1)
    padded = np.concatenate([scores, np.zeros(blocks * block - n)])
    sums = np.abs(np.cumsum(padded[rows], axis=1)).max(axis=1)
    return float((1 + (sums >= observed).sum()) / (1 + PERMUTATIONS))
