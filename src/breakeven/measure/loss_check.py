"""The CPU's losses of a workload: what every device must agree with before its times count.

Owns the reference and the comparison. Refuses to time; `session` decides when a reference is worth its cost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from breakeven.case import Case
from breakeven.errors import MeasurementError
from breakeven.hardware.devices import Cpu
from breakeven.measure.trainer import Trainer, agree, first_losses, tolerance_of
from breakeven.measure.workload import SEED, Recipe, Workload, where_of

SECOND_SEED = SEED + 1


@dataclass(frozen=True)
class Reference:
    """The CPU's losses of the two steps that are compared; `random` where another seed gives others."""

    losses: tuple[float, ...]
    random: bool


def reference_of(workload: Workload) -> Reference:
    """Train on all CPU threads, neither compiled nor recorded, and tell whether the seed decides the losses.

    Two steps are compared: the first two, but a recorded workload's rounds begin after its first step. Only
    a workload that draws from torch's generator is trained a second time.
    """
    cpu = Cpu()
    with cpu.active():
        plain = replace(workload, compile=False, cuda_graph=False, tf32=None)
        trainer, count = Trainer(plain, cpu), 3 if workload.cuda_graph else 2
        trainer.reset()
        torch.manual_seed(SEED)
        untouched = torch.get_rng_state()
        losses = first_losses(trainer, count)[-2:]
        if torch.equal(untouched, torch.get_rng_state()):
            return Reference(losses, random=False)
        return Reference(losses, random=first_losses(trainer, count, SECOND_SEED)[-2:] != losses)


def compare(
    losses: tuple[float, float], reference: Reference, case: Case, workload: Workload, recipe: Recipe
) -> dict[str, Any]:
    """Return what the comparison adds to a case's ``extra_info``; a random workload is not compared.

    Raises:
        MeasurementError: the device's losses are others than the CPU's.
    """
    if reference.random:
        return {"random": True}
    tolerance = tolerance_of(workload)
    for loss, wanted, when in zip(losses, reference.losses, ("first loss", "second loss"), strict=True):
        if not agree(loss, wanted, tolerance):
            raise MeasurementError(
                f"{where_of(recipe)}: {case.device} does other work than the CPU: {when} {loss:.6g}, "
                f"on the CPU {wanted:.6g}; make the workload give the same result on every device"
            )
    return {"loss": losses[1], "loss_compared": True}
