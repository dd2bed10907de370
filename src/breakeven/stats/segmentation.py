"""The best division of a series into levels: the exact optimum, for many series at once.

Optimal partitioning (Jackson et al., IEEE Signal Processing Letters 12, 2005) minimizes the squared
deviations from the levels plus a penalty for each level. It considers all edges together, where a test of one
split at a time misses a step that is later undone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_SERIES_PER_PASS = 48
"""Enough to hide the cost of a numpy call, and few enough for the processor's cache."""


def best_edges(series: Sequence[Array], penalties: Sequence[float], min_length: int) -> list[list[int]]:
    """Return the edges of the best levels of each series: 0, each index where a level begins, its length.

    Args:
        series: one-dimensional arrays of any lengths, each at least `min_length`.
        penalties: the cost of one more level in each series, in the squared unit of its values.
        min_length: the smallest number of values in a level.
    """
    found: list[list[int]] = [[] for _ in series]
    by_length = sorted(range(len(series)), key=lambda i: len(series[i]))
    for start in range(0, len(series), _SERIES_PER_PASS):
        members = by_length[start : start + _SERIES_PER_PASS]
        last = _last_edges(
            [series[i] for i in members], np.array([penalties[i] for i in members]), min_length
        )
        for i, before in zip(members, last, strict=True):
            edges = [len(series[i])]
            while edges[-1]:
                edges.append(int(before[edges[-1]]))
            found[i] = edges[::-1]
    return found


def _last_edges(series: Sequence[Array], penalties: Array, min_length: int) -> NDArray[np.intp]:
    """Return where the last of the best levels begins, for the first `stop` values of each series.

    The shape is (series, stop); entries beyond the length of a series are meaningless.
    """
    n = max(map(len, series))
    sums = np.zeros((len(series), n + 1))
    for row, values in zip(sums, series, strict=True):
        np.cumsum(values, out=row[1 : len(values) + 1])
    # The sum of the squared values is the same for every choice of edges, so the cost of a level is
    # -sum^2 / n; best[:, stop] is the smallest total cost of the first `stop` values.
    best = np.full((len(series), n + 1), np.inf)
    best[:, 0] = 0.0
    last = np.zeros((len(series), n + 1), dtype=np.intp)
    inverse = 1.0 / np.arange(n, 0, -1)
    rows = np.arange(len(series))
    buffer = np.empty((len(series), n))
    for stop in range(min_length, n + 1):
        starts = stop - min_length + 1
        cost = buffer[:, :starts]
        np.subtract(sums[:, stop, None], sums[:, :starts], out=cost)
        np.multiply(cost, cost, out=cost)
        np.multiply(cost, inverse[n - stop : n - stop + starts], out=cost)
        np.subtract(best[:, :starts], cost, out=cost)
        last[:, stop] = cost.argmin(axis=1)
        best[:, stop] = cost[rows, last[:, stop]] + penalties
    return last
