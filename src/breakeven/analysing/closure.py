"""Closure: do the phases add up to the whole training step?

Owns the sum of the phases, and of zeroing the gradients, which is part of the step and no phase, against
`train`. On a CPU a residual means that a phase, or `train`, was not
measured as it runs; on an accelerator each phase was synchronised, and the difference is what that costs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from breakeven.analysing.estimates import Estimate
from breakeven.analysing.speedup import is_cpu

RESIDUAL = 0.10
"""On a CPU, phases that miss `train` by more are worth a warning."""

_PARTS = ("transfer", "zero_grad", "forward", "backward", "step")
_PHASES = ("transfer", "forward", "backward", "step")


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


def closures(cases: Iterable[Estimate], facts: pd.DataFrame) -> list[Closure]:
    """Return one closure for each device of each machine class that was timed in `train` and all phases.

    `transfer` may be missing on a CPU, where it does nothing; cells whose `train` takes no time are left out.

    Args:
        cases: one estimate a case.
        facts: needs ``class_id, workload, axes, batch_size, phase, device, parts_s``.
    """
    cells: dict[tuple[str, str], dict[tuple[str, str, int], dict[str, float]]] = {}
    for case in cases:
        of_device = cells.setdefault((case.class_id, case.device), {})
        of_device.setdefault((case.workload, case.axes, case.batch_size), {})[case.phase] = case.median_s
    for class_id, device, cell, zero_grad_s in _zero_grads(facts):
        if cell in cells.get((class_id, device), {}):
            cells[class_id, device][cell]["zero_grad"] = zero_grad_s
    found = []
    for (class_id, device), phases in cells.items():
        needed = [part for part in _PHASES if part != "transfer" or not is_cpu(device)]
        excesses = {
            " ".join(filter(None, (workload, axes, f"batch={batch}"))): sum(
                times.get(part, 0.0) for part in _PARTS
            )
            / times["train"]
            - 1
            for (workload, axes, batch), times in phases.items()
            if times.get("train", 0) > 0 and all(part in times for part in needed)
        }
        if excesses:
            worst = max(excesses.items(), key=lambda item: abs(item[1]))
            beyond = sum(abs(excess) > RESIDUAL for excess in excesses.values())
            excess = float(np.median(list(excesses.values())))
            found.append(Closure(class_id, device, len(excesses), excess, beyond, worst))
    return found


def _zero_grads(facts: pd.DataFrame) -> Iterator[tuple[str, str, tuple[str, str, int], float]]:
    """Yield (class_id, device, cell, seconds) for each `train` case that tells how long zeroing took."""
    train = facts[facts["phase"] == "train"]
    columns = ["class_id", "device", "workload", "axes", "batch_size", "parts_s"]
    for class_id, device, workload, axes, batch_size, parts in train[columns].itertuples(
        index=False, name=None
    ):
        seconds = parts.get("zero_grad") if isinstance(parts, dict) else None
        if isinstance(seconds, int | float) and 0 <= seconds < math.inf:
            yield class_id, device, (workload, axes, batch_size), seconds
