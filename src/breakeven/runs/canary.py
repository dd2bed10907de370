"""Whether the machine changed during a run, by its canary: a fixed piece of work, timed three times.

A state of an unknown form is ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

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
    for device in _canary_state(state):
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
    moments = _canary_state(state).get(device)
    for moment, sample in moments.items() if isinstance(moments, Mapping) else ():
        values: list[Any] = []
        if isinstance(sample, Mapping):
            values = [sample.get(key) for key in ("median_s", "low_s", "high_s")]
        if values and all(is_amount(value) and value > 0 for value in values):
            found.append(CanarySample(str(moment), *values))
    return found


def _canary_state(state: object) -> Mapping[str, Any]:
    canary = state.get("canary") if isinstance(state, Mapping) else None
    return canary if isinstance(canary, Mapping) else {}
