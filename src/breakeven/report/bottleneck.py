"""What bounds each training step on an accelerator: the host's queueing, the copy of the batch, the device.

Owns the words and their borders, and the flat stretch: up to which batch size a step takes no longer than at
the smallest. Rests on the seconds for which the host was busy queueing a step, from rounds of their own,
against the step's median. Device events cannot tell it: the gaps in which a device waits count in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import pandas as pd

from breakeven.device_names import is_cpu
from breakeven.report.estimates import KEY, Estimate
from breakeven.report.throughput import case_facts
from breakeven.stats.intervals import ratio_of_draws

LAUNCH, MIXED, COMPUTE, COPY = "launch-bound", "mixed", "compute-bound", "copy-bound"
UNDECIDED, UNMEASURED = "undecided", "not measured"

HOST_BUSY = 0.8
"""Where the host queues for at least this share of a step, the device waits for it."""

HOST_IDLE = 0.5
"""Where it queues for at most this share, the device still has half of the step to do when all is queued."""

COPYING = 0.5
"""Where the host is held by the copy of the batch for at least this share, nothing else matters."""

WAITING = 2.0
"""Queueing that takes so many times the least of the model's batch sizes is waiting: launches are as many."""

FLAT = 1.10
"""A step that takes up to so many times the smallest batch's costs next to nothing more."""

FACTS = ("enqueue_s", "enqueue_low_s", "enqueue_high_s", "enqueue_transfer_s", "device_time_s")
"""What is asked of a case beside its times, seconds."""


@dataclass(frozen=True)
class Cell:
    """What bounds one cell.

    `kind` is `UNDECIDED` where the interval holds several kinds or the host waited for the device within the
    step, `UNMEASURED` where nobody timed the queueing. `share`, with its 95% interval `low` to `high`, is the
    part of the step for which the host queues work; the copy of the batch, where it holds the host, is left
    out of both. `facts` are those of `FACTS` that are known.
    """

    batch_size: int
    kind: str
    train_s: float
    share: float | None
    low: float | None
    high: float | None
    facts: Mapping[str, float]


@dataclass(frozen=True)
class Bounds:
    """One model on one accelerator, a cell for each batch size that was timed, ascending.

    `flat_to` is the largest batch size up to which every step surely takes at most `FLAT` times the smallest
    batch's, None where already the second is not sure to; `grows` tells whether the next one surely takes
    more. Where it does not, and there is a next one, the times cannot tell.
    """

    class_id: str
    device: str
    workload: str
    axes: str
    cells: tuple[Cell, ...]
    flat_to: int | None
    grows: bool

    @property
    def batches(self) -> tuple[int, ...]:
        """The batch sizes that were timed."""
        return tuple(cell.batch_size for cell in self.cells)

    def runs(self) -> Iterator[tuple[str, int, int]]:
        """Yield each stretch of neighboring batch sizes of one kind, as (kind, smallest, largest)."""
        start = 0
        for i, cell in enumerate(self.cells):
            if i + 1 == len(self.cells) or self.cells[i + 1].kind != cell.kind:
                yield cell.kind, self.cells[start].batch_size, cell.batch_size
                start = i + 1


def kind_of(train_s: float, enqueue_s: float, transfer_s: float) -> tuple[str, float]:
    """Return what bounds a step, and the share of it for which the host queues work.

    Args:
        train_s: the step, synchronized.
        enqueue_s: until the last of its work is queued.
        transfer_s: the part of that in which the host is held by the copy of the batch: pageable memory has
            to be read before the copy returns, pinned memory is copied while the host goes on.

    >>> kind_of(1.0, 0.9, 0.0), kind_of(1.0, 0.6, 0.0), kind_of(1.0, 0.1, 0.0)
    (('launch-bound', 0.9), ('mixed', 0.6), ('compute-bound', 0.1))
    >>> kind_of(1.0, 0.9, 0.8)[0], kind_of(1.0, 0.5, 0.4)[0]
    ('copy-bound', 'compute-bound')
    """
    rest_s = train_s - transfer_s
    share = min(1.0, max(0.0, (enqueue_s - transfer_s) / rest_s)) if rest_s > 0 else 0.0
    if transfer_s >= COPYING * train_s:
        return COPY, share
    if share >= HOST_BUSY:
        return LAUNCH, share
    return (COMPUTE if share <= HOST_IDLE else MIXED), share


def bounds(cases: Iterable[Estimate], facts: pd.DataFrame) -> list[Bounds]:
    """Return what bounds each model on each accelerator, in the order of `cases`.

    Args:
        cases: one estimate a case, the batch sizes of a line ascending.
        facts: needs the columns of `breakeven.report.estimates.KEY` and `FACTS`; None where unknown.
    """
    known = case_facts(facts, FACTS)
    lines: dict[tuple[str, str, str, str], list[Estimate]] = {}
    for case in cases:
        if case.phase == "train" and not is_cpu(case.device) and case.median_s > 0:
            lines.setdefault((case.class_id, case.device, case.workload, case.axes), []).append(case)
    found = []
    for key, line in lines.items():
        cells = [_cell(case, known.get(tuple(getattr(case, name) for name in KEY), {})) for case in line]
        flat_to, grows = _flat_stretch(line)
        if flat_to is not None or grows or any(cell.kind != UNMEASURED for cell in cells):
            found.append(Bounds(*key, tuple(_without_waiting(cells)), flat_to, grows))
    return found


def _cell(case: Estimate, facts: Mapping[str, float]) -> Cell:
    """Return what bounds a cell; both ends of its interval must say the same.

    A run file that knows no fastest and slowest queueing gives the interval of the step alone.
    """
    if "enqueue_s" not in facts:
        return Cell(case.batch_size, UNMEASURED, case.median_s, None, None, None, facts)
    queued_s, copied_s = facts["enqueue_s"], facts.get("enqueue_transfer_s", 0.0)
    kind, share = kind_of(case.median_s, queued_s, copied_s)
    if case.low_s is None or case.high_s is None:
        return Cell(case.batch_size, UNDECIDED, case.median_s, share, None, None, facts)
    least, low = kind_of(case.high_s, facts.get("enqueue_low_s", queued_s), copied_s)
    most, high = kind_of(case.low_s, facts.get("enqueue_high_s", queued_s), copied_s)
    low, high = min(low, share), max(high, share)
    sure = least == kind == most
    return Cell(case.batch_size, kind if sure else UNDECIDED, case.median_s, share, low, high, facts)


def _without_waiting(cells: list[Cell]) -> Iterator[Cell]:
    """Call undecided where the host cannot have queued all the time: its queue was full, or it asked a value.

    A step has as many launches at every batch size, so that queueing alone takes about as long.
    """
    queued = {
        cell.batch_size: cell.facts["enqueue_s"] - cell.facts.get("enqueue_transfer_s", 0.0)
        for cell in cells
        if "enqueue_s" in cell.facts
    }
    for cell in cells:
        waits = cell.kind in (LAUNCH, MIXED) and queued[cell.batch_size] > WAITING * min(queued.values())
        yield replace(cell, kind=UNDECIDED) if waits else cell


def _flat_stretch(line: list[Estimate]) -> tuple[int | None, bool]:
    """Return the end of the flat stretch, and whether growth ended it rather than an interval too wide."""
    first, *others = line
    end = None
    for case in others if first.judged else ():
        ratio = ratio_of_draws(case.median_s, first.median_s, case.draws, first.draws)
        if not case.judged or ratio.low is None or ratio.high is None:
            break
        if ratio.low > FLAT:
            return end, True
        if ratio.high > FLAT * (1 + 1e-9):  # a tenth more, rounded on its way through a logarithm
            break
        end = case.batch_size
    return end, False
