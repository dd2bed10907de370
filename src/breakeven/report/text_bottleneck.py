"""What bounds a training step, in words: how far each bound reaches, and what helps against it.

Owns the wording; computes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from breakeven import format as fmt
from breakeven.report.bottleneck import COMPUTE, COPY, LAUNCH, MIXED, UNDECIDED, UNMEASURED, Bounds
from breakeven.runs.machine import Machine, Names

ADVICE = {
    LAUNCH: "the host queues for at least 80% of a step, so the device waits for it: a larger batch costs "
    "next to nothing; torch.compile, CUDA graphs or a fused optimizer help where they are not used already, "
    "a faster device does not",
    MIXED: "the host queues for more than half of a step, so both count: fewer launches help until the "
    "device's own work is what is left",
    COMPUTE: "the device still works long after everything is queued: TF32, bfloat16 or a faster device "
    "helps, fewer launches do not",
    COPY: "the copy of the batch holds the host for half of a step or more: pinned memory (pin_memory=True) "
    "or smaller inputs help, neither fewer launches nor a faster device does",
    UNDECIDED: "the intervals hold more than one kind, or the host waits for the device within a step, by "
    "asking for a value (.item()) or because its queue is full (about a thousand launches)",
}
"""What each kind means for somebody who wants to be faster."""


def reach(bounds: Bounds) -> str:
    """Return what bounds a model at which batch sizes.

    >>> from breakeven.report.bottleneck import Cell
    >>> kinds = ((1, LAUNCH), (64, LAUNCH), (512, MIXED), (4096, COMPUTE))
    >>> cells = tuple(Cell(batch, kind, 1.0, None, None, None, {}) for batch, kind in kinds)
    >>> reach(Bounds("id", "cuda", "mlp", "", cells, 64, True))
    'launch-bound up to batch 64, mixed at 512, compute-bound at 4096'
    >>> reach(Bounds("id", "cuda", "mlp", "", cells[:2], 64, False))
    'launch-bound at every measured batch size (1 to 64)'
    """
    runs = list(bounds.runs())
    if len(runs) == 1:
        kind, smallest, largest = runs[0]
        if kind == UNMEASURED:
            return kind
        if smallest == largest:
            return f"{kind} at batch {largest}, the only one measured"
        return f"{kind} at every measured batch size ({smallest} to {largest})"
    first, *middle, last = runs
    between = [
        f"{kind} at {low}" if low == high else f"{kind} from {low} to {high}" for kind, low, high in middle
    ]
    begin = "at" if first[1] == first[2] else "up to"
    end = "at" if last[1] == last[2] else "from"
    return ", ".join([f"{first[0]} {begin} batch {first[2]}", *between, f"{last[0]} {end} {last[1]}"])


def flat(bounds: Bounds) -> str:
    """Return up to which batch size a step takes no longer than at the smallest.

    >>> from breakeven.report.bottleneck import Cell
    >>> cells = tuple(Cell(batch, LAUNCH, 1.0, None, None, None, {}) for batch in (1, 8, 64))
    >>> ends = (8, True), (8, False), (64, False), (None, True), (None, False)
    >>> [flat(Bounds("id", "cuda", "mlp", "", cells, *end)) for end in ends]
    ['8', '8, undecided beyond', '64, the largest', 'grows from 1 on', 'undecided']
    """
    if len(bounds.cells) == 1:
        return "one batch size only"
    if bounds.flat_to is None:
        return f"grows from {bounds.batches[0]} on" if bounds.grows else "undecided"
    if bounds.flat_to == bounds.batches[-1]:
        return f"{bounds.flat_to}, the largest"
    return f"{bounds.flat_to}" if bounds.grows else f"{bounds.flat_to}, undecided beyond"


def bound_sentences(found: Iterable[Bounds], machines: Iterable[Machine], names: Names) -> list[str]:
    """Return a sentence for each kind of bound on each accelerator: where it holds, and what helps."""
    rows = list(found)
    label = {machine.class_id: machine.label for machine in machines}
    places: dict[tuple[str, str], dict[str, list[str]]] = {}
    for row in rows:
        for kind, smallest, largest in row.runs():
            where = f"{smallest}" if smallest == largest else f"{smallest} to {largest}"
            kinds = places.setdefault((row.class_id, row.device), {})
            kinds.setdefault(kind, []).append(f"{names[row.workload, row.axes]}, batch {where}")
    return [
        f"On {fmt.device_name(device)}{f' of {label[class_id]}' if len(label) > 1 else ''}, "
        f"{kind} ({fmt.joined(kinds[kind], separator='; ')}): {ADVICE[kind]}."
        for (class_id, device), kinds in places.items()
        for kind in ADVICE
        if kind in kinds
    ]
