"""Did the machine move during a run? Its canary, a fixed piece of work, was timed three times.

Owns the reading of ``machine_info.breakeven.state.canary`` and its warning. A state that is not as we write
it says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

LARGEST_CHANGE = 0.10
"""A canary that moved by more, with intervals apart, tells of another machine than at the start."""


@dataclass(frozen=True)
class Move:
    """How far a device's canary moved, slowest over fastest, between two moments of a run."""

    device: str
    slowest: str
    fastest: str
    ratio: float


def moves(state: object) -> list[Move]:
    """Return the devices whose canary moved, in the order they stand in.

    Args:
        state: what stands under ``machine_info.breakeven.state`` in a run file.
    """
    canary = state.get("canary") if isinstance(state, Mapping) else None
    found = []
    for device, songs in canary.items() if isinstance(canary, Mapping) else ():
        heard = sorted(_songs(songs), key=lambda song: song[1])
        if len(heard) < 2:
            continue
        (fastest, low, _, top), (slowest, high, bottom, _) = heard[0], heard[-1]
        if bottom > top and high > (1 + LARGEST_CHANGE) * low:
            found.append(Move(str(device), slowest, fastest, high / low))
    return found


def _songs(songs: Any) -> Iterator[tuple[str, float, float, float]]:
    """Yield (moment, median, low, high) of every song that is whole."""
    for moment, song in songs.items() if isinstance(songs, Mapping) else ():
        values: list[Any] = []
        if isinstance(song, Mapping):
            values = [song.get(key) for key in ("median_s", "low_s", "high_s")]
        if values and all(isinstance(value, int | float) and 0 < value < math.inf for value in values):
            yield str(moment), values[0], values[1], values[2]
