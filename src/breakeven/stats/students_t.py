"""Student's t, as far as a history needs it, without the second that importing ``scipy.stats`` takes."""

from __future__ import annotations

from scipy.special import stdtr, stdtrit


def two_sided_p(t: float, dof: float) -> float:
    """Return how likely a value so far from zero, on either side, is by chance.

    >>> round(two_sided_p(2.228, 10), 3)
    0.05
    """
    return float(2 * stdtr(dof, -abs(t)))


def upper_point(dof: float, level: float = 0.95) -> float:
    """Return what a share of `level` lies within, on both sides.

    >>> round(upper_point(10), 3)
    2.228
    """
    return float(stdtrit(dof, (1 + level) / 2))
