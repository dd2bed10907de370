"""Whether the machine changed during a run: by its canary, a fixed piece of work timed three times, and by
the cell that was timed again at the end.

A state of an unknown form is ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from breakeven.format import one_line
from breakeven.runs.json_files import is_amount, mapping

MAX_CHANGE = 0.10
"""The machine changed if the times of the same work differ by more, with disjoint intervals."""


@dataclass(frozen=True)
class Move:
    """Work that was slower at one moment of a run than at another: a canary or a case."""

    work: str
    slowest: str
    fastest: str
    ratio: float


class CanarySample(NamedTuple):
    """How long the canary, or a case, took at one moment of a run, in seconds."""

    moment: str
    median_s: float
    low_s: float
    high_s: float


def moves(state: object) -> list[Move]:
    """Return the canaries that changed, then the cases, in the order of the file.

    Args:
        state: the object under ``machine_info.breakeven.state`` in a run file.
    """
    works = [
        *(
            (f"the canary on {one_line(device, 40)}", canary_samples(state, device))
            for device in mapping(mapping(state).get("canary"))
        ),
        *_retimed(mapping(state).get("retimed")),
    ]
    return [move for work, samples in works if (move := _move(work, samples)) is not None]


def canary_samples(state: object, device: str) -> list[CanarySample]:
    """Return the complete samples of a device."""
    listed = mapping(mapping(mapping(state).get("canary")).get(device)).items()
    keys = ("median_s", "low_s", "high_s")
    return _complete((str(moment), [mapping(sample).get(key) for key in keys]) for moment, sample in listed)


def _retimed(listed: object) -> Iterator[tuple[str, list[CanarySample]]]:
    """Yield each case that was timed again, with its complete samples."""
    for found in map(mapping, listed if isinstance(listed, list) else []):
        moments = (("start", "first"), ("end", "again"))
        yield (
            f"the case {one_line(found.get('case'), 200)}",
            _complete(
                (moment, [found.get(f"{name}_{key}") for key in ("s", "low_s", "high_s")])
                for moment, name in moments
            ),
        )


def _complete(samples: Iterable[tuple[str, list[Any]]]) -> list[CanarySample]:
    return [
        CanarySample(moment, *values)
        for moment, values in samples
        if all(is_amount(value) and value > 0 for value in values)
    ]


def _move(work: str, samples: list[CanarySample]) -> Move | None:
    ordered = sorted(samples, key=lambda sample: sample.median_s)
    if len(ordered) < 2:
        return None
    fastest, slowest = ordered[0], ordered[-1]
    ratio = slowest.median_s / fastest.median_s
    if slowest.low_s > fastest.high_s and ratio > 1 + MAX_CHANGE:
        return Move(work, slowest.moment, fastest.moment, ratio)
    return None
