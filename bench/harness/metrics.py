"""The figures of one tool in one cell, from repeated readings; pure and seeded.

All errors are relative to the true value of what the tool estimates: the mean or the median.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from shared import share
from tools import Z95, Measurement

from breakeven.stats.intervals import median_interval

TARGET = 0.02
RESAMPLES = 1000


@dataclass(frozen=True)
class Observation:
    """One reading, the true value of its estimand, and the wall seconds it took on its clock."""

    reading: Measurement
    true_s: float
    wall_s: float

    @property
    def error(self) -> float:
        """The relative error of the center."""
        return self.reading.center_s / self.true_s - 1

    @property
    def covers(self) -> bool | None:
        """Whether the interval contains the true value; None without an interval."""
        low_s, high_s = self.reading.low_s, self.reading.high_s
        if low_s is None or high_s is None:
            return None
        return low_s <= self.true_s <= high_s


@dataclass(frozen=True)
class Figures:
    """The figures of `n` readings of a tool in a cell; pairs are 95% intervals, errors are relative.

    `bias` is the median error, `mean_error` remains when many readings are averaged. `true_half_width` is the
    95th percentile of the absolute error, `claimed_half_width` the median half-width of the intervals.
    `to_target_s` is None if no repetition brings the center to +-2%.
    """

    n: int
    bias: float
    bias_interval: tuple[float, float] | None
    mean_error: float
    mean_error_interval: tuple[float, float]
    true_half_width: float
    claimed_half_width: float | None
    coverage: float | None
    coverage_interval: tuple[float, float] | None
    rounds: int
    wall_s: float
    to_target_s: float | None
    estimand: str


def figures(seen: Sequence[Observation]) -> Figures:
    """Return the figures of a tool's readings in one cell."""
    errors = np.array([item.error for item in seen])
    center = median_interval(errors)
    bias_interval = None if center.low is None or center.high is None else (center.low, center.high)
    covered = [item.covers for item in seen if item.covers is not None]
    coverage = share(sum(covered), len(covered)) if covered else None
    half_width = float(np.percentile(abs(errors), 95))
    wall_s = float(np.mean([item.wall_s for item in seen]))
    mean_error = float(errors.mean())
    reach = Z95 * float(errors.std(ddof=1)) / math.sqrt(len(errors)) if len(errors) > 1 else math.inf
    left = (mean_error - reach, mean_error + reach)
    return Figures(
        n=len(seen),
        bias=center.median,
        bias_interval=bias_interval,
        mean_error=mean_error,
        mean_error_interval=left,
        true_half_width=half_width,
        claimed_half_width=_claimed(seen),
        coverage=coverage and coverage["share"],
        coverage_interval=coverage and (coverage["low"], coverage["high"]),
        rounds=int(np.median([item.reading.rounds for item in seen])),
        wall_s=wall_s,
        to_target_s=None if biased(left) else seconds_to_target(wall_s, half_width),
        estimand=seen[0].reading.estimand,
    )


def seconds_to_target(wall_s: float, half_width: float) -> float:
    """Return the wall seconds until 95% of the centers are within 2% of the true value.

    Averaging k readings narrows their spread by sqrt(k), so k = (half width / 2%)**2 of them are needed, but
    at least one, since a tool costs at least one reading. The rule is the same for every tool.
    """
    return wall_s * max(1.0, (half_width / TARGET) ** 2)


def biased(mean_error_interval: tuple[float, float]) -> bool:
    """Whether the mean error is shown to exceed 2%, which averaging does not fix."""
    return mean_error_interval[0] > TARGET or mean_error_interval[1] < -TARGET


def ratio_of_costs(other: Sequence[Observation], ours: Sequence[Observation]) -> tuple[float, float] | None:
    """Return the 95% bootstrap interval of `other`'s seconds to +-2% over `ours`; None if either is unknown.

    Whole readings are resampled, each with its error and its wall time.
    """
    if any(figures(seen).to_target_s is None for seen in (other, ours)):
        return None
    rng = np.random.default_rng(0)
    ratios = _resampled_costs(other, rng) / _resampled_costs(ours, rng)
    low, high = np.percentile(ratios, [2.5, 97.5])
    return float(low), float(high)


def _resampled_costs(seen: Sequence[Observation], rng: np.random.Generator) -> np.ndarray:
    errors = np.abs([item.error for item in seen])
    walls = np.array([item.wall_s for item in seen])
    drawn = rng.integers(0, len(seen), (RESAMPLES, len(seen)))
    widths = np.percentile(errors[drawn], 95, axis=1)
    return walls[drawn].mean(axis=1) * np.maximum(1.0, (widths / TARGET) ** 2)


def _claimed(seen: Sequence[Observation]) -> float | None:
    widths = [
        (item.reading.high_s - item.reading.low_s) / 2 / item.reading.center_s
        for item in seen
        if item.reading.low_s is not None and item.reading.high_s is not None
    ]
    return float(np.median(widths)) if widths else None
