"""What all cases share between two sides: one number for it, and whether the machine explains it.

Owns ``common_shift`` and the canary's word on it. Corrects nothing: a slowdown of everything is a slowdown,
unless a fixed piece of work, which no commit touches, shows the same one.
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

Array = NDArray[np.float64]

MIN_CASES = 3
"""Of fewer cases nobody can tell what they share from what one of them did."""


@dataclass(frozen=True)
class Shift:
    """A log ratio, candidate over baseline, and its 95% interval; None where it is not known."""

    log_ratio: float
    low: float | None
    high: float | None

    @property
    def is_sure(self) -> bool:
        """Whether the interval leaves out "no shift"."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def meets(self, other: Shift) -> bool:
        """Return whether the two intervals have a value in common."""
        if self.low is None or self.high is None or other.low is None or other.high is None:
            return False
        return self.low <= other.high and other.low <= self.high


def common_shift(baseline: Array, candidate: Array, floor: Array | None = None) -> Shift | None:
    """Return by how much the cases moved together, the middle one of them in each run.

    A few cases that changed do not move it. Its interval rests on how the runs moved, since a run moves as
    a whole; where a side has one run each, on how those of the noise floor did.

    Args:
        baseline: shape (cases, runs), log seconds, NaN where a run lacks a case.
        candidate: likewise, the same cases.
        floor: likewise; see `breakeven.stats.regression.effects`.
    """
    both = np.isfinite(baseline).any(axis=1) & np.isfinite(candidate).any(axis=1)
    if both.sum() < MIN_CASES:
        return None
    levels = np.nanmean(baseline[both], axis=1, keepdims=True)
    away = [side[both] - levels for side in (baseline, candidate)]
    sides = [np.nanmedian(side[:, np.isfinite(side).any(axis=0)], axis=0) for side in away]
    others = []
    if floor is not None and all(len(side) < 2 for side in sides):
        known = floor[np.isfinite(floor).all(axis=1)]
        others = [np.median(known - known.mean(axis=1, keepdims=True), axis=0)] if len(known) else []
    return _difference(sides[0], sides[1], others)


def canary_shift(
    baseline: Sequence[Mapping[str, Any]], candidate: Sequence[Mapping[str, Any]], device: str
) -> Shift | None:
    """Return by how much the canary of a device moved between the sides, from the states of their runs.

    With several runs a side the interval is over runs; with one each it is as wide as the two runs' own
    intervals at their most distant moments.
    """
    sides = [
        [heard for state in states if (heard := canary_samples(state, device))]
        for states in (baseline, candidate)
    ]
    if not all(sides):
        return None
    logs = [np.array([_level(heard) for heard in side]) for side in sides]
    if sum(map(len, logs)) > 2:
        return _difference(logs[0], logs[1], [])
    lows = [min(song.low_s for song in side[0]) for side in sides]
    highs = [max(song.high_s for song in side[0]) for side in sides]
    log_ratio = float(logs[1][0] - logs[0][0])
    return Shift(log_ratio, math.log(lows[1] / highs[0]), math.log(highs[1] / lows[0]))


def _level(heard: Sequence[CanarySample]) -> float:
    return float(np.mean([math.log(song.median_s) for song in heard]))


def explains(canary: Shift | None, shift: Shift | None, threshold: float) -> bool:
    """Return whether the canary shows the same shift as the cases: then the machine changed.

    Both must surely have moved, to the same side, the canary by more than the threshold, and their intervals
    must meet.
    """
    if canary is None or shift is None or not (canary.is_sure and shift.is_sure):
        return False
    is_the_same_way = canary.log_ratio * shift.log_ratio > 0
    return is_the_same_way and abs(canary.log_ratio) > math.log1p(threshold) and canary.meets(shift)


def _difference(baseline: Array, candidate: Array, others: Sequence[Array]) -> Shift:
    """Return the difference of two groups' means with Student's interval; the others lend their noise."""
    groups = [baseline, candidate, *others]
    log_ratio = float(candidate.mean() - baseline.mean())
    df = sum(max(len(group) - 1, 0) for group in groups)
    if df < 1:
        return Shift(log_ratio, None, None)
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups if len(group))
    reach = float(stdtrit(df, 0.975)) * math.sqrt(squares / df * (1 / len(baseline) + 1 / len(candidate)))
    return Shift(log_ratio, log_ratio - reach, log_ratio + reach)
