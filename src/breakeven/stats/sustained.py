"""The times of a device in its first seconds of load, and after many more."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from breakeven.stats.intervals import MIN_ROUNDS, MedianInterval, median_interval

BURST_S = 2.0
"""The seconds of load before which a device has not yet lowered its clocks."""


def burst_and_sustained(
    times_s: ArrayLike, round_s: ArrayLike, before_s: float, warmup_s: ArrayLike
) -> tuple[MedianInterval, MedianInterval]:
    """Return the median time in the first `BURST_S` seconds of load, and in the last half of the load.

    Args:
        times_s: shape (rounds,), what is measured, in the order they ran.
        round_s: shape (rounds,), the seconds of load of each round.
        before_s: the seconds of load before the first round.
        warmup_s: at least one time from the beginning of the load; these count for the burst if fewer than
            `MIN_ROUNDS` rounds ended in it.

    >>> burst, sustained = burst_and_sustained([1.0] * 6 + [1.5] * 30, [0.2] * 36, 0.5, [1.0])
    >>> burst.median, sustained.median
    (1.0, 1.5)
    """
    times = np.asarray(times_s, dtype=float)
    ends_s = before_s + np.cumsum(round_s)
    burst = times[ends_s <= BURST_S]
    if len(burst) < MIN_ROUNDS:
        burst = np.concatenate([np.asarray(warmup_s, dtype=float), burst])
    return median_interval(burst), median_interval(times[ends_s >= ends_s[-1] / 2])
