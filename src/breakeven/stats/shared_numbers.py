"""The random numbers that the cases of one process pool share, and the medians of resampled processes.

A matrix of all numbers takes hundreds of MB for thousands of processes, so they are drawn in parts, and again
where they are needed again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Counts = NDArray[np.uint8]

_AT_ONCE = 1 << 17  # numbers
_WINDOW_SD = 6.0  # a resampled median is farther from the median than this in one of 10^9 resamples


@dataclass(frozen=True, eq=False)
class SharedNumbers:
    """Normal numbers, a row per resample and a column per process, and one more; as many uniform ones.

    `last` is the last column, of cases whose processes agree exactly. The generators are at the first normal
    and at the first uniform number.
    """

    resamples: int
    processes: int
    last: Array
    first_normal: np.random.Generator
    first_uniform: np.random.Generator
    _counts: dict[int, Counts] = field(default_factory=dict)

    @classmethod
    def draw(cls, rng: np.random.Generator, processes: int, resamples: int) -> SharedNumbers:
        """Return new numbers; `rng` goes on after them."""
        first_normal = deepcopy(rng)
        last = np.empty(resamples)
        for rows in _parts(resamples, processes + 1):
            last[rows] = rng.standard_normal((rows.stop - rows.start, processes + 1))[:, -1]
        first_uniform = deepcopy(rng)
        for rows in _parts(resamples, processes):
            rng.random((rows.stop - rows.start, processes))
        return cls(resamples, processes, last, first_normal, first_uniform)

    def normals_of(self, processes: int) -> NDArray[np.float32]:
        """Return the normal numbers of the first processes and the last column, a row per resample."""
        if processes == self.processes:
            return self._normals
        return np.delete(self._normals, np.s_[processes:-1], axis=1)

    @cached_property
    def _normals(self) -> NDArray[np.float32]:
        rng, normals = deepcopy(self.first_normal), np.empty((self.resamples, self.processes + 1), np.float32)
        for rows in _parts(*normals.shape):
            normals[rows] = rng.standard_normal(normals[rows].shape)
        return normals

    def counts(self, processes: int) -> Counts:
        """Return how often each resample has each of the first processes, shape (resamples, processes)."""
        if processes not in self._counts:
            self._counts.clear()  # cases of as many processes follow each other
            self._counts[processes] = self._resampled(processes)
        return self._counts[processes]

    def _resampled(self, processes: int) -> Counts:
        rng, counts = deepcopy(self.first_uniform), np.empty((self.resamples, processes), np.uint8)
        for rows in _parts(self.resamples, self.processes):
            uniform = rng.random((rows.stop - rows.start, self.processes))[:, :processes]
            for row, chosen in zip(counts[rows], (uniform * processes).astype(int), strict=True):
                row[:] = np.bincount(chosen, minlength=processes)
        return counts


def resampled_medians_of(values: Array, counts: Counts) -> Array:
    """Return the median of each resample of each case, shape (cases, resamples).

    Args:
        values: shape (cases, processes).
        counts: shape (resamples, processes), how often a resample has each process.
    """
    cases, processes = values.shape
    order = np.argsort(values, axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    # The median of a resample is near that of all: what is below the window is counted at once for all cases.
    half = min(math.ceil(_WINDOW_SD * math.sqrt(processes) / 2) + 1, processes // 2)
    start, end = processes // 2 - half, processes // 2 + half + processes % 2
    is_below = np.zeros((processes, cases), dtype=np.float32)
    np.put_along_axis(is_below, order[:, :start].T, 1.0, axis=0)
    medians = np.empty((cases, len(counts)))
    for rows in _parts(*counts.shape):
        below = (counts[rows].astype(np.float32) @ is_below).astype(np.int32)  # exact: whole numbers
        for case in range(cases):
            window = counts[rows, order[case, start:end]]
            medians[case, rows] = _medians(ordered[case, start:end], window, below[:, case], processes)
    for case, row in np.argwhere(np.isnan(medians)):
        whole = counts[row, order[case]][None]
        medians[case, row] = _medians(ordered[case], whole, np.zeros(1, np.int32), processes)[0]
    return medians


def _medians(ordered: Array, counts: Counts, below: NDArray[np.int32], processes: int) -> Array:
    """Return the median of each row of `counts`, how often each ascending value occurs, and of more `below`.

    NaN where the median is not among the values.
    """
    reached = counts.cumsum(axis=1, dtype=np.int32) + below[:, None]
    lower, upper = ((reached <= rank).sum(axis=1) for rank in ((processes - 1) // 2, processes // 2))
    is_inside = (below <= (processes - 1) // 2) & (upper < len(ordered))
    last = len(ordered) - 1
    middle = (ordered[np.minimum(lower, last)] + ordered[np.minimum(upper, last)]) / 2
    return np.where(is_inside, middle, np.nan)


def _parts(rows: int, width: int) -> Iterator[slice]:
    """Yield the rows that are drawn or counted at once."""
    size = max(1, _AT_ONCE // max(width, 1))
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))
