"""What bounds each training step on an accelerator: the host's queueing, the copy of the batch, the device.

Owns the three words and their borders, and the flat stretch: up to which batch size a step takes no longer
than at the smallest. Rests on the seconds for which the host was busy queueing a step, from rounds of their
own, against the step's median. Device events cannot tell it: the gaps in which a device waits count in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pandas as pd

from breakeven.analysing.baseline import is_cpu
from breakeven.analysing.efficiency import case_facts
from breakeven.analysing.estimates import KEY, Estimate
from breakeven.analysing.intervals import ratio_of_draws

LAUNCH, MIXED, COMPUTE, COPY = "launch-bound", "mixed", "compute-bound", "copy-bound"

HOST_BUSY = 0.8
"""Where the host queues for at least this share of a step, the device waits for it."""

HOST_IDLE = 0.5
"""Where it queues for at most this share, the device still has half of the step to do when all is queued."""

COPYING = 0.5
"""Where the host is held by the copy of the batch for at least this share, nothing else matters."""

FLAT = 1.10
"""A step that takes up to so many times the smallest batch's costs next to nothing more."""


@dataclass(frozen=True)
class Cell:
    """What bounds one cell: `kind`, and `host_share`, the part of the step for which the host queues work.

    The copy of the batch, where it holds the host, is left out of both the queueing and the step.
    """

    batch_size: int
    kind: str
    host_share: float


@dataclass(frozen=True)
class Bounds:
    """One model on one accelerator, its batch sizes ascending.

    `cells` are those whose queueing was measured, `batches` are all that were timed. `flat_to` is the largest
    up to which no step takes significantly more than `FLAT` times the smallest batch's, None where already
    the second does; `grows` tells whether one was seen that does. Neither: nobody knows.
    """

    class_id: str
    device: str
    workload: str
    axes: str
    cells: tuple[Cell, ...]
    batches: tuple[int, ...]
    flat_to: int | None
    grows: bool

    def runs(self) -> Iterator[tuple[str, int, int]]:
        """Yield each stretch of neighbouring batch sizes of one kind, as (kind, smallest, largest)."""
        start = 0
        for i, cell in enumerate(self.cells):
            if i + 1 == len(self.cells) or self.cells[i + 1].kind != cell.kind:
                yield cell.kind, self.cells[start].batch_size, cell.batch_size
                start = i + 1


def kind_of(train_s: float, enqueue_s: float, transfer_s: float) -> tuple[str, float]:
    """Return what bounds a step, and the share of it for which the host queues work.

    Args:
        train_s: the step, synchronised.
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
        facts: needs the columns of `breakeven.analysing.estimates.KEY`, ``enqueue_s`` and
            ``enqueue_transfer_s``; None where unknown.
    """
    known = case_facts(facts, ("enqueue_s", "enqueue_transfer_s"))
    lines: dict[tuple[str, str, str, str], list[Estimate]] = {}
    for case in cases:
        if case.phase == "train" and not is_cpu(case.device) and case.median_s > 0:
            lines.setdefault((case.class_id, case.device, case.workload, case.axes), []).append(case)
    found = []
    for key, line in lines.items():
        cells = []
        for case in line:
            seen = known.get(tuple(getattr(case, name) for name in KEY), {})
            if "enqueue_s" in seen:
                kind, share = kind_of(case.median_s, seen["enqueue_s"], seen.get("enqueue_transfer_s", 0.0))
                cells.append(Cell(case.batch_size, kind, share))
        flat_to, grows = _flat_stretch(line)
        if cells or flat_to is not None or grows:
            batches = tuple(case.batch_size for case in line)
            found.append(Bounds(*key, tuple(cells), batches, flat_to, grows))
    return found


def _flat_stretch(line: list[Estimate]) -> tuple[int | None, bool]:
    """Return the end of the flat stretch, and whether growth ended it; no interval does too."""
    first, *others = line
    end = None
    for case in others if first.judged else ():
        low = ratio_of_draws(case.median_s, first.median_s, case.draws, first.draws).low
        if not case.judged or low is None:
            break
        if low > FLAT:
            return end, True
        end = case.batch_size
    return end, False
