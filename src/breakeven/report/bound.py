"""What bounds the training steps of a model on an accelerator, judged along its batch sizes.

The host queues the same launches at every batch size, so its time for that is one number per model and
device: the median over the batch sizes, without those at which the host waited (its queue was full, or it
read a value) and those at which the copy, which is timed apart and subtracted, took most of the time.
Relative to the step without the copy of its batch, this is the host's share of the step.

As the batch grows, the host's share falls and the copy's share grows. A step that shows otherwise was slowed
from outside, as nothing makes a step faster than its device, so each batch size has at least the host's share
of every larger one, and at most its copy's share. Therefore the kinds appear in one order: launch-bound,
mixed, compute-bound, copy-bound; where an interval allows two of them, the cell between is undecided. A step
without an interval says nothing of the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from itertools import accumulate
from statistics import median
from typing import NamedTuple, Self

from breakeven.runs.schema import CaseFacts


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
        "next to nothing; torch.compile, CUDA graphs, a fused optimizer or single_threaded_backward=True "
        "help where they are not used already, a faster device does not",
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
        "the intervals allow more than one kind: more rounds or processes decide",
    )
    UNMEASURED = "not measured"


HOST_BUSY = 0.8
"""If the host queues for at least this share of a step, the device waits for it."""

HOST_IDLE = 0.5
"""If it queues for at most this share, the device still works for half of the step after all is queued."""

COPYING = 0.5
"""If the copy of the batch occupies the host for at least this share, the step is copy-bound."""

WAITING = 2.0
"""Queueing that takes this many times the minimum over the batch sizes includes waiting.

Where the copy takes longer than the queueing, the queueing may be as long as the copy.
"""

_INSTANT_S = 1e-12


class Spread(NamedTuple):
    """A number with the ends of its interval."""

    low: float
    middle: float
    high: float


class Step(NamedTuple):
    """A training step, per step of a loop or synchronized, in seconds.

    `queueing_s` is for how long the host queues its work, without `copy_s`, for which the copy of the batch
    occupies the host: pageable memory is read before the copy returns, pinned memory is copied while the host
    goes on.
    """

    train_s: Spread
    queueing_s: Spread
    copy_s: float

    @classmethod
    def of(cls, facts: CaseFacts, train_s: Spread) -> Self | None:
        """Return a step with these facts, None if its queueing was not timed."""
        queued_s, copy_s = facts.enqueue_s, facts.enqueue_transfer_s or 0.0
        if queued_s is None:
            return None
        low_s = queued_s if facts.enqueue_low_s is None else facts.enqueue_low_s
        high_s = queued_s if facts.enqueue_high_s is None else facts.enqueue_high_s
        return cls(train_s, Spread(*(max(0.0, end - copy_s) for end in (low_s, queued_s, high_s))), copy_s)


def bounds_along(steps: Sequence[Step]) -> list[tuple[Bound, Spread]]:
    """Return what bounds each step of one model on one device, and the host's share of it.

    Args:
        steps: batch sizes ascending.

    >>> steps = [Step(Spread(t, t, t), Spread(1.0, 1.0, 1.0), copied) for t, copied in
    ...          ((1.0, 0.0), (1.2, 0.0), (1.5, 0.0), (4.0, 1.0), (8.0, 5.0))]
    >>> [str(kind) for kind, _ in bounds_along(steps)]
    ['launch-bound', 'launch-bound', 'mixed', 'compute-bound', 'copy-bound']
    """
    if not steps:
        return []
    queueing_s = _pooled(steps)
    hosts = _limited(steps, [_host_share(step, queueing_s) for step in steps], min)
    copies = [_ratio(Spread(*[step.copy_s] * 3), step.train_s) for step in steps]
    copies = _limited(steps, copies, max)
    shares = zip(_over_larger(hosts, max), _over_larger(copies, min), strict=True)
    return [(_kind(host, copy), host) for host, copy in shares]


def _pooled(steps: Sequence[Step]) -> Spread:
    """Return the median over batch sizes without waiting; of n, its interval is the root of n narrower.

    Beside a longer copy the queueing is a difference of two large numbers, so it is used only where there is
    no other.
    """
    limit_s = WAITING * min(max(step.queueing_s.middle, step.copy_s) for step in steps)
    usable = [step for step in steps if step.queueing_s.middle <= limit_s]
    known = [step for step in usable if step.copy_s <= step.queueing_s.middle]
    if not known:
        known = [max(usable, key=lambda step: step.queueing_s.middle / step.copy_s)]
    low, middle, high = map(median, zip(*(step.queueing_s for step in known), strict=True))
    root = math.sqrt(len(known))
    return Spread(middle - (middle - low) / root, middle, middle + (high - middle) / root)


def _host_share(step: Step, queueing_s: Spread) -> Spread:
    return _ratio(queueing_s, Spread(*(end - step.copy_s for end in step.train_s)))


def _ratio(part: Spread, whole: Spread) -> Spread:
    """Return a part of a whole, at most 1: both are timed in different rounds."""
    ends = zip(part, reversed(whole), strict=True)
    return Spread(*(min(1.0, one / max(other, _INSTANT_S)) for one, other in ends))


def _limited(
    steps: Sequence[Step], shares: Iterable[Spread], pick: Callable[[float, float], float]
) -> list[Spread]:
    """Limit each share without an interval by that of the batch before, so that it changes no other."""
    found: list[Spread] = []
    for step, share in zip(steps, shares, strict=True):
        is_unknown = found and math.isinf(step.train_s.high)
        found.append(Spread(*map(pick, share, found[-1])) if is_unknown else share)
    return found


def _over_larger(shares: Sequence[Spread], pick: Callable[[float, float], float]) -> list[Spread]:
    """Return the largest or the smallest share at each batch size and the larger ones."""
    found = accumulate(reversed(shares), lambda one, other: Spread(*map(pick, one, other)))
    return [*found][::-1]


def _kind(host: Spread, copy: Spread) -> Bound:
    """Return what bounds a step; both ends of its intervals must have the same kind."""
    if copy.high >= COPYING:
        return Bound.COPY if copy.low >= COPYING else Bound.UNDECIDED
    kind = _host_kind(host.low)
    return kind if kind is _host_kind(host.high) else Bound.UNDECIDED


def _host_kind(share: float) -> Bound:
    if share >= HOST_BUSY:
        return Bound.LAUNCH
    return Bound.COMPUTE if share <= HOST_IDLE else Bound.MIXED
