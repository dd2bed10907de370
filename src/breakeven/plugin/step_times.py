"""How long a step of a case takes, from the ended cases of the same workload."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Mapping

from breakeven.case import CaseKey, Model

BELOW = 0.8
"""The power of the batch size by which a step is assumed to be shorter below the known ones."""


class StepLine:
    """The seconds of a step of one model by batch size.

    Between two batch sizes it is linear, above them on the line through the last two. Below them it falls
    with the power `BELOW`, a bit slower than the batch size, because a step has fixed costs.
    """

    def __init__(self, known: Mapping[int, float] | None = None) -> None:
        self._seconds = dict(known or {})
        self._batches = sorted(self._seconds)

    def add(self, batch_size: int, seconds: float) -> None:
        """Remember the seconds at a batch size."""
        if batch_size not in self._seconds:
            insort(self._batches, batch_size)
        self._seconds[batch_size] = seconds

    @property
    def largest(self) -> int:
        """The largest known batch size."""
        return self._batches[-1]

    def at(self, batch_size: int) -> float:
        """Return the seconds at a batch size.

        >>> StepLine({16: 2.0, 64: 5.0}).at(32), StepLine({4: 1.0, 6: 2.0}).at(8)
        (3.0, 3.0)
        >>> round(StepLine({64: 4.0}).at(32), 3)
        2.297
        """
        known, batches = self._seconds, self._batches
        if batch_size in known:
            return known[batch_size]
        if batch_size < batches[0]:
            return known[batches[0]] * math.pow(batch_size / batches[0], BELOW)
        if len(batches) == 1:
            return known[batches[0]] * batch_size / batches[0]
        upper = min(bisect_left(batches, batch_size), len(batches) - 1)
        low, high = batches[upper - 1 : upper + 1]
        slope = max(0.0, (known[high] - known[low]) / (high - low))
        return known[low] + slope * (batch_size - low)


class StepTimes:
    """The seconds of a step of the ended cases, by workload, device and work."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str, str], dict[Model, StepLine]] = {}
        self._means: dict[tuple[str, str, str, int], tuple[bool, float | None]] = {}

    def add(self, case: CaseKey, device: str, work: str, seconds: float) -> None:
        """Remember what some work of a case took."""
        lines = self._lines.setdefault((case.workload, device, work), {})
        lines.setdefault(case.model, StepLine()).add(case.batch_size, seconds)
        self._means.clear()

    def of(self, case: CaseKey, device: str, work: str) -> float | None:
        """Return the seconds of some work: of the case's own model, else the mean of its workload's models.

        A model is not extrapolated to a larger batch at which others of the workload are known.
        """
        lines, batch_size = self._lines.get((case.workload, device, work), {}), case.batch_size
        own = lines.get(case.model)
        if own is not None and batch_size <= own.largest:
            return own.at(batch_size)
        key = (case.workload, device, work, batch_size)
        if key not in self._means:  # all other models share it, of which there may be thousands
            reaching = [line for line in lines.values() if batch_size <= line.largest]
            found = [line.at(batch_size) for line in reaching or lines.values()]
            self._means[key] = (bool(reaching), sum(found) / len(found) if found else None)
        is_reached, mean_s = self._means[key]
        return mean_s if is_reached or own is None else own.at(batch_size)
