"""Closure: do the phases add up to the whole training step?

Owns the sum of the phases against `train`. On a CPU a residual means that a phase, or `train`, was not
measured as it runs; on an accelerator each phase was synchronised, and the difference is what that costs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from breakeven.analysing.estimates import Estimate
from breakeven.analysing.speedup import is_cpu

RESIDUAL = 0.10
"""On a CPU, phases that miss `train` by more are worth a warning."""

_PARTS = ("transfer", "forward", "backward", "step")


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


def closures(cases: Iterable[Estimate]) -> list[Closure]:
    """Return one closure for each device of each machine class that was timed in `train` and all phases.

    `transfer` may be missing on a CPU, where it does nothing; cells whose `train` takes no time are left out.
    """
    cells: dict[tuple[str, str], dict[tuple[str, str, int], dict[str, float]]] = {}
    for case in cases:
        of_device = cells.setdefault((case.class_id, case.device), {})
        of_device.setdefault((case.workload, case.axes, case.batch_size), {})[case.phase] = case.median_s
    found = []
    for (class_id, device), phases in cells.items():
        needed = [part for part in _PARTS if part != "transfer" or not is_cpu(device)]
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
