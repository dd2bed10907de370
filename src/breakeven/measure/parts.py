"""The parts of a phase: how long each takes, and for how long the host is busy queueing them.

These are extra rounds, run after the timed ones.
"""

from __future__ import annotations

from itertools import pairwise
from statistics import median
from typing import Any

from breakeven.hardware.device import EventApi
from breakeven.measure.timing import CLOCK, Clock
from breakeven.measure.trainer import Trainer
from breakeven.phases import Phase

PART_ROUNDS = 6
"""The maximum number of rounds with marks between the parts, and of those that time the queueing.

The fastest and the slowest of six are a 97% interval of the median; of five, only 94%.
"""


def part_facts(phase: Phase, trainer: Trainer, clock: Clock, rounds: int = PART_ROUNDS) -> dict[str, Any]:
    """Return the times of the parts of a phase for a case's ``extra_info``, in seconds.

    On a CPU a part is done when its call returns, so the host's clock can be read between the parts. On an
    accelerator the parts are timed by the device's events, where it has them.
    """
    device = trainer.device
    if not device.is_accelerator:
        parts = part_seconds(phase, trainer, host_events(clock), rounds)
        del parts["all"]
        return {"parts_s": parts}
    facts: dict[str, Any] = enqueue_seconds(phase, trainer, rounds, clock)
    events = device.event_api()
    if events is None:
        return facts
    parts = part_seconds(phase, trainer, events, rounds)
    return facts | {"device_time_s": parts.pop("all"), "parts_s": parts}


def host_events(clock: Clock) -> EventApi:
    """Return marks that read the host's clock."""
    return EventApi.of_clock(clock)


def part_seconds(phase: Phase, trainer: Trainer, events: EventApi, rounds: int) -> dict[str, float]:
    """Return the median seconds of each part of a phase, by marks between them, and of ``"all"``.

    The time of a part includes the device's idle gaps while it waits for the host.
    """
    seconds: dict[str, list[float]] = {part: [] for part in phase.parts}
    marks = [events.make() for _ in range(len(phase.parts) + 1)]
    at = dict(zip(("", *phase.parts), marks, strict=True))
    for _ in range(rounds):
        trainer.prepare(phase)
        trainer.device.synchronize()
        trainer.run_marked(phase, lambda part: events.record(at[part]))
        trainer.device.synchronize()
        for part, (start, end) in zip(phase.parts, pairwise(marks), strict=True):
            seconds[part].append(events.seconds(start, end))
    totals = [sum(of_round) for of_round in zip(*seconds.values(), strict=True)]
    return {**{part: median(values) for part, values in seconds.items()}, "all": median(totals)}


def enqueue_seconds(phase: Phase, trainer: Trainer, rounds: int, clock: Clock = CLOCK) -> dict[str, float]:
    """Return the median seconds until the last of a phase's work is queued, without a synchronization.

    ``enqueue_low_s`` and ``enqueue_high_s`` are the fastest and the slowest round, if there are at least
    `PART_ROUNDS`. ``enqueue_transfer_s`` is the median of the transfer in it (0.0 without one).

    Where the queue is full or a part waits for the device (a copy from pageable memory does), the host's
    waiting counts.
    """
    seen: dict[str, float] = {}

    def read(part: str) -> None:
        if part in ("", Phase.TRANSFER, phase.parts[-1]):
            seen[part] = clock()

    whole: list[float] = []
    transfers: list[float] = []
    for _ in range(rounds):
        trainer.prepare(phase)
        trainer.device.synchronize()
        trainer.run_marked(phase, read)
        trainer.device.synchronize()
        whole.append(seen[phase.parts[-1]] - seen[""])
        transfers.append(seen.get(Phase.TRANSFER, seen[""]) - seen[""])
    facts = {"enqueue_s": median(whole), "enqueue_transfer_s": median(transfers)}
    if rounds < PART_ROUNDS:
        return facts
    return facts | {"enqueue_low_s": min(whole), "enqueue_high_s": max(whole)}
