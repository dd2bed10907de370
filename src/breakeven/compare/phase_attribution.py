"""Which phase moved: "train +8%, all of it transfer".

Owns the reading of a changed training step by the phases of its cell: each phase's own change, in seconds,
stands beside the step's. Makes no new test: only what was called changed is blamed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from breakeven import format as fmt
from breakeven.compare.comparison import Change

TRAIN = "train"
ALL, MOST = 0.8, 0.5
"""From which share of the step's change on a phase is all, or most, of it."""

CHANGED = ("regressed", "improved")


@dataclass(frozen=True)
class PhaseAttribution:
    """A changed step, or a changed phase whose step did not, in one cell on one device.

    `phases` are the changed ones and what each took of the step's change (1 is all of it), the largest first;
    empty where no phase stands out. `was_split` tells whether any phase beside the step was timed.
    """

    change: Change
    phases: tuple[tuple[str, float], ...]
    was_split: bool = True


def blames(changes: Iterable[Change]) -> list[PhaseAttribution]:
    """Return what moved, a line a cell and device, the largest change first."""
    cells: dict[tuple[object, ...], dict[str, Change]] = {}
    for change in changes:
        sample = change.sample
        if sample is not None and change.ratio is not None:
            cell = (sample.workload, sample.axes_text, sample.batch_size, sample.device)
            cells.setdefault(cell, {})[sample.phase] = change
    found = [blame for cell in cells.values() for blame in _of_cell(cell)]
    return sorted(found, key=lambda blame: abs(math.log(blame.change.ratio or 1.0)), reverse=True)


def attribution_sentences(changes: Iterable[Change]) -> list[str]:
    """Return a sentence a workload, device and cause: cells that moved alike are told together."""
    alike: dict[tuple[str, ...], list[Change]] = {}
    for blame in blames(changes):
        sample = blame.change.sample
        assert sample is not None
        key = (sample.workload, sample.device, sample.phase, blame.change.verdict, _cause(blame))
        alike.setdefault(key, []).append(blame.change)
    return [
        f"{workload} on {device}: {phase} {_amount(cell)}{_cells(cell)}{cause}"
        for (workload, device, phase, _, cause), cell in alike.items()
    ]


def _of_cell(cell: dict[str, Change]) -> list[PhaseAttribution]:
    train = cell.get(TRAIN)
    others = [change for phase, change in cell.items() if phase != TRAIN and change.verdict in CHANGED]
    if train is None or train.verdict not in CHANGED:
        return [PhaseAttribution(change, ()) for change in others]
    moved_s = _moved_s(train)
    shares = [
        (change.sample.phase, _moved_s(change) / moved_s)
        for change in others
        if change.sample is not None and change.verdict == train.verdict
    ]
    return [
        PhaseAttribution(
            train, tuple(sorted(shares, key=lambda share: share[1], reverse=True)), len(cell) > 1
        )
    ]


def _moved_s(change: Change) -> float:
    assert change.ratio is not None
    assert change.baseline_s is not None
    return change.baseline_s * (change.ratio - 1)


def _cause(blame: PhaseAttribution) -> str:
    sample = blame.change.sample
    if sample is None or sample.phase != TRAIN:
        return ""
    if not blame.phases:
        return ", in no single phase" if blame.was_split else ""
    (first, share), *rest = blame.phases
    if share >= ALL:
        return f", all of it {first}"
    if share >= MOST:
        return f", most of it {first}"
    return f", in {fmt.listed([first, *(phase for phase, _ in rest)])}"


def _amount(cell: Sequence[Change]) -> str:
    ratios = sorted(change.ratio for change in cell if change.ratio is not None)
    low, high = fmt.signed_percent(ratios[0]), fmt.signed_percent(ratios[-1])
    return low if low == high else f"{low} to {high}"


def _cells(cell: Sequence[Change]) -> str:
    if len(cell) > 1:
        return f" in {len(cell)} cells"
    sample = cell[0].sample
    assert sample is not None
    return f" at batch {sample.batch_size}" + (f" {sample.axes_text}" if sample.axes_text else "")
