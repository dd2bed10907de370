"""The bottleneck of each training step on an accelerator: queueing, the copy of the batch, or the device.

Also the flat stretch: the batch sizes up to which a step takes no longer than at the smallest. The seconds
for which the host is busy queueing a step, from separate rounds, are compared with the median of `train`: per
step of a loop, in which the host queues the next step while the device works, or of a step that waits for the
device (version 1). Device events cannot replace them, because they include the gaps in which a device waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from breakeven.case import CaseKey, Line
from breakeven.device_names import is_cpu
from breakeven.grouping import grouped
from breakeven.phases import HEADLINE
from breakeven.report.bound import Bound, kind_of
from breakeven.report.estimates import Estimate
from breakeven.report.ratios import Ratio, ratios
from breakeven.runs.schema import CaseFacts

WAITING = 2.0
"""Queueing that takes this many times the minimum over the batch sizes includes waiting."""

FLAT = 1.10
"""A step is flat if it takes up to this many times that of the smallest batch."""


@dataclass(frozen=True)
class BoundCell:
    """What bounds one cell.

    `kind` is undecided if the interval allows several kinds or the host waited for the device within the
    step, unmeasured if the queueing was not timed. `share`, with its 95% interval `low` to `high`, is the
    part of the step for which the host queues work, about 1 in a loop that the host bounds; the copy of the
    batch, if it occupies the host, is in neither.
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
    """Return what bounds each model on each accelerator, in the order of `cases`, batch sizes ascending."""
    lines = grouped(
        (case.key.line, case)
        for case in cases
        if case.key.phase == HEADLINE and not is_cpu(case.key.device) and case.median_s > 0
    )
    growth = _growth(lines.values())
    found = []
    for line, steps in lines.items():
        cells = list(_without_waiting([_cell(case) for case in steps]))
        flat_to, grows = _flat_stretch(steps, growth)
        if flat_to is not None or grows or any(cell.kind is not Bound.UNMEASURED for cell in cells):
            found.append(Bottleneck(line, tuple(cells), flat_to, grows))
    return found


def _cell(case: Estimate) -> BoundCell:
    """Return what bounds a cell; both ends of its interval must have the same kind.

    Without the fastest and slowest queueing, only the interval of the step is used.
    """
    facts, batch_size, train_s = case.facts, case.key.batch_size, case.median_s
    queued_s, copied_s = facts.enqueue_s, facts.enqueue_transfer_s or 0.0
    if queued_s is None:
        return BoundCell(batch_size, Bound.UNMEASURED, train_s, None, None, None, facts)
    kind, share = kind_of(train_s, queued_s, copied_s)
    if case.low_s is None or case.high_s is None:
        return BoundCell(batch_size, Bound.UNDECIDED, train_s, share, None, None, facts)
    min_s = queued_s if facts.enqueue_low_s is None else facts.enqueue_low_s
    max_s = queued_s if facts.enqueue_high_s is None else facts.enqueue_high_s
    min_kind, low = kind_of(case.high_s, min_s, copied_s)
    max_kind, high = kind_of(case.low_s, max_s, copied_s)
    sure = kind if min_kind == kind == max_kind else Bound.UNDECIDED
    return BoundCell(batch_size, sure, train_s, share, min(low, share), max(high, share), facts)


def _without_waiting(cells: Sequence[BoundCell]) -> Iterator[BoundCell]:
    """Mark cells as undecided if the host waited while queueing: its queue was full, or it read a value.

    A step has the same number of launches at every batch size, so queueing alone takes about as long.
    """
    queued_s = {
        cell.batch_size: cell.facts.enqueue_s - (cell.facts.enqueue_transfer_s or 0.0)
        for cell in cells
        if cell.facts.enqueue_s is not None
    }
    for cell in cells:
        may_wait = cell.kind in (Bound.LAUNCH, Bound.MIXED)
        waits = may_wait and queued_s[cell.batch_size] > WAITING * min(queued_s.values())
        yield replace(cell, kind=Bound.UNDECIDED) if waits else cell


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
