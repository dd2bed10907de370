"""Devices of several processes against one of them: their break-even, their efficiency, their communication.

Strong scaling keeps the batch: N devices that were N times as fast as one would have an efficiency of 1. Weak
scaling keeps the batch of each process: N devices that took as long for N times the batch would have 1. What
communication takes of a step is what `train` takes longer than `train_no_sync` in the same processes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from breakeven.case import CaseKey, Cell, Model, Outcome
from breakeven.device_names import member_of, processes_of
from breakeven.phases import HEADLINE, Phase
from breakeven.report.break_even import BreakEven, break_evens
from breakeven.report.chart import Chart
from breakeven.report.estimates import Estimate
from breakeven.report.ratios import ratios
from breakeven.report.speedup import Speedup, is_compared, speedups_of
from breakeven.stats.intervals import RatioInterval

UNKNOWN = RatioInterval(None, None, None)


class ScalingKind(StrEnum):
    """What stays the same on more devices: the batch, or that of each process."""

    STRONG = "strong"
    WEAK = "weak"


@dataclass(frozen=True)
class ScalingRow:
    """One training step on a device of several processes; `key` has its whole batch.

    `efficiency` is that of scaling, 1 for an ideal one, `communication` the share of the step that it takes;
    `UNKNOWN` without the case that it is compared with.
    """

    key: CaseKey
    efficiency: RatioInterval
    communication: RatioInterval

    @property
    def kind(self) -> ScalingKind:
        """What stays the same on more devices."""
        return ScalingKind.WEAK if self.key.model.is_weak else ScalingKind.STRONG


@dataclass(frozen=True)
class Scaling:
    """What a report says of devices of several processes, empty where there are none.

    `break_evens` are those against one of their devices, of every phase, without those that the report has
    anyway, because that is its baseline; `chart` has those of the headline. `apart` are the models that are
    in `rows` only: those of a weak sweep that were measured outside of it too.
    """

    rows: tuple[ScalingRow, ...]
    break_evens: tuple[BreakEven, ...]
    chart: Chart
    apart: frozenset[Model]
    sentences: tuple[str, ...]


def set_apart(cases: Iterable[Estimate]) -> frozenset[Model]:
    """Return the models of a weak sweep that were measured outside of it too.

    On one device the two are the same model, and on several there is more to compare with outside.
    """
    models = {case.key.model for case in cases}
    return frozenset(model for model in models if model.is_weak and model.without_weak in models)


def without_groups_of_one(rows: Iterable[Speedup], timed: Mapping[str, Collection[str]]) -> list[Speedup]:
    """Return the rows that a break-even is about: not those of a group of one whose device was timed too.

    Such a group shows what training as a group costs by itself. It is not another device to choose.

    Args:
        rows: all of a report.
        timed: the timed devices of each class id.
    """

    def is_one(key: CaseKey) -> bool:
        return processes_of(key.device) == 1 and member_of(key.device) in timed[key.machine]

    return [row for row in rows if not is_one(row.candidate)]


def scaling_rows(cases: Iterable[Estimate]) -> list[ScalingRow]:
    """Return a row for each training step on a device of several processes of which anything is known.

    Those of strong scaling come first.
    """
    table = {case.key: case for case in cases}
    steps = [key for key in table if key.phase == HEADLINE and processes_of(key.device) is not None]
    efficiency, communication = _efficiency(steps, table), _communication(steps, table)
    return [
        ScalingRow(key, efficiency.get(key, UNKNOWN), communication.get(key, UNKNOWN))
        for key in sorted(steps, key=lambda key: key.model.is_weak)
        if key in efficiency or key in communication
    ]


def against_one(
    cases: Sequence[Estimate], known: Iterable[Speedup], outcomes: Iterable[Outcome]
) -> list[BreakEven]:
    """Return the break-evens of devices of several processes against one of their devices.

    Args:
        cases: all estimates.
        known: the speedups of the report; those among them are not repeated.
        outcomes: the cases that ended without a timing.
    """
    table = {case.key: case for case in cases}
    seen = {(row.baseline, row.candidate) for row in known}
    pairs = [
        (table[base], case)
        for key, case in table.items()
        if (processes_of(key.device) or 0) > 1 and is_compared(key.phase)
        if (base := replace(key, device=member_of(key.device))) in table and (base, key) not in seen
    ]
    return break_evens(cases, speedups_of(pairs), outcomes)


def _efficiency(steps: Iterable[CaseKey], table: Mapping[CaseKey, Estimate]) -> dict[CaseKey, RatioInterval]:
    """Return the efficiency of each step that one of its devices took too."""
    alone = {key: base for key in steps if (base := _on_one(key)) is not None and base in table}
    pairs = {key: (table[base], table[key]) for key, base in alone.items()}
    found = {}
    for key, ratio in zip(pairs, ratios([*pairs.values()]), strict=True):
        ideal = 1 if key.model.is_weak else processes_of(key.device) or 1
        low, middle, high = (None if x is None else x / ideal for x in (ratio.low, ratio.ratio, ratio.high))
        found[key] = RatioInterval(low, middle, high)
    return found


def _on_one(key: CaseKey) -> CaseKey | None:
    """Return the step of one device with the same batch, or with its part of the batch in a weak sweep."""
    parts = (processes_of(key.device) or 1) if key.model.is_weak else 1
    batch, rest = divmod(key.batch_size, parts)
    if rest:
        return None
    return replace(key, cell=Cell(key.workload, key.axes, batch), device=member_of(key.device))


def _communication(
    steps: Iterable[CaseKey], table: Mapping[CaseKey, Estimate]
) -> dict[CaseKey, RatioInterval]:
    """Return what communication takes of each step that was timed without it too, in the same processes."""
    silent = {key: replace(key, phase=Phase.TRAIN_NO_SYNC) for key in steps}
    pairs = {key: (table[other], table[key]) for key, other in silent.items() if other in table}
    found = {}
    for key, ratio in zip(pairs, ratios([*pairs.values()]), strict=True):
        low, middle, high = (None if x is None else 1 - x for x in (ratio.high, ratio.ratio, ratio.low))
        found[key] = RatioInterval(low, middle, high)
    return found
