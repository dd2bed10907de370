"""Did the machine change while a case was timed? One change point in the rounds, or none.

Owns the test for a step in one sample. Pure and seeded: an array in, a finding or None out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from breakeven.stats.intervals import autocorrelation_time

MIN_CHANGE = 0.02
"""A change below this is nobody's concern, however sure."""

SIGNIFICANCE = 0.01
PERMUTATIONS = 199
MIN_ROUNDS = 20
SEED = 1


@dataclass(frozen=True)
class Drift:
    """A step: before which round, from which median to which (seconds), and how likely by chance."""

    round: int
    before_s: float
    after_s: float
    p: float

    @property
    def change(self) -> float:
        """The relative change of the median; above 0 the rounds became slower."""
        return self.after_s / self.before_s - 1


def find_drift(times: ArrayLike) -> Drift | None:
    """Return the step in the rounds, or None where there is none.

    The place is where the cumulative sum of the centered ranks is farthest from zero (Pettitt's statistic,
    Applied Statistics 28, 1979), which no single outlier moves. It counts as drift when the medians on its
    two sides differ by at least 2% and a permutation of blocks, as long as the autocorrelation asks for,
    beats the sum in at most 1% of cases: both, since many rounds make any difference sure, and few any large.

    Args:
        times: one-dimensional, finite, in the order of measuring; fewer than 20 rounds show no drift.
    """
    values = np.asarray(times, dtype=float)
    n = len(values)
    if n < MIN_ROUNDS:
        return None
    scores = _ranks(values) - (n + 1) / 2
    reach = np.abs(np.cumsum(scores)[:-1])
    at = int(reach.argmax()) + 1
    before, after = float(np.median(values[:at])), float(np.median(values[at:]))
    if before <= 0 or abs(after / before - 1) < MIN_CHANGE:
        return None
    p = _chance(scores, float(reach.max()), _block(values, n))
    return Drift(at, before, after, p) if p <= SIGNIFICANCE else None


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks from 1, equal values sharing their mean rank (`scipy.stats` is slow to import)."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[place])


def _block(values: NDArray[np.float64], n: int) -> int:
    """Return how many neighboring rounds must stay together; a step in itself looks like correlation."""
    halves = (values[: n // 2], values[n // 2 :])
    tau = min(autocorrelation_time(half) for half in halves)
    return max(1, min(math.ceil(2 * tau) if tau > 1 else 1, n // 6))


def _chance(scores: NDArray[np.float64], reach: float, block: int) -> float:
    """Return the share of block permutations whose cumulative sum reaches as far."""
    n = len(scores)
    rng = np.random.default_rng(SEED)
    blocks = math.ceil(n / block)
    order = rng.permuted(np.tile(np.arange(blocks), (PERMUTATIONS, 1)), axis=1)
    rows = (order[:, :, None] * block + np.arange(block)).reshape(PERMUTATIONS, -1)
    padded = np.concatenate([scores, np.zeros(blocks * block - n)])
    reached = np.abs(np.cumsum(padded[rows], axis=1)).max(axis=1)
    return float((1 + (reached >= reach).sum()) / (1 + PERMUTATIONS))
