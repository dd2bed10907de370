"""Whether the phases add up to the whole training step.

Of several passes in a step, the phases timed one; all take as long. The sum includes zeroing the gradients,
which is a part of the step but not a phase. On a CPU a residual means that a phase, or `train`, was not
measured as it runs; on an accelerator each phase is synchronized, and the residual is the cost of that, since
`train` waits once per loop (in version 1, once per step).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from breakeven.case import CaseKey, Cell
from breakeven.device_names import is_cpu, processes_of
from breakeven.grouping import grouped
from breakeven.phases import HEADLINE, PASS_PARTS, STEP_PARTS, Phase
from breakeven.report.estimates import Estimate

MAX_RESIDUAL = 0.10
"""On a CPU, a larger residual is a warning."""

_OPTIONAL = "zero_grad"  # older run files do not have it


@dataclass(frozen=True)
class PhaseSum:
    """The parts of one cell's training step on one device, and the step timed as a whole, in seconds.

    `key` is that of the whole step. `parts` has the median of each timed phase, and the seconds of
    `zero_grad` if known, in the order of the step; those of a pass are multiplied by the passes of a step.
    `low_s` and `high_s` are the interval of `train_s`. `loader_s` is how much longer a step takes in an
    epoch, where it also waits for the loader; 0 where that was not timed. `is_uniform` is whether all batches
    have one shape: the rounds of different phases may otherwise be of different batches.
    """

    key: CaseKey
    parts: Mapping[str, float]
    train_s: float
    low_s: float | None
    high_s: float | None
    loader_s: float = 0.0
    is_uniform: bool = True

    @property
    def is_complete(self) -> bool:
        """Whether every phase was timed; `transfer` may be missing on a CPU, where it does nothing."""
        optional = {_OPTIONAL, "transfer"} if is_cpu(self.key.device) else {_OPTIONAL}
        return self.train_s > 0 and all(part in self.parts for part in STEP_PARTS if part not in optional)

    @property
    def residual(self) -> float:
        """(Sum of the parts - train) / train."""
        return sum(self.parts.values()) / self.train_s - 1


@dataclass(frozen=True)
class Residual:
    """How the phases of one device add up, over all its complete cells.

    `median` is that of the cells' residuals; `beyond` counts the cells whose residual exceeds `MAX_RESIDUAL`
    in either direction, and `worst` is the cell with the largest residual.
    """

    machine: str
    device: str
    cells: int
    median: float
    beyond: int
    worst: tuple[Cell, float]


def phase_sums(cases: Iterable[Estimate]) -> list[PhaseSum]:
    """Return the parts of every cell whose `train` was timed, in the order of `cases`."""
    cells = grouped(
        ((key.cell, key.device, key.machine), (key.phase, case)) for case in cases for key in [case.key]
    )
    return [_phase_sum(phases) for phases in map(dict, cells.values()) if HEADLINE in phases]


def residuals(sums: Iterable[PhaseSum]) -> list[Residual]:
    """Return one residual for each device of each machine class that has a complete cell.

    On a device of several processes each phase waits for the slowest, and overlaps less communication than a
    training step does: the sum shows nothing of how well the phases were measured.
    """
    devices = grouped(
        ((row.key.machine, row.key.device), row)
        for row in sums
        if row.is_complete and row.is_uniform and processes_of(row.key.device) is None
    )
    return [_residual(machine, device, rows) for (machine, device), rows in devices.items()]


def _phase_sum(phases: Mapping[str, Estimate]) -> PhaseSum:
    train = phases[HEADLINE]
    passes = train.facts.passes
    seconds = {phase: case.median_s * _times(phase, passes) for phase, case in phases.items()}
    if _OPTIONAL in train.facts.parts_s:
        seconds[_OPTIONAL] = train.facts.parts_s[_OPTIONAL]
    parts = {part: seconds[part] for part in STEP_PARTS if part in seconds}
    return PhaseSum(
        train.key,
        parts,
        train.median_s,
        train.low_s,
        train.high_s,
        _loader_s(train, phases.get(Phase.EPOCH)),
        (train.facts.batch_shapes or 1) <= 1,
    )


def _loader_s(train: Estimate, epoch: Estimate | None) -> float:
    """Return how much longer a step is shown to take in an epoch."""
    if epoch is None:
        return 0.0
    low_s, high_s = (epoch.low_s or epoch.median_s), (train.high_s or train.median_s)
    passes = train.facts.passes
    return passes * epoch.median_s - train.median_s if passes * low_s > high_s else 0.0


def _times(phase: str, passes: float) -> float:
    """Return how often a step does the part that is timed."""
    return passes if phase in PASS_PARTS else 1.0


def _residual(machine: str, device: str, rows: Sequence[PhaseSum]) -> Residual:
    worst = max(rows, key=lambda row: abs(row.residual))
    return Residual(
        machine=machine,
        device=device,
        cells=len(rows),
        median=float(np.median([row.residual for row in rows])),
        beyond=sum(abs(row.residual) > MAX_RESIDUAL for row in rows),
        worst=(worst.key.cell, worst.residual),
    )
