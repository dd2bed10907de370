"""Whether the machine changed during a run, by its canary: a fixed piece of work, timed three times.

A state of an unknown form is ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from breakeven.runs.json_files import mapping
from breakeven.runs.schema import is_amount

MAX_CHANGE = 0.10
"""The machine changed if the canary's times differ by more, with disjoint intervals."""


@dataclass(frozen=True)
class Move:
    """A device's canary that was slower at one moment of a run than at another."""

    device: str
    slowest: str
    fastest: str
    ratio: float


class CanarySample(NamedTuple):
    """How long the canary took at one moment of a run, in seconds."""

    moment: str
    median_s: float
    low_s: float
    high_s: float


def moves(state: object) -> list[Move]:
    """Return the devices whose canary changed, in the order of the file.

    Args:
        state: the object under ``machine_info.breakeven.state`` in a run file.
    """
    found = []
    for device in mapping(mapping(state).get("canary")):
        samples = sorted(canary_samples(state, device), key=lambda sample: sample.median_s)
        if len(samples) < 2:
            continue
        fastest, slowest = samples[0], samples[-1]
        ratio = slowest.median_s / fastest.median_s
        if slowest.low_s > fastest.high_s and ratio > 1 + MAX_CHANGE:
            found.append(Move(str(device), slowest.moment, fastest.moment, ratio))
    return found


def canary_samples(state: object, device: str) -> list[CanarySample]:
    """Return the complete samples of a device."""
    found = []
    for moment, sample in mapping(mapping(mapping(state).get("canary")).get(device)).items():
        values: list[Any] = [mapping(sample).get(key) for key in ("median_s", "low_s", "high_s")]
        if all(is_amount(value) and value > 0 for value in values):
            found.append(CanarySample(str(moment), *values))
    return found
