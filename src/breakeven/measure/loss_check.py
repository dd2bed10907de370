"""The loss check: a device must compute the same losses as the CPU, or the case fails."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from breakeven.case import CaseKey, Cell
from breakeven.errors import MeasurementError
from breakeven.format import duration
from breakeven.hardware.devices import Cpu
from breakeven.measure.settings import SEED, random_states, seed_all
from breakeven.measure.trainer import Trainer
from breakeven.measure.workload import Recipe, Workload, where_of

SECOND_SEED = SEED + 1

COARSE, TF32 = (5e-2, 1e-2), (2e-2, 5e-3)
TOLERANCE = {torch.float64: (1e-3, 1e-5), torch.float32: (1e-3, 1e-5), torch.float16: TF32}
"""How far (relative, absolute) a device's loss may be from the CPU's, by the least precise dtype; else
`COARSE`.

Float32 allows for TF32 convolutions, which cuDNN uses by default. With TF32, products have a mantissa of 10
bits, as in float16.
"""

Losses = tuple[float | None, float | None]


@dataclass(frozen=True)
class ReferenceLoss:
    """The CPU's losses of the two compared steps; `is_random` if they depend on the seed."""

    losses: tuple[float, ...]
    is_random: bool


Reference = ReferenceLoss | str
"""The CPU's losses of a cell, or why they are not compared."""


class LossCheck:
    """Compares the first two losses of a case with the CPU's, which are computed once for each cell.

    Those that an earlier process of the run computed serve as well. Where a device's losses differ from
    them, the CPU's are computed here too, and decide.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._forecast = Forecast()
        self._step_s: dict[Cell, float] = {}
        self._last: tuple[Cell, Reference] | None = None
        self._is_adopted = False

    def adopt(self, cell: Cell, reference: Reference | None) -> None:
        """Take the reference of a cell that an earlier process computed, unless this process has its own."""
        if reference is not None and self.known(cell) is None:
            self._last, self._is_adopted = (cell, reference), True

    def known(self, cell: Cell) -> Reference | None:
        """Return the reference of a cell, None if it is unknown."""
        return self._last[1] if self._last is not None and self._last[0] == cell else None

    def observe_step(self, cell: Cell, seconds: float) -> None:
        """Remember how long a step of a cell takes on a CPU."""
        self._step_s[cell] = min(seconds, self._step_s.get(cell, math.inf))

    def facts(
        self, case: CaseKey, workload: Workload, recipe: Recipe, losses: Losses, limit_s: float
    ) -> dict[str, Any]:
        """Return the result for a case's ``extra_info``: nothing for a phase without a loss.

        A case of which only one step was done has only its first loss compared.

        Raises:
            MeasurementError: the device's losses differ from the CPU's.
        """
        first, second = losses
        if first is None:
            return {}
        known = (first,) if second is None else (first, second)
        reference = self.known(case.cell)
        if reference is None or (isinstance(reference, str) and not self._is_adopted):
            reference = self._train(case.cell, workload, limit_s)
        tolerance = tolerance_of(workload)
        if self._is_adopted and _differing(known, reference, tolerance):
            reference = self._train(case.cell, workload, limit_s)
        if isinstance(reference, str):
            return {"loss_compared": reference}
        if reference.is_random:
            return {"random": True}
        for when, loss, expected in _differing(known, reference, tolerance):
            if first_losses(workload) != reference.losses:  # random without any of the known generators
                self._last = case.cell, replace(reference, is_random=True)
                return {"random": True}
            raise MeasurementError(
                f"{where_of(recipe)}: {case.device} computes a different result than the CPU: {when} "
                f"loss {loss:.6g}, on the CPU {expected:.6g}; make the results agree on every device"
            )
        return {"loss_compared": True} | ({} if second is None else {"loss": second})

    def _train(self, cell: Cell, workload: Workload, limit_s: float) -> Reference:
        reference = self._trained(cell, workload, limit_s)
        self._last, self._is_adopted = (cell, reference), False
        return reference

    def _trained(self, cell: Cell, workload: Workload, limit_s: float) -> Reference:
        predicted = self._forecast.predict(cell.model, cell.batch_size)
        if predicted is not None and predicted > limit_s:
            return f"not compared: one step on the CPU is predicted to take {duration(predicted)}"
        step_s = self._step_s.get(cell, 0.0)
        if 2 * step_s > limit_s:
            return f"not compared: one step on the CPU takes {duration(step_s)}"
        start = self._clock()
        reference = reference_loss(workload)
        self._forecast.observe(cell.model, cell.batch_size, self._clock() - start)
        return reference


def _differing(
    losses: Sequence[float], reference: Reference, tolerance: tuple[float, float]
) -> list[tuple[str, float, float]]:
    """Return which losses differ from the reference: their name, and both; none where nothing is compared."""
    if isinstance(reference, str) or reference.is_random:
        return []
    relative, absolute = tolerance
    return [
        (when, loss, expected)
        for when, loss, expected in zip(("first", "second"), losses, reference.losses, strict=False)
        if not math.isclose(loss, expected, rel_tol=relative, abs_tol=absolute)
    ]


def reference_loss(workload: Workload) -> ReferenceLoss:
    """Train on the CPU, without compiler and graphs, and check whether the losses depend on the seed.

    Two steps are compared: the first two, or the second and third with CUDA graphs, whose rounds begin after
    the first step. Only a workload that draws random numbers is trained twice.
    """
    seed_all()
    untouched = random_states()
    losses = first_losses(workload)
    if untouched == random_states():
        return ReferenceLoss(losses, is_random=False)
    return ReferenceLoss(losses, is_random=first_losses(workload, SECOND_SEED) != losses)


def first_losses(workload: Workload, seed: int = SEED) -> tuple[float, ...]:
    """Return the losses of the two compared training steps from the initial weights, on the CPU."""
    cpu = Cpu()
    with cpu.active():
        trainer = Trainer(replace(workload, compile=False, cuda_graph=False, tf32=None), cpu)
        trainer.start()
        seed_all(seed)
        losses = []
        for _ in range(3 if workload.cuda_graph else 2):
            for part in trainer.parts.parts:
                trainer.do(part)
            losses.append(trainer.loss_value() or 0.0)
            trainer.release()
            if len(losses) == 1:
                trainer.repeat_skipped()
    return tuple(losses[-2:])


def tolerance_of(workload: Workload) -> tuple[float, float]:
    """Return how far (relative, absolute) a device's loss may be from the CPU's (`TOLERANCE`)."""
    dtypes = {parameter.dtype for parameter in workload.trained()}
    dtypes |= set() if workload.autocast is None else {workload.autocast}
    found = [TOLERANCE.get(dtype, COARSE) for dtype in dtypes if dtype.is_floating_point]
    return max([*found, *([TF32] if workload.tf32 else [])], default=TOLERANCE[torch.float32])


class Forecast:
    """Predicts a case's round from the same case at smaller batches: time grows linearly with the batch."""

    def __init__(self) -> None:
        self._seen: dict[object, dict[int, float]] = {}

    def observe(self, key: object, batch_size: int, seconds: float) -> None:
        """Remember the time of a round of `key` at a batch size."""
        self._seen.setdefault(key, {})[batch_size] = seconds

    def seen(self, key: object, batch_size: int) -> float | None:
        """Return the time of a round of `key` at a batch size, None if it was not observed."""
        return self._seen.get(key, {}).get(batch_size)

    def predict(self, key: object, batch_size: int) -> float | None:
        """Return the line through the two largest smaller batches, in seconds; None without two."""
        smaller = sorted(item for item in self._seen.get(key, {}).items() if item[0] < batch_size)[-2:]
        if len(smaller) < 2:
            return None
        (low_batch, low), (high_batch, high) = smaller
        slope = max(0.0, (high - low) / (high_batch - low_batch))
        return high + slope * (batch_size - high_batch)
