"""p-values: Student's t distribution, the false discovery rate, and repeated looks at growing data."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

Array = NDArray[np.float64]


def two_sided_p(t: float, dof: float) -> float:
    """Return the probability of a value at least as far from zero as `t`, on either side.

    >>> round(two_sided_p(2.228, 10), 3)
    0.05
    """
    return float(2 * stdtr(dof, -abs(t)))


def student_quantile(dof: float, level: float = 0.95) -> float:
    """Return the distance from zero within which a share `level` of Student's t distribution lies.

    >>> round(student_quantile(10), 3)
    2.228
    """
    return float(stdtrit(dof, (1 + level) / 2))


def benjamini_hochberg(p: Array) -> Array:
    """Return each test's q-value: the smallest false discovery rate at which it is rejected.

    Benjamini and Hochberg (1995): the p-value of rank r among n becomes ``p * n / r``, and never more than
    that of a larger p-value. NaN stays NaN and does not count as a test.

    >>> benjamini_hochberg(np.array([0.01, 0.04, np.nan, 0.03])).round(3).tolist()
    [0.03, 0.04, nan, 0.04]
    """
    q = np.full(len(p), np.nan)
    tested = np.flatnonzero(np.isfinite(p))
    order = tested[np.argsort(p[tested])[::-1]]
    ranks = np.arange(len(order), 0, -1)
    q[order] = np.minimum(1.0, np.minimum.accumulate(p[order] * len(order) / ranks))
    return q


def look_penalty(look: int, *, is_last: bool) -> int:
    """Return the factor of a q-value at one of several looks at data that grow from look to look.

    Each look has a share of the error rate, ``1 / (look * (look + 1))``, and the last one what is left of it.
    So the shares sum to 1, however many looks there are (Bonferroni; the looks may correlate in any way).

    >>> [look_penalty(look, is_last=look == 4) for look in (1, 2, 3, 4)]
    [2, 6, 12, 4]

    Args:
        look: its number, counted from 1.
        is_last: whether no other look can follow; what the data show must not decide this.
    """
    return look if is_last else look * (look + 1)
