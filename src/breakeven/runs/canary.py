"""Did the machine move during a run? Its canary, a fixed piece of work, was timed three times.

Owns the reading of ``machine_info.breakeven.state.canary`` and its warning. A state that is not as we write
it says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

LARGEST_CHANGE = 0.10
"""A canary that moved by more, with intervals apart, tells of another machine than at the start."""


@dataclass(frozen=True)
class Move:
    """How far a device's canary moved, slowest over fastest, between two moments of a run."""

    device: str
    slowest: str
    fastest: str
    ratio: float


class CanarySample(NamedTuple):
    """What the canary took at one moment of a run, in seconds."""

    moment: str
    median_s: float
    low_s: float
    high_s: float


def moves(state: object) -> list[Move]:
    """Return the devices whose canary moved, in the order they stand in.

    Args:
        state: what stands under ``machine_info.breakeven.state`` in a run file.
    """
    found = []
    for device in _canary_state(state):
        heard = sorted(canary_samples(state, device), key=lambda song: song.median_s)
        if len(heard) < 2:
            continue
        (fastest, low, _, top), (slowest, high, bottom, _) = heard[0], heard[-1]
        if bottom > top and high > (1 + LARGEST_CHANGE) * low:
            found.append(Move(str(device), slowest, fastest, high / low))
    return found


def canary_samples(state: object, device: str) -> list[CanarySample]:
    """Return every song of a device that is whole."""
    found = []
    moments = _canary_state(state).get(device)
    for moment, song in moments.items() if isinstance(moments, Mapping) else ():
        values: list[Any] = []
        if isinstance(song, Mapping):
            values = [song.get(key) for key in ("median_s", "low_s", "high_s")]
        if values and all(isinstance(value, int | float) and 0 < value < math.inf for value in values):
            found.append(CanarySample(str(moment), *values))
    return found


def _canary_state(state: object) -> Mapping[str, Any]:
    canary = state.get("canary") if isinstance(state, Mapping) else None
    return canary if isinstance(canary, Mapping) else {}
