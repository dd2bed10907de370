"""The bottleneck of each training step on an accelerator: queueing, the copy of the batch, or the device.

The seconds for which the host is busy queueing a step, from separate rounds, are compared with `train`: per
step of a loop, in which the host queues the next step while the device works, or of a step that waits for the
device (version 1). Device events cannot replace them, because they include the gaps in which a device waits.
`breakeven.report.bound` has the rule. Also the flat stretch: the batch sizes up to which a step takes no
longer than at the smallest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from breakeven.case import CaseKey, Line
from breakeven.device_names import is_cpu, processes_of
from breakeven.grouping import grouped
from breakeven.phases import HEADLINE
from breakeven.report.bound import Bound, Spread, Step, bounds_along
from breakeven.report.estimates import Estimate
from breakeven.report.ratios import Ratio, ratios
from breakeven.runs.schema import CaseFacts

FLAT = 1.10
"""A step is flat if it takes up to this many times that of the smallest batch."""


@dataclass(frozen=True)
class BoundCell:
    """What bounds one cell.

    `share`, with `low` to `high`, is the part of the step for which the host queues work, about 1 where the
    host bounds it; the copy of the batch, if it occupies the host, is in neither. None if the queueing was
    not timed: `kind` is then unmeasured.
    """

    batch_size: int
    kind: Bound
    train_s: float
    share: float | None
    low: float | None
    high: float | None
    facts: CaseFacts


@dataclass(frozen=True)
class Bottleneck:
    """One model on one accelerator, a cell for each batch size that was timed, ascending.

    `flat_to` is the largest batch size up to which every step is shown to take at most `FLAT` times the
    smallest batch's, None if the second may take more; `grows` is whether the next one is shown to take more.
    """

    line: Line
    cells: tuple[BoundCell, ...]
    flat_to: int | None
    grows: bool

    @property
    def place(self) -> tuple[str, str]:
        """The device, and the class id of its machine."""
        return self.line.device, self.line.machine

    @property
    def batches(self) -> tuple[int, ...]:
        """The batch sizes that were timed."""
        return tuple(cell.batch_size for cell in self.cells)

    def stretches(self) -> Iterator[tuple[Bound, int, int]]:
        """Yield each stretch of neighboring batch sizes of one kind, as (kind, smallest, largest)."""
        start = 0
        for i, cell in enumerate(self.cells):
            if i + 1 == len(self.cells) or self.cells[i + 1].kind != cell.kind:
                yield cell.kind, self.cells[start].batch_size, cell.batch_size
                start = i + 1


def bottlenecks(cases: Iterable[Estimate]) -> list[Bottleneck]:
    """Return what bounds each model on each accelerator, in the order of `cases`, batch sizes ascending.

    A device of several processes has none of these kinds: it may also wait for its communication.
    """
    lines = grouped(
        (case.key.line, case)
        for case in cases
        if case.key.phase == HEADLINE and not is_cpu(case.key.device) and case.median_s > 0
        if processes_of(case.key.device) is None
    )
    growth = _growth(lines.values())
    found = []
    for line, steps in lines.items():
        cells = _cells(steps)
        flat_to, grows = _flat_stretch(steps, growth)
        if flat_to is not None or grows or any(cell.kind is not Bound.UNMEASURED for cell in cells):
            found.append(Bottleneck(line, cells, flat_to, grows))
    return found


def _cells(cases: Sequence[Estimate]) -> tuple[BoundCell, ...]:
    steps = {case.key: Step.of(case.facts, _train_s(case)) for case in cases}
    timed = {key: step for key, step in steps.items() if step is not None}
    bounds = dict(zip(timed, bounds_along([*timed.values()]), strict=True))
    return tuple(_cell(case, *bounds.get(case.key, (Bound.UNMEASURED, None))) for case in cases)


def _train_s(case: Estimate) -> Spread:
    """Return the median with its interval, which is unbounded where it is unknown."""
    if case.low_s is None or case.high_s is None:
        return Spread(0.0, case.median_s, math.inf)
    return Spread(case.low_s, case.median_s, case.high_s)


def _cell(case: Estimate, kind: Bound, share: Spread | None) -> BoundCell:
    low, middle, high = (None, None, None) if share is None else share
    return BoundCell(case.key.batch_size, kind, case.median_s, middle, low, high, case.facts)


def _growth(lines: Iterable[Sequence[Estimate]]) -> dict[CaseKey, Ratio]:
    """Return the time of each judged step relative to that of the smallest batch."""
    pairs = [(case, line[0]) for line in lines if line[0].judged for case in line[1:] if case.judged]
    return {case.key: ratio for (case, _), ratio in zip(pairs, ratios(pairs), strict=True)}


def _flat_stretch(line: Sequence[Estimate], growth: Mapping[CaseKey, Ratio]) -> tuple[int | None, bool]:
    """Return the end of the flat stretch, and whether growth ended it rather than an interval too wide."""
    end = None
    for case in line[1:]:
        ratio = growth.get(case.key)
        if ratio is None or ratio.low is None or ratio.high is None:
            break
        if ratio.low > FLAT:
            return end, True
        if ratio.high > FLAT * (1 + 1e-9):  # FLAT, with a tolerance for rounding through a logarithm
            break
        end = case.key.batch_size
    return end, False
