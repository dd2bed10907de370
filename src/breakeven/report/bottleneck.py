"""The bottleneck of each training step on an accelerator: queueing, the copy of the batch, or the device.

Also the flat stretch: the batch sizes up to which a step takes no longer than at the smallest. The seconds
for which the host is busy queueing a step, from separate rounds, are compared with the median of `train`: per
step of a loop, in which the host queues the next step while the device works, or of a step that waits for the
device (version 1). Device events cannot replace them, because they include the gaps in which a device waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from breakeven.case import Line
from breakeven.device_names import is_cpu
from breakeven.grouping import grouped
from breakeven.phases import HEADLINE
from breakeven.report.estimates import Estimate
from breakeven.runs.schema import CaseFacts
from breakeven.stats.intervals import ratio_of_draws


class Bound(StrEnum):
    """What bounds a step; `advice` is how to make it faster."""

    advice: str

    def __new__(cls, name: str, advice: str = "") -> Self:
        """Create a kind from its name and its advice."""
        bound = str.__new__(cls, name)
        bound._value_ = name
        bound.advice = advice
        return bound

    LAUNCH = (
        "launch-bound",
        "the host queues for at least 80% of a step, so the device waits for it: a larger batch costs "
        "next to nothing; torch.compile, CUDA graphs or a fused optimizer help where they are not used "
        "already, a faster device does not",
    )
    MIXED = (
        "mixed",
        "the host queues for more than half of a step, so both may count: fewer launches help only where the "
        "device waits for the host",
    )
    COMPUTE = (
        "compute-bound",
        "the device still works long after everything is queued: TF32, bfloat16 or a faster device "
        "helps, fewer launches do not",
    )
    COPY = (
        "copy-bound",
        "the copy of the batch occupies the host for at least half of a step: pinned memory "
        "(pin_memory=True) or smaller inputs help, neither fewer launches nor a faster device does",
    )
    UNDECIDED = (
        "undecided",
        "the intervals allow more than one kind, or the host waits for the device within a step: it reads a "
        "value (.item()), or its queue is full (about a thousand launches)",
    )
    UNMEASURED = "not measured"


HOST_BUSY = 0.8
"""If the host queues for at least this share of a step, the device waits for it."""

HOST_IDLE = 0.5
"""If it queues for at most this share, the device still works for half of the step after all is queued."""

COPYING = 0.5
"""If the copy of the batch occupies the host for at least this share, the step is copy-bound."""

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


def kind_of(train_s: float, enqueue_s: float, transfer_s: float) -> tuple[Bound, float]:
    """Return what bounds a step, and the share of it for which the host queues work.

    Args:
        train_s: the step, per step of a loop or synchronized.
        enqueue_s: until the last of its work is queued.
        transfer_s: the part of that in which the copy of the batch occupies the host: pageable memory is read
        before the copy returns, pinned memory is copied while the host goes on.

    >>> [str(kind_of(1.0, queued, 0.0)[0]) for queued in (0.9, 0.6, 0.1)]
    ['launch-bound', 'mixed', 'compute-bound']
    >>> str(kind_of(1.0, 0.9, 0.8)[0]), str(kind_of(1.0, 0.5, 0.4)[0])
    ('copy-bound', 'compute-bound')
    """
    rest_s = train_s - transfer_s
    share = min(1.0, max(0.0, (enqueue_s - transfer_s) / rest_s)) if rest_s > 0 else 0.0
    if transfer_s >= COPYING * train_s:
        return Bound.COPY, share
    if share >= HOST_BUSY:
        return Bound.LAUNCH, share
    return (Bound.COMPUTE if share <= HOST_IDLE else Bound.MIXED), share


def bottlenecks(cases: Iterable[Estimate]) -> list[Bottleneck]:
    """Return what bounds each model on each accelerator, in the order of `cases`, batch sizes ascending."""
    lines = grouped(
        (case.key.line, case)
        for case in cases
        if case.key.phase == HEADLINE and not is_cpu(case.key.device) and case.median_s > 0
    )
    found = []
    for line, steps in lines.items():
        cells = list(_without_waiting([_cell(case) for case in steps]))
        flat_to, grows = _flat_stretch(steps)
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


def _flat_stretch(line: Sequence[Estimate]) -> tuple[int | None, bool]:
    """Return the end of the flat stretch, and whether growth ended it rather than an interval too wide."""
    first, *others = line
    end = None
    for case in others if first.judged else ():
        ratio = ratio_of_draws(case.median_s, first.median_s, case.draws, first.draws)
        if not case.judged or ratio.low is None or ratio.high is None:
            break
        if ratio.low > FLAT:
            return end, True
        if ratio.high > FLAT * (1 + 1e-9):  # FLAT, with a tolerance for rounding through a logarithm
            break
        end = case.key.batch_size
    return end, False
