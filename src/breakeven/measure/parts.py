"""The parts of a phase: how long each takes, and for how long the host is busy queueing them.

These are extra rounds, run after the timed ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
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

    The time of a part includes the device's idle gaps while it waits for the host. A part that each pass of
    a step has counts with its total.
    """
    found = _marked_rounds(phase, trainer, events, rounds)
    medians = {part: median(seconds[part] for seconds in found) for part in found[0]}
    return medians | {"all": median(sum(seconds.values()) for seconds in found)}


def enqueue_seconds(phase: Phase, trainer: Trainer, rounds: int, clock: Clock = CLOCK) -> dict[str, float]:
    """Return the median seconds until the last of a phase's work is queued, without a synchronization.

    ``enqueue_low_s`` and ``enqueue_high_s`` are the fastest and the slowest round, if there are at least
    `PART_ROUNDS`. ``enqueue_transfer_s`` is the median of the transfers in it (0.0 without one).

    Where the queue is full or a part waits for the device (a copy from pageable memory does), the host's
    waiting counts.
    """
    found = _marked_rounds(phase, trainer, host_events(clock), rounds)
    whole = [sum(seconds.values()) for seconds in found]
    transfer_s = median(seconds.get("transfer", 0.0) for seconds in found)
    facts = {"enqueue_s": median(whole), "enqueue_transfer_s": transfer_s}
    if rounds < PART_ROUNDS:
        return facts
    return facts | {"enqueue_low_s": min(whole), "enqueue_high_s": max(whole)}


def _marked_rounds(phase: Phase, trainer: Trainer, events: EventApi, rounds: int) -> list[dict[str, float]]:
    """Return the seconds of each part in each round, which is the mean over one step with each batch."""
    parts, cycle = trainer.parts.of_phase(phase).timed, trainer.cycle(phase)
    marks = [events.make() for _ in range(len(parts) + 1)]
    found = []
    for _ in range(rounds):
        seconds = dict.fromkeys(parts, 0.0)
        for _ in range(cycle):
            trainer.prepare(phase)
            trainer.device.synchronize()
            trainer.run_marked(phase, partial(_record_next, events, iter(marks)))
            trainer.device.synchronize()
            for part, (start, end) in zip(parts, pairwise(marks), strict=True):
                seconds[part] += events.seconds(start, end) / cycle
        found.append(seconds)
    return found


def _record_next(events: EventApi, marks: Iterator[Any], _part: str) -> None:
    events.record(next(marks))
