"""What surrounds the optimizer in a step: the gradient scaler, the scheduler, and the order of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn

from breakeven.errors import RecipeError
from breakeven.measure.optimizers import needed_arguments
from breakeven.measure.workload import Workload

SCALER_METHODS = ("scale", "unscale_", "step", "update", "get_scale")


class Turns:
    """Which of several batches is next. It holds none of them, so it can be kept with the state."""

    def __init__(self, batches: int) -> None:
        self._batches = batches
        self.at = 0

    def take(self) -> int:
        """Return the index of the next batch, and go on."""
        taken, self.at = self.at, (self.at + 1) % self._batches
        return taken

    def go_back(self, batches: int) -> None:
        """Let the last batches be the next ones again."""
        self.at = (self.at - batches) % self._batches


class Update:
    """What updates the weights after the backward pass of a step: the optimizer, and what surrounds it.

    `scaler` and `scheduler` are None where the workload has none. `clips` is what clips the gradients.

    Args:
        workload: that of the step.
        optimizer: its optimizer, or the mapping of them that a training step of the user's own takes.
        device_type: that of the device, for the scaler.
        parameters: returns the parameters whose gradients are clipped.

    Raises:
        RecipeError: the function for the scheduler or the scaler returned something else.
    """

    def __init__(
        self, workload: Workload, optimizer: Any, device_type: str, parameters: Callable[[], Any]
    ) -> None:
        self.scaler = make_scaler(workload, device_type)
        self.scheduler = make_scheduler(workload, optimizer)
        self.clips = tuple(self._clipping(workload.clip_grad_norm, parameters, optimizer))
        self._optimizer = optimizer
        self._scale = self._current_scale()

    def calls(self, own_step: Callable[[], object] | None) -> tuple[Callable[[], object], ...]:
        """Return what a step calls, found once: each question in a small step takes a percent of it.

        Args:
            own_step: steps an optimizer that clips the gradients in its closure; None without a closure.
        """
        plain = self._optimizer.step if self.scaler is None else self._step_scaled
        steps = (*self.clips, plain) if own_step is None else (own_step,)
        return steps if self.scheduler is None else (*steps, self.scheduler.step)

    def has_skipped(self) -> bool:
        """Return whether the scaler skipped the last step, because its scale was too large. Waits for it."""
        before, self._scale = self._scale, self._current_scale()
        return self._scale < before

    def _current_scale(self) -> float:
        return 0.0 if self.scaler is None else self.scaler.get_scale()

    def _step_scaled(self) -> None:
        self.scaler.step(self._optimizer)
        self.scaler.update()

    def _clipping(
        self, norm: float | None, parameters: Callable[[], Any], optimizer: Any
    ) -> Iterator[Callable[[], object]]:
        if norm is not None:
            if self.scaler is not None:
                yield partial(self.scaler.unscale_, optimizer)
            yield lambda: nn.utils.clip_grad_norm_(parameters(), norm)


def make_scaler(workload: Workload, device_type: str) -> Any:
    """Return the gradient scaler that a workload asks for, None if it does not.

    Raises:
        RecipeError: its function returned something else.
    """
    make: Any = workload.grad_scaler
    if make is False:
        return None
    scaler = torch.amp.GradScaler(device_type) if make is True else make(device_type)
    for method in SCALER_METHODS:
        if not callable(getattr(scaler, method, None)) or isinstance(scaler, type):
            raise RecipeError(
                f"Workload(grad_scaler=...) returned {_kind(scaler)}, expected a scaler with {method}(); "
                "return a torch.amp.GradScaler"
            )
    return scaler


def make_scheduler(workload: Workload, optimizer: Any) -> Any:
    """Return the scheduler of an optimizer, None if the workload has none.

    Raises:
        RecipeError: its function returned something that cannot follow each step.
    """
    if workload.scheduler is None:
        return None
    scheduler: Any = workload.scheduler(optimizer)
    name = _kind(scheduler)
    if not callable(getattr(scheduler, "step", None)) or isinstance(scheduler, type):
        raise RecipeError(
            f"Workload(scheduler=...) returned {name}, expected a scheduler with step(); let the function "
            "return it"
        )
    needed = next((one.name for one in needed_arguments(scheduler.step)), "")
    if needed:
        raise RecipeError(
            f"Workload(scheduler=...): {name}.step needs {needed!r}, so it follows an epoch and not each "
            "step of the optimizer; leave it out, or use one whose step can be called without arguments"
        )
    if workload.grad_scaler:
        # Else torch warns of the wrong order where the scaler skips the optimizer's first step.
        optimizer._opt_called = True
    return scheduler


def _kind(value: Any) -> str:
    return "None" if value is None else type(value).__name__
