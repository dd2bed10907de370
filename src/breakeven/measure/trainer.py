"""A workload on a device: its copy of the model, its optimizer, its batch, and the parts of a step."""

from __future__ import annotations

import copy
import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import torch

from breakeven.errors import MeasurementError, RecipeError
from breakeven.hardware.devices import Device
from breakeven.measure.workload import SEED, Workload, error_line, map_tensors
from breakeven.phases import Phase


class Trainer:
    """One workload on one device; each part of a training step is a method.

    The parts (`transfer`, `zero_grad`, `forward`, `backward`, `step`) keep their results in this object, so
    that a timed call frees only what the step itself frees. None of them synchronizes.
    """

    caches_casts: ClassVar[bool | None] = None
    """Whether autocast caches weights that it has cast; None for torch's default."""

    def __init__(self, workload: Workload, device: Device) -> None:
        self.workload = workload
        self.device = device
        self.host_batch = (workload.inputs, workload.targets)
        if workload.pin_memory and device.is_accelerator:
            self.host_batch = map_tensors(lambda tensor: tensor.pin_memory(), self.host_batch)
        self._module = _copied("model", workload.model).train()
        self._loss = (
            _copied("loss", workload.loss) if isinstance(workload.loss, torch.nn.Module) else workload.loss
        )
        self._initial = workload.model.state_dict()
        self.model: Any = self._module
        self.batch: Any = None
        self.loss: Any = None
        self.optimizer: torch.optim.Optimizer

    def move_model(self) -> None:
        """Move the model, and the loss where it is a module, to the device (`model.to(device)`)."""
        self._module.to(self.device.torch_device)
        if isinstance(self._loss, torch.nn.Module):
            self._loss.to(self.device.torch_device)

    def reset(self) -> None:
        """Restore the initial weights, gradients, optimizer and random state.

        Every case starts from this state, so that the rounds of one phase do not train the model of the next.
        """
        self.release()
        self._module.load_state_dict(self._initial)
        if self.model is self._module and self.workload.compile:
            # Otherwise torch would find the code of another cell, and stop compiling after eight of them.
            torch.compiler.reset()
            self.model = torch.compile(self._module)
        for parameter in self._module.parameters():
            parameter.grad = None
        self.optimizer = self.workload.optimizer(self._module.parameters())
        torch.manual_seed(SEED)

    def release(self) -> None:
        """Drop the results of the last round: its graph, its loss and its copy of the batch."""
        self.loss = None
        self.batch = None

    def prepare(self, phase: Phase, steps: int = 1) -> None:  # noqa: ARG002
        """Finish the last round's training step, drop its results, and run the parts before the phase.

        The step is finished because a phase that runs alone in a loop finds its weights and its code in the
        cache: a forward pass then takes up to 30% less time than in training.
        """
        if self.loss is not None:
            for part in phase.after:
                self.do(part)
        self.release()
        for part in phase.before:
            self.do(part)

    def run(self, phase: Phase, steps: int = 1) -> None:
        """Run the parts of the phase, which are timed, `steps` times back to back."""
        for _ in range(steps):
            for part in phase.parts:
                self.do(part)

    def do(self, part: str) -> None:
        """Run one part of a training step, by its name in `breakeven.phases`."""
        getattr(self, part)()

    def transfer(self) -> None:
        """Copy the host batch to the device, without blocking if it is pinned; do nothing on a CPU."""
        target, non_blocking = self.device.torch_device, self.workload.pin_memory
        self.batch = map_tensors(lambda tensor: tensor.to(target, non_blocking=non_blocking), self.host_batch)

    def zero_grad(self) -> None:
        """Set the gradients to None, the default of `Optimizer.zero_grad`."""
        self.optimizer.zero_grad()

    def forward(self) -> None:
        """Run the model on the batch, then the loss."""
        self.loss = self._loss_of(self.batch)

    def backward(self) -> None:
        """Propagate from the loss; this frees its graph."""
        self.loss.backward()

    def step(self) -> None:
        """Let the optimizer update the weights."""
        self.optimizer.step()

    def loss_value(self) -> float | None:
        """Return the loss of the last round, None if the phase has none. Waits for the device.

        Raises:
            MeasurementError: it is not a scalar, or NaN or infinite.
        """
        if self.loss is None:
            return None
        if not isinstance(self.loss, torch.Tensor) or self.loss.numel() != 1:
            shape = getattr(self.loss, "shape", None)
            kind = f"a {type(self.loss).__name__}" if shape is None else f"a tensor of shape {tuple(shape)}"
            raise MeasurementError(f"the loss is {kind}, expected one number; reduce it, e.g. with .mean()")
        value = float(self.loss.detach())
        if not math.isfinite(value):
            raise MeasurementError(
                f"the loss is {value}: timings of a model that does not train mean nothing; "
                "check inputs, targets and learning rate"
            )
        return value

    def _loss_of(self, batch: Any) -> Any:
        inputs, targets = batch
        with self._autocast():
            loss = self._loss(outputs_of(self.model, inputs), targets)
        if loss is None:
            raise MeasurementError("the loss is None, expected one number; let the loss return it")
        return loss

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.workload.autocast is None:
            return nullcontext()
        kind = self.device.torch_device.type
        return torch.autocast(kind, dtype=self.workload.autocast, cache_enabled=self.caches_casts)


def outputs_of(model: Any, inputs: Any) -> Any:
    """Call a model on its inputs: a mapping by keywords, a tuple or list by position, else as they are."""
    if isinstance(inputs, dict):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple | list) else model(inputs)


def _copied(name: str, module: torch.nn.Module) -> torch.nn.Module:
    try:
        return copy.deepcopy(module)
    except (TypeError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "deepcopy" not in str(error):
            raise  # such as out of memory
        raise RecipeError(
            f"the {name} cannot be copied ({error_line(error)}), and each device gets its own copy; keep "
            "out of it what copy.deepcopy rejects, such as locks, files and computed tensors"
        ) from error
