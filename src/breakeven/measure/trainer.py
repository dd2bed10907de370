"""A workload on a device: the copy of its model, its optimizer, its batch, and what a round makes.

Owns what lives on the device between rounds. Refuses to synchronize and to time: `rounds` does both.
"""

from __future__ import annotations

import copy
import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from breakeven.errors import MeasurementError, RecipeError
from breakeven.hardware.devices import Device
from breakeven.measure.workload import SEED, Workload, map_tensors, one_line

COARSE, TF32 = (5e-2, 1e-2), (2e-2, 5e-3)
TOLERANCE = {torch.float64: (1e-3, 1e-5), torch.float32: (1e-3, 1e-5), torch.float16: TF32}
"""How far (relative, absolute) a device's loss may be from the CPU's, by the coarsest dtype; else `COARSE`.

Float32 allows for TF32 convolutions, which cuDNN uses unless told otherwise. Where TF32 is asked for,
products have float16's ten bits of mantissa.
"""


class Trainer:
    """One workload on one device, and the verbs of a training step.

    The verbs (`move_batch`, `zero_grad`, `compute_loss`, `backward`, `step`) keep what they make in
    this object, so that nothing is freed inside a timed call that the step itself does not free.
    """

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
        """Bring weights, gradients, optimizer and generators back to where they began.

        Every phase starts from here, so that rounds of one never train the model of the next.
        """
        self.release()
        self._module.load_state_dict(self._initial)
        if self.model is self._module and self.workload.compile:
            # Else it would find the code of another cell, and after eight of them torch compiles no more.
            torch.compiler.reset()
            self.model = torch.compile(self._module)
        for parameter in self._module.parameters():
            parameter.grad = None
        self.optimizer = self.workload.optimizer(self._module.parameters())
        torch.manual_seed(SEED)

    def release(self) -> None:
        """Let go of what the last round made: its graph, its loss and its copy of the batch."""
        self.loss = None
        self.batch = None

    def move_batch(self) -> None:
        """Copy the host batch to the device; without blocking where it is pinned. On a CPU: nothing."""
        target, unblocked = self.device.torch_device, self.workload.pin_memory
        self.batch = map_tensors(lambda tensor: tensor.to(target, non_blocking=unblocked), self.host_batch)

    def zero_grad(self) -> None:
        """Set the gradients to None, the default way of `Optimizer.zero_grad`."""
        self.optimizer.zero_grad()

    def compute_loss(self) -> None:
        """Run the model on the batch, then the loss."""
        inputs, targets = self.batch
        with self._autocast():
            self.loss = self._loss(outputs_of(self.model, inputs), targets)
        if self.loss is None:
            raise MeasurementError("the loss is None, expected one number; let the loss return it")

    def backward(self) -> None:
        """Propagate from the loss; its graph is used up."""
        self.loss.backward()

    def step(self) -> None:
        """Let the optimizer change the weights."""
        self.optimizer.step()

    def loss_value(self) -> float | None:
        """Return the loss of the last round, None where the phase makes none. Waits for the device.

        Raises:
            MeasurementError: it is no scalar, or NaN or infinite.
        """
        if self.loss is None:
            return None
        if not isinstance(self.loss, torch.Tensor) or self.loss.numel() != 1:
            raise MeasurementError(
                f"the loss is {_shape(self.loss)}, expected one number; reduce it, e.g. with .mean()"
            )
        value = float(self.loss.detach())
        if not math.isfinite(value):
            raise MeasurementError(
                f"the loss is {value}: timings of a model that does not train mean nothing; "
                "check inputs, targets and learning rate"
            )
        return value

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.workload.autocast is None:
            return nullcontext()
        return torch.autocast(self.device.torch_device.type, dtype=self.workload.autocast)


def outputs_of(model: Any, inputs: Any) -> Any:
    """Call a model on its inputs: a mapping by keywords, a tuple or list by position, else as they are."""
    if isinstance(inputs, dict):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple | list) else model(inputs)


def first_losses(trainer: Trainer, count: int, seed: int = SEED) -> tuple[float, ...]:
    """Return the losses of the first `count` training steps from the initial weights."""
    trainer.reset()
    torch.manual_seed(seed)
    losses = []
    for _ in range(count):
        trainer.move_batch()
        trainer.zero_grad()
        trainer.compute_loss()
        losses.append(trainer.loss_value() or 0.0)
        trainer.backward()
        trainer.step()
    trainer.release()
    return tuple(losses)


def tolerance_of(workload: Workload) -> tuple[float, float]:
    """Return how far (relative, absolute) a device's loss may be from the CPU's (`TOLERANCE`)."""
    dtypes = {parameter.dtype for parameter in workload.model.parameters()}
    dtypes |= set() if workload.autocast is None else {workload.autocast}
    found = [TOLERANCE.get(dtype, COARSE) for dtype in dtypes if dtype.is_floating_point]
    return max([*found, *([TF32] if workload.tf32 else [])], default=TOLERANCE[torch.float32])


def agree(one: float, other: float, tolerance: tuple[float, float]) -> bool:
    """Tell whether two losses are the same within a tolerance, relative or absolute."""
    relative, absolute = tolerance
    return math.isclose(one, other, rel_tol=relative, abs_tol=absolute)


def _copied(name: str, module: torch.nn.Module) -> torch.nn.Module:
    try:
        return copy.deepcopy(module)
    except (TypeError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "deepcopy" not in str(error):
            raise  # out of memory, say
        raise RecipeError(
            f"the {name} cannot be copied ({one_line(error)}), and each device gets a copy of its own; keep "
            "what copy.deepcopy refuses out of it, such as locks, files and tensors that were computed"
        ) from error


def _shape(loss: Any) -> str:
    return (
        f"a tensor of shape {tuple(loss.shape)}"
        if isinstance(loss, torch.Tensor)
        else f"a {type(loss).__name__}"
    )
