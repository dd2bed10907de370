"""What bounds a training step on an accelerator: the kinds, and the rule that finds the kind of one step."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


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
