"""The break-even chart as a description, which SVG, PNG, terminal and markdown draw.

A row per model, a track per candidate, on which each stretch of batch sizes is that of the faster device.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from breakeven.report.break_even import BreakEven


class Stretch(StrEnum):
    """Which device is faster on a part of a track."""

    BASELINE = "baseline"
    CANDIDATE = "candidate"
    SAME = "same"
    UNDECIDED = "undecided"
    UNTIMED = "untimed"


@dataclass(frozen=True)
class Segment:
    """A part of a track, from batch size `low` to `high`."""

    low: float
    high: float
    stretch: Stretch


@dataclass(frozen=True)
class Track:
    """One candidate compared with its baseline, for one model.

    `wins_from` and `best` are the texts at the end of the row, such as ``64 [48–80]`` and ``84.4x at 1,024``.
    The break-even, with its interval, is that of `line.crossing`.
    """

    line: BreakEven
    segments: tuple[Segment, ...]
    wins_from: str
    best: str


@dataclass(frozen=True)
class Row:
    """A model, with one track per candidate; `machine` is empty where there is one machine."""

    workload: str
    axes: str
    machine: str
    tracks: tuple[Track, ...]


@dataclass(frozen=True)
class Chart:
    """The rows in their order, and the range of batch sizes that were measured."""

    rows: tuple[Row, ...]
    smallest: int
    largest: int
