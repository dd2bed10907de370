"""A workload on a device: its copy of the model, its optimizer, its batches, and the parts of a step."""

from __future__ import annotations

import inspect
import math
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import torch
from torch import nn

from breakeven.errors import MeasurementError, RecipeError
from breakeven.hardware.device import Device
from breakeven.measure.outcomes import UnsupportedError
from breakeven.measure.settings import seed_all
from breakeven.measure.state import SavedState
from breakeven.measure.step_parts import StepParts
from breakeven.measure.tensors import (
    duplicate,
    map_inputs,
    map_tensors,
    moved_to,
    outputs_of,
    pinned,
    tensors_in,
)
from breakeven.measure.update import Turns, make_scaler, make_scheduler
from breakeven.measure.workload import Workload, copy_of, parameters_of
from breakeven.phases import Phase

_REMEDY = "return the loss tensor alone, such as out.loss or the first of several, without .item()"

_TRAINING = nullcontext()

MAX_STEPS = 300
"""After this many steps the state of training returns to that after the first step."""

MAX_SKIPPED = 20
"""The maximum number of first steps that a gradient scaler may skip until its scale fits."""


class Trainer:
    """One workload on one device; each part of a training step is a method.

    The parts (`transfer`, `zero_grad`, `forward`, `backward`, `step`) keep their results in this object, so
    that a timed call frees only what the step itself frees. None of them synchronizes.
    """

    caches_casts: ClassVar[bool | None] = None
    """Whether autocast caches weights that it has cast; None for torch's default."""

    compared_losses: ClassVar[int] = 2
    """How many of a case's first losses must agree with those that the CPU computes of the same workload."""

    round_clock: Callable[[], float] | None = None
    """What shows the time of a round, read before and after it; None for the clock of this process."""

    def __init__(self, workload: Workload, device: Device) -> None:
        self.workload = workload
        self.device = device
        self.host_batches = workload.host_batches
        if workload.pin_memory and device.is_accelerator:
            self.host_batches = map_tensors(pinned, self.host_batches)
        self._module, self._loss = copy_of(workload)
        self._module.train()
        self.model: Any = self._module
        self._criterion: Any = self._loss
        self.batch: Any = None
        self.loss: Any = None
        self.outputs: Any = None
        self.parts = StepParts.of(workload)
        self.optimizer: Any
        self.scaler: Any = None
        self.scheduler: Any = None
        self._scale = 0.0
        self._turns = Turns(len(self.host_batches))
        self._initial: SavedState | None = None
        self._saved: SavedState | None = None
        self._steps = 0
        self._duplicates_batch = False
        self._checks_inputs = False
        self._versions: list[int] = []

    def move_model(self) -> None:
        """Move the model, and the loss where it is a module, to the device (`model.to(device)`)."""
        self._module.to(self.device.torch_device)
        if isinstance(self._loss, nn.Module):
            self._loss.to(self.device.torch_device)

    def start(self) -> None:
        """Begin a case: the initial state of model and loss, a new optimizer, and seeded generators.

        Every case starts from this state, so that the rounds of one phase do not train the model of the next.

        Raises:
            RecipeError: the factory of the optimizer, the scheduler or the gradient scaler returned something
                that cannot train the copy.
            UnsupportedError: the device does not support the dtype of autocast.
        """
        self.release()
        if self._initial is None:
            self._prepare_model()
            self._initial = SavedState(self._module, self._loss)
        else:
            self._initial.restore()
            self.model.train()
        self._saved, self._steps = None, 0
        # Until the first step has shown whether the model changes its inputs in place.
        self._duplicates_batch = not self.device.is_accelerator
        self._checks_inputs = self._duplicates_batch
        trained = self.trained()
        for parameter in trained:
            parameter.grad = None
        make_optimizer: Any = self.workload.optimizer
        self.optimizer = make_optimizer(list(trained))
        check_optimizer(self.optimizer, trained)
        self.scaler = make_scaler(self.workload, self.device.torch_device.type)
        self._scale = 0.0 if self.scaler is None else self.scaler.get_scale()
        self.scheduler = make_scheduler(self.workload, self.optimizer)
        self._turns.at = 0
        seed_all()

    def _prepare_model(self) -> None:
        self._check_autocast()
        if has_compiled():
            # Otherwise torch would find the code of another cell, and stop compiling after eight of them.
            torch.compiler.reset()
        self.model, self._criterion = self._wrapped(self._module), self._wrapped(self._loss)
        if self.workload.compile:
            self.model = torch.compile(self.model)

    def _wrapped(self, module: Any) -> Any:
        """Return what is called in place of the model or of the loss: here, themselves."""
        return module

    def trained(self) -> list[nn.Parameter]:
        """Return the parameters of the model's copy, and then those of the loss."""
        return parameters_of(self._module, self._loss)

    def restore(self) -> None:
        """Return to the state after the first step, and do one step, which allocates what the state lacks.

        Before the first step nothing is done.
        """
        self.release()
        if self._saved is not None:
            self._return_to_first_step()
            self.whole_step()
            self._steps = 1

    def state_tensors(self) -> Iterator[torch.Tensor]:
        """Yield what training has computed so far: weights, buffers, the optimizer's state, and gradients."""
        if self._saved is not None:
            yield from self._saved.tensors()
            yield from (one.grad for one in self.trained() if one.grad is not None)

    def release(self) -> None:
        """Drop the results of the last round: its graph, its loss and its copy of the batch."""
        self.loss = None
        self.batch = None
        self.outputs = None

    def prepare(self, phase: Phase, steps: int = 1) -> None:
        """Finish the last round's training step, drop its results, and run the parts before the phase.

        The step is finished because a phase that runs alone in a loop finds its weights and its code in the
        cache: a forward pass then takes up to 30% less time than in training.

        Of a step of several passes only the last one is timed. From the third step on, each of them begins
        one batch after the one before, so that this pass has each batch in turn; the first two have the
        batches of training, whose losses are compared.

        Args:
            phase: the one to prepare.
            steps: how many steps the round will do. Where they would be too many since the last return to
                the state after the first step, that return comes first. 0 for a step that belongs to the
                round prepared last.
        """
        around = self.parts.of_phase(phase)
        if self.loss is not None:
            for part in around.after:
                self.do(part)
            self._after_step()
        elif self._checks_inputs and self.outputs is not None:  # of the first round of inference
            self._duplicates_batch, self._checks_inputs = self._has_changed_batch(), False
        self.release()
        if steps and self._steps > 1 and self._steps + steps > MAX_STEPS:
            self.restore()
        if phase.takes_steps:
            self._steps += steps
        elif phase is Phase.INFER:
            if self.model.training:
                self.model.eval()
        else:  # no step will show whether the batch is changed, and on a CPU nothing else is transferred
            self._duplicates_batch = False
        if around.before and self._steps > 2:
            self._turns.go_back(self.parts.passes - 1)
        for part in around.before:
            self.do(part)

    def run(self, phase: Phase, steps: int = 1) -> None:
        """Run the parts of the phase, which are timed, `steps` times back to back."""
        work = [getattr(self, part) for part in self.parts.of_phase(phase).timed]
        with _mode_of(phase):
            for _ in range(steps):
                for do in work:
                    do()

    def run_marked(self, phase: Phase, mark: Callable[[str], object]) -> None:
        """Run the parts of the phase once; call `mark` with ``""`` before, and after each with its name."""
        with _mode_of(phase):
            mark("")
            for part in self.parts.of_phase(phase).timed:
                self.do(part)
                mark(part)

    def whole_step(self) -> None:
        """Do one training step and drop its results."""
        for part in self.parts.parts:
            self.do(part)
        self.release()

    def do(self, part: str) -> None:
        """Run one part of a training step, by its name in `StepParts`."""
        getattr(self, part)()

    def cycle(self, phase: Phase) -> int:
        """Return how often a phase runs until it has had each batch equally often."""
        if phase.needs_loader:
            return 1
        batches = len(self.host_batches)
        taken = self.parts.of_phase(phase).timed.count("transfer")
        return batches // math.gcd(batches, max(1, taken))

    def transfer(self) -> None:
        """Copy the next host batch to the device, without blocking if it is pinned.

        On a CPU that does nothing, unless the model changes its inputs in place or asks for their gradients.
        """
        inputs, targets = self.host_batches[self._turns.take()]
        moved = map_inputs(self._on_device, inputs, self.workload.host_inputs)
        self.batch = moved, map_tensors(self._on_device, targets)
        if self._saved is None:
            self._versions = [tensor._version for tensor in tensors_in(self.batch)]

    def zero_grad(self) -> None:
        """Set the gradients to None, the default of `Optimizer.zero_grad`."""
        self.optimizer.zero_grad()

    def forward(self) -> None:
        """Run the model on the batch, then the loss, divided by the number of passes."""
        self.loss = self._loss_of(self.batch)
        if self.workload.accumulate > 1:
            self.loss = self.loss / self.workload.accumulate

    def backward(self) -> None:
        """Propagate from the loss, scaled by the gradient scaler; this frees its graph."""
        if self.scaler is None:
            self.loss.backward()
        else:
            self.scaler.scale(self.loss).backward()

    def step(self) -> None:
        """Clip the gradients, let the optimizer update the weights, and step scaler and scheduler."""
        if self.workload.clip_grad_norm is not None:
            if self.scaler is not None:
                self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.trained(), self.workload.clip_grad_norm)
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        if self.scheduler is not None:
            self.scheduler.step()

    def training_step(self) -> None:
        """Call the workload's own training step."""
        raise NotImplementedError

    def infer(self) -> None:
        """Copy the inputs of the host batch to the device, and run the model on them.

        The model is in eval mode, and the caller has entered `torch.inference_mode`, once for all steps of a
        loop.
        """
        inputs, _ = self.host_batch
        if self._checks_inputs:
            with torch.inference_mode(mode=False):  # in it, tensors do not count their changes
                self.batch = map_inputs(self._on_device, inputs, self.workload.host_inputs)
            self._versions = [tensor._version for tensor in tensors_in(self.batch)]
        else:
            self.batch = map_inputs(self._on_device, inputs, self.workload.host_inputs)
        with self._autocast():
            self.outputs = outputs_of(self.model, self.batch)

    def load(self) -> None:
        """Take the next host batch from the workload's loader."""
        raise NotImplementedError

    @property
    def has_stepped(self) -> bool:
        """Whether the case's first step is done, and its state kept."""
        return self._saved is not None

    def loss_value(self) -> float | None:
        """Return the loss of the last round, None if the phase has none. Waits for the device.

        Raises:
            MeasurementError: it is not a scalar, is NaN or infinite, or nothing trained depends on it.
        """
        if self.loss is None:
            return None
        if not isinstance(self.loss, torch.Tensor) or self.loss.numel() != 1:
            shape = getattr(self.loss, "shape", None)
            kind = f"a {type(self.loss).__name__}" if shape is None else f"a tensor of shape {tuple(shape)}"
            remedy = "reduce it, e.g. with .mean()" if isinstance(self.loss, torch.Tensor) else _REMEDY
            raise MeasurementError(f"the loss is {kind}, expected one number; {remedy}")
        if self.loss.is_complex():
            raise MeasurementError(
                f"the loss is complex ({self.loss.dtype}), expected a real number; take its .abs() or .real"
            )
        if not self.loss.requires_grad:
            raise MeasurementError(
                "the loss depends on no trained parameter, so nothing can be trained; return it without "
                ".detach(), .item() or torch.no_grad()"
            )
        value = float(self.loss.detach())
        if not math.isfinite(value):
            raise MeasurementError(
                f"the loss is {value}: timings of a model that does not train mean nothing; "
                "check inputs, targets and learning rate"
            )
        return value

    def _after_step(self) -> None:
        """After the first step, keep the state, and check what the step has changed."""
        if self._saved is not None:
            return
        ours = set(map(id, self.trained()))
        if any(one.grad is not None and id(one) not in ours for one in self.workload.trained()):
            raise MeasurementError(
                "the backward pass reached the recipe's own model, not the copy that is trained; let the "
                "loss use its arguments alone, or be a module that holds the model"
            )
        if self._duplicates_batch:
            self._duplicates_batch = self._has_changed_batch()
        self.repeat_skipped()
        self._saved = SavedState(
            self._module, self._loss, self.optimizer, self.scheduler, self.scaler, self._turns
        )

    def repeat_skipped(self) -> None:
        """Repeat the first step for as long as the gradient scaler skips it, because its scale is too large.

        Raises:
            MeasurementError: it skips `MAX_SKIPPED` steps.
        """
        for _ in range(MAX_SKIPPED):
            before, self._scale = self._scale, 0.0 if self.scaler is None else self.scaler.get_scale()
            if self._scale >= before:
                return
            self._turns.at = 0
            self.whole_step()
        raise MeasurementError(
            f"the gradient scaler skipped the first {MAX_SKIPPED} steps, because gradients overflow at any "
            "scale; check inputs, loss and initialization"
        )

    def _has_changed_batch(self) -> bool:
        return self._versions != [one._version for one in tensors_in(self.batch)]

    def _return_to_first_step(self) -> None:
        assert self._saved is not None
        self._saved.restore()
        self._drop_gradients()
        seed_all()

    def _drop_gradients(self) -> None:
        for parameter in self.trained():
            parameter.grad = None

    def _on_device(self, movable: Any) -> Any:
        moved = moved_to(self.device.torch_device, movable, non_blocking=self.workload.pin_memory)
        return duplicate(moved) if self._duplicates_batch else moved

    def _loss_of(self, batch: Any) -> Any:
        inputs, targets = batch
        with self._autocast():
            loss = self._criterion(outputs_of(self.model, inputs), targets)
        if loss is None:
            raise MeasurementError("the loss is None, expected one number; let the loss return it")
        return loss

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.workload.autocast is None:
            return nullcontext()
        kind = self.device.torch_device.type
        return torch.autocast(kind, dtype=self.workload.autocast, cache_enabled=self.caches_casts)

    def _check_autocast(self) -> None:
        dtype, kind = self.workload.autocast, self.device.torch_device.type
        if dtype is None:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns that it turns autocast off
            with self._autocast():
                is_on = torch.is_autocast_enabled(kind)
        if not is_on:
            raise UnsupportedError(f"autocast={dtype}: torch does not support it on {self.device.name}")


def _mode_of(phase: Phase) -> AbstractContextManager[Any]:
    """Return the mode of autograd in which a phase runs."""
    return torch.inference_mode() if phase is Phase.INFER else _TRAINING


def has_compiled() -> bool:
    """Return whether this process has compiled anything.

    Only then is there something to reset: beside CUDA a reset loads torch's whole compiler, for seconds.
    """
    utils: Any = sys.modules.get("torch._dynamo.utils")
    return utils is not None and bool(utils.counters.get("frames"))


def check_optimizer(optimizer: Any, trained: list[nn.Parameter]) -> None:
    """Check that an optimizer can train these parameters.

    Raises:
        RecipeError: one line with the reason.
    """
    name = type(optimizer).__name__
    for method in ("step", "zero_grad"):
        if not callable(getattr(optimizer, method, None)) or isinstance(optimizer, type):
            returned = "None" if optimizer is None else name
            raise RecipeError(
                f"Workload(optimizer=...) returned {returned}, expected an optimizer with step() and "
                "zero_grad(); let the function return it"
            )
    if _needs_closure(optimizer.step):
        raise RecipeError(
            f"Workload(optimizer=...): {name}.step needs a closure, which breakeven does not pass; use an "
            "optimizer whose step can be called without one"
        )
    ours = {id(parameter) for parameter in trained}
    groups = getattr(optimizer, "param_groups", [])
    others = sum(id(parameter) not in ours for group in groups for parameter in group["params"])
    if others:
        raise RecipeError(
            f"Workload(optimizer=...): {others} of the optimizer's parameters do not belong to the copy that "
            "is trained; make the optimizer of the list that the function is given (the model's parameters "
            "in order, then the loss's)"
        )


def _needs_closure(step: Any) -> bool:
    try:
        closure = inspect.signature(step).parameters.get("closure")
    except (TypeError, ValueError):  # not a Python function
        return False
    return closure is not None and closure.default is inspect.Parameter.empty
