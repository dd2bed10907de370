"""The break-even of a predicted machine: a range of batch sizes, never a single one.

It is the range between the crossings of two curves: that of the shortest steps in the band, and that of the
longest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from breakeven import format as fmt
from breakeven.case import Model
from breakeven.grouping import grouped
from breakeven.predict.cells import PredictedCell
from breakeven.stats.crossing import (
    CrossingStatus,
    CrossingWarning,
    gaps_before,
    last_crossing,
    trend_meets,
)


@dataclass(frozen=True)
class PredictedBreakEven:
    """From which batch size a predicted machine beats the baseline: somewhere between `low` and `high`.

    Below `low` the baseline is faster, from `high` on the machine is, in all of the 90% band. None is an end
    outside of the measured batch sizes. The status is

    - ``crosses``: both ends are inside
    - ``always``, ``never``: the whole band is on that side at every batch size, or at the largest
    - ``beyond_range``: likewise slower at every one, and the trend of the longest steps points to a crossing
    - ``undecided``: an end is outside

    `cells` are by ascending batch size; `holes` are batch sizes that were not timed or not predicted.
    """

    model: Model
    machine: str
    status: CrossingStatus
    low: float | None
    high: float | None
    cells: tuple[PredictedCell, ...]
    holes: tuple[int, ...] = ()
    warnings: tuple[CrossingWarning, ...] = ()

    @property
    def batches(self) -> tuple[int, ...]:
        """The batch sizes that were predicted."""
        return tuple(one.batch_size for one in self.cells)

    @property
    def wins(self) -> bool:
        """Whether the machine is predicted to win from some batch size on."""
        return self.status is CrossingStatus.ALWAYS or self.high is not None

    def describe(self) -> str:
        """Return where a machine that is faster somewhere is, as a phrase after "beats the CPU"."""
        if self.status is CrossingStatus.CROSSES:
            low, high = self._ends()
            return f"from a batch size between {low} and {high}"
        if self.status is CrossingStatus.UNDECIDED and self.high is not None:
            return f"from batch {self._ends()[1]} at the latest"
        if self.status is CrossingStatus.ALWAYS:
            return f"at every measured batch size ({self._range()})"
        if self.status is CrossingStatus.BEYOND_RANGE:
            return f"only above batch {fmt.batch_size(self.batches[-1])}"
        return f"only below batch {fmt.batch_size(self.batches[-1])}"

    def describe_briefly(self) -> str:
        """Return the same as the content of a table's cell."""
        low, high = self._ends()
        if self.status is CrossingStatus.CROSSES:
            return f"{low}–{high}"
        if self.status is CrossingStatus.UNDECIDED and self.high is not None:
            return f"{high} at the latest"
        if self.status is CrossingStatus.UNDECIDED and self.low is not None:
            return f"above {low}, if at all"
        if self.status is CrossingStatus.BEYOND_RANGE:
            return f"beyond {fmt.batch_size(self.batches[-1])}"
        if CrossingWarning.LOSES_LARGE in self.warnings:
            return f"only below {fmt.batch_size(self.batches[-1])}"
        answer = "measure" if self.status is CrossingStatus.UNDECIDED else self.status
        return f"{answer} ({self._range()})"

    def _ends(self) -> tuple[str, str]:
        """Return the ends, rounded outward to whole batch sizes; empty where there is none."""
        low = "" if self.low is None else fmt.batch_size(max(1, math.floor(self.low)))
        return low, "" if self.high is None else fmt.break_even(self.high)

    def _range(self) -> str:
        larger = "; larger not predicted" if CrossingWarning.CUT_SHORT in self.warnings else ""
        return f"{fmt.batch_range(self.batches)}{larger}"


def break_evens(
    cells: Iterable[PredictedCell],
    holes: Mapping[Model, Sequence[int]],
    factor: Callable[[str], float | None] = lambda _: 1.0,
) -> list[PredictedBreakEven]:
    """Return the break-even of each model on each predicted machine, in the order of the cells.

    Args:
        cells: by ascending batch size.
        holes: the batch sizes of a model that were not timed on the baseline or not predicted, ascending.
        factor: by how much a machine's times are multiplied, such as a ratio of prices; None for a machine
            without a break-even.
    """
    lines = grouped(((one.cell.model, one.machine), one) for one in cells)
    found = []
    for (model, machine), line in lines.items():
        times = factor(machine)
        if times is not None:
            found.append(_break_even(line, holes.get(model, ()), times))
    return found


def _break_even(cells: Sequence[PredictedCell], holes: Sequence[int], factor: float) -> PredictedBreakEven:
    batches = np.array([float(one.batch_size) for one in cells])
    base_s = np.array([one.baseline_s for one in cells])
    # The band of the speedup, which has the baseline's own interval: that of the candidate's time alone
    # would be too narrow.
    longest_s = factor * base_s / np.array([one.low for one in cells])
    shortest_s = factor * base_s / np.array([one.high for one in cells])
    ends, starts = last_crossing(batches, np.stack([base_s - shortest_s, base_s - longest_s]))
    gaps = gaps_before(batches, holes)
    low, high = map(float, ends)
    if gaps[starts[0]]:  # a crossing in a hole may be anywhere between its edges
        low = float(batches[starts[0] - 1])
    if gaps[starts[1]]:
        high = float(batches[starts[1]])
    wins_somewhere = bool((shortest_s < base_s).any())
    return PredictedBreakEven(
        model=cells[0].cell.model,
        machine=cells[0].machine,
        status=_status(
            low,
            high,
            lambda: (
                not wins_somewhere
                and trend_meets(
                    [one.batch_size for one in cells],
                    (base_s, base_s[None]),
                    (longest_s, longest_s[None]),
                    holes,
                )
            ),
        ),
        low=low if math.isfinite(low) else None,
        high=high if math.isfinite(high) else None,
        cells=tuple(cells),
        holes=tuple(holes),
        warnings=tuple(_warnings(low, bool((longest_s < base_s).any()), cells, holes)),
    )


def _status(low: float, high: float, is_beyond: Callable[[], bool]) -> CrossingStatus:
    if high == -math.inf:
        return CrossingStatus.ALWAYS
    if low == math.inf:
        return CrossingStatus.BEYOND_RANGE if is_beyond() else CrossingStatus.NEVER
    is_inside = math.isfinite(low) and math.isfinite(high)
    return CrossingStatus.CROSSES if is_inside else CrossingStatus.UNDECIDED


def _warnings(
    low: float, wins_somewhere: bool, cells: Sequence[PredictedCell], holes: Sequence[int]
) -> Iterable[CrossingWarning]:
    if len(cells) == 1:
        yield CrossingWarning.ONE_BATCH
    if low == math.inf and wins_somewhere:
        yield CrossingWarning.LOSES_LARGE
    if holes and holes[-1] > cells[-1].batch_size:
        yield CrossingWarning.CUT_SHORT
