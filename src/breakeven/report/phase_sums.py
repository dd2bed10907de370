"""Closure: do the phases add up to the whole training step?

Owns the sum of the phases, and of zeroing the gradients, which is part of the step and no phase, against
`train`. On a CPU a residual means that a phase, or `train`, was not
measured as it runs; on an accelerator each phase was synchronized, and the difference is what that costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from breakeven.device_names import is_cpu
from breakeven.report.estimates import Estimate

RESIDUAL = 0.10
"""On a CPU, phases that miss `train` by more are worth a warning."""

PARTS = ("transfer", "zero_grad", "forward", "backward", "step")
"""What a training step is made of, in its order; all but `zero_grad` are phases."""


@dataclass(frozen=True)
class PhaseSum:
    """The parts of one cell's training step on one device, against the step timed as a whole, in seconds.

    `parts` has the median of each phase that was timed, and the seconds of `zero_grad` where the run file
    tells them, in the order of `PARTS`. `train_s` is the median of the whole step, `low_s` and `high_s` its
    interval. `whole` tells whether every phase that counts was timed, so that the sum means something.
    """

    class_id: str
    workload: str
    axes: str
    batch_size: int
    device: str
    parts: Mapping[str, float]
    train_s: float
    low_s: float | None
    high_s: float | None

    @property
    def whole(self) -> bool:
        """Whether every phase was timed; `transfer` may be missing on a CPU, where it does nothing."""
        optional = {"zero_grad"} | ({"transfer"} if is_cpu(self.device) else set())
        return self.train_s > 0 and all(part in self.parts for part in PARTS if part not in optional)

    @property
    def excess(self) -> float:
        """(Sum of the parts - train) / train."""
        return sum(self.parts.values()) / self.train_s - 1


@dataclass(frozen=True)
class Closure:
    """How the phases of one device add up, over all its cells that have them.

    `excess` is the median over cells of (sum of the phases - train) / train; `beyond` counts the cells in
    which it is larger than `RESIDUAL` either way, and `worst` is the one farthest off, as (name, excess).
    """

    class_id: str
    device: str
    cells: int
    excess: float
    beyond: int
    worst: tuple[str, float]


def phase_sums(cases: Iterable[Estimate], facts: pd.DataFrame) -> list[PhaseSum]:
    """Return the parts of every cell whose `train` was timed, in the order of `cases`.

    Args:
        cases: one estimate a case.
        facts: needs ``class_id, workload, axes, batch_size, phase, device, parts_s``.
    """
    cells: dict[tuple[object, ...], dict[str, Estimate]] = {}
    for case in cases:
        cell = (case.class_id, case.workload, case.axes, case.batch_size, case.device)
        cells.setdefault(cell, {})[case.phase] = case
    zero_grads = dict(_zero_grads(facts))
    found = []
    for key, phases in cells.items():
        train = phases.get("train")
        if train is None:
            continue
        seconds = {phase: case.median_s for phase, case in phases.items()}
        if key in zero_grads:
            seconds["zero_grad"] = zero_grads[key]
        parts = {part: seconds[part] for part in PARTS if part in seconds}
        found.append(
            PhaseSum(
                class_id=train.class_id,
                workload=train.workload,
                axes=train.axes,
                batch_size=train.batch_size,
                device=train.device,
                parts=parts,
                train_s=train.median_s,
                low_s=train.low_s,
                high_s=train.high_s,
            )
        )
    return found


def closures(sums: Iterable[PhaseSum]) -> list[Closure]:
    """Return one closure for each device of each machine class that has a cell whose sum means something."""
    devices: dict[tuple[str, str], list[PhaseSum]] = {}
    for row in sums:
        if row.whole:
            devices.setdefault((row.class_id, row.device), []).append(row)
    return [_closure(class_id, device, rows) for (class_id, device), rows in devices.items()]


def _closure(class_id: str, device: str, rows: Sequence[PhaseSum]) -> Closure:
    worst = max(rows, key=lambda row: abs(row.excess))
    name = " ".join(filter(None, (worst.workload, worst.axes, f"batch={worst.batch_size}")))
    return Closure(
        class_id=class_id,
        device=device,
        cells=len(rows),
        excess=float(np.median([row.excess for row in rows])),
        beyond=sum(abs(row.excess) > RESIDUAL for row in rows),
        worst=(name, worst.excess),
    )


def _zero_grads(facts: pd.DataFrame) -> Iterator[tuple[tuple[object, ...], float]]:
    """Yield (cell and device, seconds) for each `train` case that tells how long zeroing took."""
    train = facts[facts["phase"] == "train"]
    columns = ["class_id", "workload", "axes", "batch_size", "device", "parts_s"]
    for *key, parts in train[columns].itertuples(index=False, name=None):
        if parts is not None and "zero_grad" in parts:
            yield tuple(key), parts["zero_grad"]
