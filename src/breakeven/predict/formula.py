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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from breakeven.predict.cards import Card
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

Z90 = 1.645
"""A normal 90% interval reaches this many standard deviations to each side."""

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
    rates = _Rates.of(card, work)
    seconds = rates.step_s(work)
    down, up, widened = card.low_log**2, card.high_log**2, []
    for name, log_sd, slower, faster in rates.ends(card):
        before = math.sqrt(up)
        up += math.log(slower.step_s(work) / seconds) ** 2
        down += math.log(faster.step_s(work) / seconds) ** 2
        if name and math.sqrt(up) - before > math.log(MIN_WIDENED):
            widened.append(f"the card knows its {name} only within {math.exp(Z90 * log_sd):.2g}x")
    beyond, phrase = _beyond(card, batch_size)
    widened += [phrase] if phrase else []
    return Step(
        seconds,
        seconds * math.exp(-math.hypot(math.sqrt(down), beyond)),
        seconds * math.exp(math.hypot(math.sqrt(up), beyond)),
        tuple(widened),
    )


@dataclass(frozen=True)
class _Rates:
    """The rates that a step needs; a smaller `flops_per_s` or a larger `launch_s` is slower."""

    launch_s: float
    flops_per_s: Mapping[str, float]
    bytes_per_s: float
    copied_bytes_per_s: float

    @classmethod
    def of(cls, card: Card, work: Work) -> _Rates:
        flops = {name: card.flops_per_s.get(name, UNSEEN_FLOPS_PER_S) for name in work.flops}
        return cls(card.launch_s, flops, card.bytes_per_s, card.copied_bytes_per_s)

    def step_s(self, work: Work) -> float:
        flops_s = sum(count / self.flops_per_s[name] for name, count in work.flops.items())
        device_s = kernels_s(work) + flops_s + work.moved_bytes / self.bytes_per_s
        host_s = queued(work) * self.launch_s
        return max(host_s, device_s) + work.copied_bytes / self.copied_bytes_per_s

    def ends(self, card: Card) -> Iterator[tuple[str, float, _Rates, _Rates]]:
        """Yield each rate's name, the sd of its logarithm, and the rates with its slower and faster end.

        The name of the launches is empty: they differ from process to process on every machine.
        """
        launch = math.hypot(card.log_sds["launches"], card.process_log_sd * math.sqrt(1 + 1 / card.runs))
        factor = math.exp(Z90 * launch)
        yield (
            "",
            launch,
            replace(self, launch_s=self.launch_s * factor),
            replace(self, launch_s=self.launch_s / factor),
        )
        for name, rate in self.flops_per_s.items():
            sd = card.log_sds.get(name, UNSEEN_LOG_SD)
            factor = math.exp(Z90 * sd)
            slower = replace(self, flops_per_s={**self.flops_per_s, name: rate / factor})
            faster = replace(self, flops_per_s={**self.flops_per_s, name: rate * factor})
            yield f"arithmetic in {name}", sd, slower, faster
        for name, key in (("memory", "bytes_per_s"), ("copy", "copied_bytes_per_s")):
            factor, rate = math.exp(Z90 * card.log_sds[name]), getattr(self, key)
            slower, faster = (replace(self, **{key: one}) for one in (rate / factor, rate * factor))
            yield f"{name} rate", card.log_sds[name], slower, faster


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
