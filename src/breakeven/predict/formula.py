"""The time of a training step by a card: of what the host queues and what the device does, the longer one.

::

    step   = max(host, device) + copied bytes / copy rate
    host   = (operators + BACKWARD_OPERATORS) * launch time
    device = kernels * KERNEL_S + sum of operations / arithmetic rate + moved bytes / memory rate

A captured step is one launch, and has no backward pass to hand over. The band is that of models that the
card has not seen, widened by each rate's own uncertainty, as far as the step depends on that rate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from breakeven.predict.cards import Z90, Card, Number
from breakeven.predict.work import Work

BACKWARD_OPERATORS = 12
"""The host's time to hand the backward pass to another thread and to wait for it, in operators."""

KERNEL_S = 5e-6
"""What a kernel takes on the device at least, with the gap before it, in seconds."""

UNSEEN_FLOPS_PER_S = 5e13
UNSEEN_LOG_SD = 1.5
"""The arithmetic rate of a format that no measured step used, and the standard deviation of its logarithm:
within 12 times more or less. The fit of a card starts from it too."""

MAX_BEYOND = 16
"""How many times larger, or smaller, than those that the card saw a batch may be without a wider band."""

MIN_WIDENED = 1.1
"""A cause is given with the band if it widens the band by at least this factor."""


@dataclass(frozen=True)
class Step:
    """A predicted training step in seconds, with its 90% band, and what widened it, as phrases."""

    seconds: float
    low_s: float
    high_s: float
    widened: tuple[str, ...] = ()


def predict_step(card: Card, work: Work, batch_size: int) -> Step:
    """Return the predicted step.

    A format that the card has not seen has a rate that is known within 12 times only.
    """
    card = _with_formats(card, work)
    seconds = _step_s(card, work)
    down, up, widened = card.low_log**2, card.high_log**2, []
    for number, format_ in _numbers(work):
        log_sd = _log_sd(card, number, format_)
        factor = math.exp(Z90 * log_sd)
        slower_s, faster_s = (
            _step_s(card.slowed(number, times, format_), work) for times in (factor, 1 / factor)
        )
        before = math.sqrt(up)
        up += math.log(slower_s / seconds) ** 2
        down += math.log(faster_s / seconds) ** 2
        # Launches differ from process to process on every machine.
        if number is not Number.LAUNCHES and math.sqrt(up) - before > math.log(MIN_WIDENED):
            name = f"arithmetic in {format_}" if format_ else f"{number} rate"
            widened.append(f"the card knows its {name} only within {factor:.2g}x")
    beyond, phrase = _beyond(card, batch_size)
    widened += [phrase] if phrase else []
    return Step(
        seconds,
        seconds * math.exp(-math.hypot(math.sqrt(down), beyond)),
        seconds * math.exp(math.hypot(math.sqrt(up), beyond)),
        tuple(widened),
    )


def _with_formats(card: Card, work: Work) -> Card:
    """Return the card with a rate for each format of the step, which is hardly known where it saw none."""
    unseen = work.flops.keys() - card.flops_per_s.keys()
    if not unseen:
        return card
    return replace(
        card,
        flops_per_s={**card.flops_per_s, **dict.fromkeys(unseen, UNSEEN_FLOPS_PER_S)},
        log_sds={**card.log_sds, **dict.fromkeys(unseen, UNSEEN_LOG_SD)},
    )


def _numbers(work: Work) -> Iterator[tuple[Number, str]]:
    """Yield the numbers of a card that a step may depend on; of arithmetic each with its format."""
    yield Number.LAUNCHES, ""
    yield from ((Number.ARITHMETIC, name) for name in work.flops)
    yield Number.MEMORY, ""
    yield Number.COPY, ""


def _log_sd(card: Card, number: Number, format_: str) -> float:
    log_sd = card.log_sds[format_ or number]
    if number is Number.LAUNCHES:
        return math.hypot(log_sd, card.process_log_sd * math.sqrt(1 + 1 / card.runs))
    return log_sd


def _step_s(card: Card, work: Work) -> float:
    flops_s = sum(count / card.flops_per_s[name] for name, count in work.flops.items())
    device_s = kernels_s(work) + flops_s + work.moved_bytes / card.bytes_per_s
    host_s = queued(work) * card.launch_s
    return max(host_s, device_s) + work.copied_bytes / card.copied_bytes_per_s


def queued(work: Work) -> float:
    """Return how many operators' time the host takes for a step, at least one."""
    return work.operators + BACKWARD_OPERATORS if work.operators > 1 else 1.0


def kernels_s(work: Work) -> float:
    """Return the seconds that the device takes at least, whatever its kernels do."""
    return work.kernels * KERNEL_S


def _beyond(card: Card, batch_size: int) -> tuple[float, str]:
    """Return by how much, in logarithms, a batch far outside those of the card widens the band, and why."""
    smallest, largest = card.batch_sizes
    excess = max(batch_size / largest, smallest / batch_size) / MAX_BEYOND
    if excess <= 1:
        return 0.0, ""
    return (
        math.log(2 * excess),
        f"batch {batch_size:,} is more than {MAX_BEYOND} times outside of those that the card saw "
        f"({smallest:,} to {largest:,})",
    )
