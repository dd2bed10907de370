"""The shift that all cases share between two sides, and whether the machine explains it.

The shift is reported and never subtracted: a slowdown of everything is a slowdown. It is not judged only
where the canary, a fixed workload that no commit changes, shows the same one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from breakeven.runs.canary import CanarySample, canary_samples
from breakeven.stats.intervals import MAX_LOG_WIDTH

Array = NDArray[np.float64]

MIN_CASES = 3
"""With fewer cases, a common shift cannot be distinguished from a change of one case."""


@dataclass(frozen=True)
class Shift:
    """A log ratio, candidate over baseline, and its 95% interval; None where it is not known."""

    log_ratio: float
    low: float | None
    high: float | None

    @property
    def is_significant(self) -> bool:
        """Whether the interval excludes "no shift"."""
        return self.exceeds(0.0)

    def exceeds(self, log_limit: float) -> bool:
        """Return whether the whole interval is above the limit, or below its negative."""
        return (
            self.low is not None
            and self.high is not None
            and (self.low > log_limit or self.high < -log_limit)
        )

    def overlaps(self, other: Shift) -> bool:
        """Return whether the two intervals have a value in common."""
        if self.low is None or self.high is None or other.low is None or other.high is None:
            return False
        return self.low <= other.high and other.low <= self.high


def common_shift(baseline: Array, candidate: Array, floor: Array | None = None) -> Shift | None:
    """Return how far the median case moved, averaged over the runs of each side; None for too few cases.

    A few cases that changed do not move it. Its interval is over runs, because a run shifts as a whole; where
    each side has one run, it uses the run-to-run variance of the noise floor.

    Args:
        baseline: shape (cases, runs), log seconds, NaN where a run lacks a case.
        candidate: likewise, the same cases.
        floor: likewise; see `breakeven.stats.regression.effects`.
    """
    both = np.isfinite(baseline).any(axis=1) & np.isfinite(candidate).any(axis=1)
    if both.sum() < MIN_CASES:
        return None
    levels = np.nanmean(baseline[both], axis=1, keepdims=True)
    residuals = [side[both] - levels for side in (baseline, candidate)]
    sides = [np.nanmedian(side[:, np.isfinite(side).any(axis=0)], axis=0) for side in residuals]
    others = []
    if floor is not None and all(len(side) < 2 for side in sides):
        known = floor[np.isfinite(floor).all(axis=1)]
        others = [np.median(known - known.mean(axis=1, keepdims=True), axis=0)] if len(known) else []
    return _difference(sides[0], sides[1], others)


def canary_shift(
    baseline: Sequence[Mapping[str, Any]], candidate: Sequence[Mapping[str, Any]], device: str
) -> Shift | None:
    """Return how far the canary of a device moved between the sides; None where one of them lacks it.

    With several runs per side the interval is over runs. With one run per side it reaches from the lowest to
    the highest bound of the runs' own intervals.

    Args:
        baseline: the machine states of the baseline's runs.
        candidate: likewise.
        device: such as ``cuda``.
    """
    sides = [
        [samples for state in states if (samples := canary_samples(state, device))]
        for states in (baseline, candidate)
    ]
    if not all(sides):
        return None
    logs = [np.array([_level(samples) for samples in side]) for side in sides]
    if sum(map(len, logs)) > 2:
        return _difference(logs[0], logs[1], [])
    lows = [min(sample.low_s for sample in side[0]) for side in sides]
    highs = [max(sample.high_s for sample in side[0]) for side in sides]
    log_ratio = float(logs[1][0] - logs[0][0])
    return Shift(log_ratio, math.log(lows[1] / highs[0]), math.log(highs[1] / lows[0]))


def _level(samples: Sequence[CanarySample]) -> float:
    return float(np.mean([math.log(sample.median_s) for sample in samples]))


def explains(canary: Shift | None, shift: Shift | None, threshold: float) -> bool:
    """Return whether the canary shows the same shift as the cases, so that the machine changed.

    Both must be significant and in the same direction, the canary's larger than the threshold, and their
    intervals must overlap.
    """
    if canary is None or shift is None or not (canary.is_significant and shift.is_significant):
        return False
    is_same_direction = canary.log_ratio * shift.log_ratio > 0
    return is_same_direction and abs(canary.log_ratio) > math.log1p(threshold) and canary.overlaps(shift)


def _difference(baseline: Array, candidate: Array, others: Sequence[Array]) -> Shift:
    """Return the difference of two means with Student's interval; `others` add to the variance estimate."""
    groups = [baseline, candidate, *others]
    log_ratio = float(candidate.mean() - baseline.mean())
    df = sum(max(len(group) - 1, 0) for group in groups)
    if df < 1:
        return Shift(log_ratio, None, None)
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups if len(group))
    reach = float(stdtrit(df, 0.975)) * math.sqrt(squares / df * (1 / len(baseline) + 1 / len(candidate)))
    if 2 * reach > MAX_LOG_WIDTH:
        return Shift(log_ratio, None, None)
    return Shift(log_ratio, log_ratio - reach, log_ratio + reach)
