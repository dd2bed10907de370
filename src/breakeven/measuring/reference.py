"""The CPU's losses of a workload: what every device must agree with before its times count.

Owns the reference and the comparison. Refuses to time; `session` decides when a reference is worth its cost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from breakeven.cases import Case
from breakeven.errors import MeasurementError
from breakeven.measuring.devices import Cpu
from breakeven.measuring.placement import Placed, agree, losses_of_one_step
from breakeven.measuring.workloads import SEED, Recipe, Workload, where_of

SECOND_SEED = SEED + 1


@dataclass(frozen=True)
class Reference:
    """The CPU's loss before and after one training step; `random` where another seed gives others."""

    losses: tuple[float, float]
    random: bool


def reference_of(workload: Workload) -> Reference:
    """Train one step on all CPU threads, uncompiled, and tell whether the seed decides the losses.

    Only a workload that draws from torch's generator is trained a second time.
    """
    cpu = Cpu()
    with cpu.active():
        placed = Placed(replace(workload, compile=False), cpu)
        placed.reset()
        torch.manual_seed(SEED)
        untouched = torch.get_rng_state()
        losses = losses_of_one_step(placed)
        if torch.equal(untouched, torch.get_rng_state()):
            return Reference(losses, random=False)
        return Reference(losses, random=losses_of_one_step(placed, SECOND_SEED) != losses)


def compare(
    losses: tuple[float, float], reference: Reference, case: Case, workload: Workload, recipe: Recipe
) -> dict[str, Any]:
    """Return what the comparison adds to a case's ``extra_info``; a random workload is not compared.

    Raises:
        MeasurementError: the device's losses are others than the CPU's.
    """
    if reference.random:
        return {"random": True}
    for loss, wanted, when in zip(losses, reference.losses, ("first loss", "second loss"), strict=True):
        if not agree(loss, wanted, workload.autocast):
            raise MeasurementError(
                f"{where_of(recipe)}: {case.device} does other work than the CPU: {when} {loss:.6g}, "
                f"on the CPU {wanted:.6g}; make the workload give the same result on every device"
            )
    return {"loss": losses[1], "loss_compared": True}
