"""Where levels best begin and end: the exact optimum over all places at once, for many series together.

Owns the search alone: least squared deviations from the levels, with a price on each level (optimal
partitioning: Jackson et al., IEEE Signal Processing Letters 12, 2005). It sees all changes at once, where a
test of one split at a time is blind to a step that is later undone. Whether a change is one, and what it
costs, is decided elsewhere. Pure: arrays in, edges out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_TOGETHER = 48
"""So many series share a pass: enough to hide what a call costs, and few enough for the processor's cache."""


def best_edges(series: Sequence[Array], penalties: Sequence[float], min_length: int) -> list[list[int]]:
    """Return the edges of the best levels of each series: 0, where levels change, and its length.

    Args:
        series: of any lengths, each at least `min_length`.
        penalties: what another level costs in each series, in squared units of it.
        min_length: values that make a level.
    """
    found: list[list[int]] = [[] for _ in series]
    by_length = sorted(range(len(series)), key=lambda i: len(series[i]))
    for start in range(0, len(series), _TOGETHER):
        chosen = by_length[start : start + _TOGETHER]
        last = _last_edges([series[i] for i in chosen], np.array([penalties[i] for i in chosen]), min_length)
        for i, before in zip(chosen, last, strict=True):
            edges = [len(series[i])]
            while edges[-1]:
                edges.append(int(before[edges[-1]]))
            found[i] = edges[::-1]
    return found


def _last_edges(series: Sequence[Array], penalties: Array, min_length: int) -> NDArray[np.intp]:
    """Return where the last of the best levels begins, for the first `stop` values of each series.

    Shape (series, stop), of which a series has its own length and what lies behind means nothing.
    """
    n = max(map(len, series))
    sums = np.zeros((len(series), n + 1))
    for row, values in zip(sums, series, strict=True):
        np.cumsum(values, out=row[1 : len(values) + 1])
    # The squares of the values are the same for every choice of edges: of the squared deviations of a level
    # only -sum^2 / n differs, and `best` holds what the best edges up to a place make of that.
    best = np.full((len(series), n + 1), np.inf)
    best[:, 0] = 0.0
    last = np.zeros((len(series), n + 1), dtype=np.intp)
    inverse = 1.0 / np.arange(n, 0, -1)
    rows = np.arange(len(series))
    gain = np.empty((len(series), n))
    for stop in range(min_length, n + 1):
        starts = stop - min_length + 1
        room = gain[:, :starts]
        np.subtract(sums[:, stop, None], sums[:, :starts], out=room)
        np.multiply(room, room, out=room)
        np.multiply(room, inverse[n - stop : n - stop + starts], out=room)
        np.subtract(best[:, :starts], room, out=room)
        last[:, stop] = room.argmin(axis=1)
        best[:, stop] = room[rows, last[:, stop]] + penalties
    return last
