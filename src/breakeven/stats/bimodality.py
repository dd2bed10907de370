"""Times that fall into two groups, because each process ran in one of two states, such as two placements.

The mean of such times depends on how many of them happened to be in either group.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MIN_GAP = math.log(1.1)
"""Groups of log times that are closer are not separated: a change of 10% is what a verdict resolves."""

MIN_GAP_SD = 5.0
"""The minimum gap, in standard deviations inside the groups.

Of 5, 8 and 20 normally distributed times, 6%, 1% and none have such a gap. Of 5 and 8 times in groups 30%
apart that vary by 3%, 85% and 83% do.
"""

MIN_GROUP = 2
"""The minimum size of a group: a single time apart from the others is an outlier."""


def gap_between_groups(logs: Array) -> float | None:
    """Return the gap between two groups of log times; None where they are one group.

    >>> gap = gap_between_groups(np.log([1.0, 1.5, 1.01, 1.52, 1.0]))
    >>> round(math.exp(gap), 3)
    1.485

    Args:
        logs: shape (processes,), in any order.
    """
    ordered = np.sort(logs)
    gaps = np.diff(ordered)[MIN_GROUP - 1 : len(ordered) - MIN_GROUP]
    if not len(gaps):
        return None
    size = int(gaps.argmax()) + MIN_GROUP
    gap = float(gaps.max())
    groups = (ordered[:size], ordered[size:])
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    sd = math.sqrt(squares / (len(ordered) - 2))
    return gap if gap > MIN_GAP and gap > MIN_GAP_SD * sd else None


def are_apart(baseline: Array, candidate: Array, threshold: float) -> bool:
    """Return whether each log time of one side is above all of the other by more than the threshold.

    Whichever group each process was in, it cannot explain such a difference.

    Args:
        baseline: shape (processes,).
        candidate: likewise.
        threshold: the relative change to ignore.
    """
    distance = max(candidate.min() - baseline.max(), baseline.min() - candidate.max())
    return bool(distance > math.log1p(threshold))
