"""A workload on a device: its copy of the model, its optimizer, its batches, and the parts of a step."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import torch
from torch import nn

from breakeven.errors import MeasurementError
from breakeven.hardware.device import Device
from breakeven.measure.checkpointing import checkpoint_submodules
from breakeven.measure.closures import Closure
from breakeven.measure.losses import loss_from, loss_value, sum_of_losses
from breakeven.measure.moving import BatchMover
from breakeven.measure.optimizers import check_first_step, closure_of, make_optimizer, versions_of
from breakeven.measure.outcomes import UnsupportedError
from breakeven.measure.settings import seed_all
from breakeven.measure.state import SavedState
from breakeven.measure.step_parts import StepParts
from breakeven.measure.tensors import map_tensors, outputs_of, pinned
from breakeven.measure.training import Training
from breakeven.measure.update import Turns, Update
from breakeven.measure.workload import Workload, copy_of, parameters_of
from breakeven.phases import Phase

_NOTHING = nullcontext()

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

    round_clock: Callable[[], float] | None = None
    """What shows the time of a round, read before and after it; None for the clock of this process."""

    needs_passes: ClassVar[str] = ""
    """Why the trainer cannot train a workload that does the passes of its step itself; empty if it can."""

    closure: Closure | None = None
    """The closure of the optimizer, where its step takes one."""

    def __init__(self, workload: Workload, device: Device) -> None:
        self.workload = workload
        self.device = device
        self.host_batches = workload.host_batches
        if workload.pin_memory and device.is_accelerator:
            self.host_batches = map_tensors(pinned, self.host_batches)
        self._module, self._loss = copy_of(workload)
        self._module.train()
        if workload.channels_last:
            to: Any = self._module.to
            to(memory_format=torch.channels_last)
        checkpoint_submodules(self._module, workload.checkpoint)
        self.model: Any = self._module
        self._criterion: Any = self._loss
        self.batch: Any = None
        self.loss: Any = None
        self.outputs: Any = None
        self.parts = StepParts.of(workload)
        self._prepared: Phase | None = None
        self._work: list[Callable[[], object]] = []
        self.optimizer: Any
        self.scaler: Any = None
        self.scheduler: Any = None
        self._turns = Turns(len(self.host_batches))
        self._initial: SavedState | None = None
        self._saved: SavedState | None = None
        self._steps = 0
        self._mover = BatchMover(workload, device, self.host_batches)
        self._update: Update
        self._updates: Sequence[Callable[[], object]] = ()
        self._own_versions: list[int] = []

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
            UnsupportedError: the device does not support the dtype of autocast, or this trainer the step.
        """
        self.release()
        if self._initial is None:
            self._prepare_model()
            self._initial = SavedState(self._module, self._loss)
        else:
            self._initial.restore()
            self.model.train()
        self._saved, self._steps = None, 0
        self._mover.begin()
        trained = self.trained()
        for parameter in trained:
            parameter.grad = None
        self.optimizer = make_optimizer(self.workload, self._module, trained)
        self._turns.at = 0
        self._prepare_step()
        seed_all()

    def _prepare_step(self) -> None:
        """Find out which parts the step has, now that the optimizer is known, and make what surrounds it."""
        name = closure_of(self.workload, self.optimizer)  # before a scheduler wraps the optimizer's step
        self.parts = StepParts.of(self.workload, name)
        if self.parts.why_whole and self.needs_passes:
            raise UnsupportedError(f"{self.needs_passes}, but {self.parts.why_whole}")
        # A loop walks the model for its parameters in each step, which takes 3% of a small one.
        is_all = len(list(self._module.parameters())) == len(self.trained())
        parameters = self._module.parameters if is_all else self.trained
        self._update = Update(self.workload, self.optimizer, self.device.torch_device.type, parameters)
        self.scaler, self.scheduler = self._update.scaler, self._update.scheduler
        state = (self.optimizer, self.scheduler, self._turns)
        self.closure = None if name is None else Closure(name, self.optimizer, self._evaluate, state)
        if self.workload.training_step is None:
            self._updates = self._update.calls(None if name is None else self._step_with_closure)
        self._own_versions = versions_of(self.workload)

    def _prepare_model(self) -> None:
        self._check_autocast()
        if has_compiled():
            # Otherwise torch would find the code of another cell, and stop compiling after eight of them.
            torch.compiler.reset()
        self.model, self._criterion = self._wrapped(self._module), self._wrapped(self._loss)
        if self.workload.compile and self.workload.training_step is not None:
            # In place, because the step calls submodules too.
            for module in (self._module, *map(self._module.get_submodule, self._optimizer_names())):
                module.compile()
        elif self.workload.compile:
            self.model = torch.compile(self.model)

    def _optimizer_names(self) -> Iterable[str]:
        """Return the names of the submodules with an optimizer of their own."""
        return self.workload.optimizer if isinstance(self.workload.optimizer, Mapping) else ()

    def _wrapped(self, module: Any) -> Any:
        """Return what is called in place of the model or of the loss: here, themselves."""
        return module

    def trained(self) -> list[nn.Parameter]:
        """Return the parameters of the model's copy, and then those of the loss."""
        return parameters_of(self._module, self._loss)

    def restore(self) -> None:
        """Return to the state after the first step, and do one step, which allocates what the state lacks.

        Before the first step nothing is done. An iterative optimizer returns to where the step that is timed
        of it begins.
        """
        self.release()
        if self._saved is not None:
            self._return_to_first_step()
            self._steps = 0
            if not self.repeats_one_step:
                self.whole_step()
                self._steps = 1

    @property
    def repeats_one_step(self) -> bool:
        """Whether every round is the same step; known after the first one."""
        return self.closure is not None and self.closure.is_iterative

    @property
    def compared_losses(self) -> int:
        """How many of a case's first losses must agree with those that the CPU computes of the same workload.

        Within one step of an iterative optimizer, rounding grows to percents.
        """
        return 1 if self.repeats_one_step else 2

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
        # Found here, because an empty round must not take half a microsecond more.
        self._prepared, self._work = phase, self._work_of(phase)
        if self.loss is not None:
            for part in around.after:
                self.do(part)
            self._after_step()
        self._mover.look()
        self.release()
        if steps and (self.repeats_one_step or (self._steps > 1 and self._steps + steps > MAX_STEPS)):
            self.restore()
        if phase.takes_steps:
            self._steps += steps
        elif phase is Phase.INFER:
            if self.model.training:
                self.model.eval()
        else:  # no step will show whether the batch is changed, and on a CPU nothing else is transferred
            self._mover.stop_looking()
        if around.before and self._steps > 2:
            self._turns.go_back(self.parts.passes - 1)
        for part in around.before:
            self.do(part)

    def run(self, phase: Phase, steps: int = 1) -> None:
        """Run the parts of the phase, which are timed, `steps` times back to back."""
        work = self._work if phase is self._prepared else self._work_of(phase)
        if phase is Phase.INFER:
            with torch.inference_mode():
                _repeat(work, steps)
        else:
            _repeat(work, steps)

    def _work_of(self, phase: Phase) -> list[Callable[[], object]]:
        return [getattr(self, part) for part in self.parts.of_phase(phase).timed]

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
        batches = len(self.host_batches)
        taken = self.parts.of_phase(phase).timed.count("transfer")
        return batches // math.gcd(batches, max(1, taken))

    def transfer(self) -> None:
        """Copy the next host batch to the device, without blocking if it is pinned.

        On a CPU that does nothing, unless the model changes its inputs in place or asks for their gradients,
        or they become channels-last.
        """
        batch = self.next_host_batch()
        self.batch = batch if self._mover.moves_nothing else self._mover.move(batch)

    def next_host_batch(self) -> Any:
        """Return the host batch whose turn it is."""
        return self.host_batches[self._turns.take()]

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
        for update in self._updates:
            update()

    def _step_with_closure(self) -> None:
        assert self.closure is not None
        self.loss = self.closure.step()

    def _evaluate(self) -> Any:
        self.zero_grad()
        self.forward()
        self.backward()
        for clip in self._update.clips:
            clip()
        return self.loss

    def training_step(self) -> None:
        """Call the workload's own training step."""
        step: Any = self.workload.training_step
        where = self.device.torch_device
        inputs, targets = self.batch
        self.loss = step(Training(self.model, self._criterion, self.optimizer, inputs, targets, where))
        if self.loss is None:  # it would look like a phase without a loss
            sum_of_losses(None)

    def infer(self) -> None:
        """Copy the inputs of the next host batch to the device, and run the model on them.

        The model is in eval mode, and the caller has entered `torch.inference_mode`, once for all steps of a
        loop.
        """
        batch = self.next_host_batch()
        self.batch = batch[0] if self._mover.moves_nothing else self._mover.move_inputs(batch)
        with self._autocast():
            self.outputs = outputs_of(self.model, self.batch)

    def explained(self, error: Exception) -> Exception:
        """Return the error of a first call as it is reported."""
        return error

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
        return loss_value(self.loss) if self.workload.training_step is None else sum_of_losses(self.loss)

    def _after_step(self) -> None:
        """After the first step, check what it has changed, and keep the state."""
        if self._saved is not None:
            return
        check_first_step(self.workload, self.trained(), self._own_versions)
        self.repeat_skipped()
        self._saved = SavedState(
            self._module, self._loss, self.optimizer, self.scheduler, self.scaler, self._turns
        )
        if self.closure is not None:
            self.closure.find_step(self.whole_step)

    def repeat_skipped(self) -> None:
        """Repeat the first step for as long as the gradient scaler skips it, because its scale is too large.

        Raises:
            MeasurementError: it skips `MAX_SKIPPED` steps.
        """
        for _ in range(MAX_SKIPPED):
            if not self._update.has_skipped():
                return
            self._turns.at = 0
            self.whole_step()
        raise MeasurementError(
            f"the gradient scaler skipped the first {MAX_SKIPPED} steps, because gradients overflow at any "
            "scale; check inputs, loss and initialization"
        )

    def _return_to_first_step(self) -> None:
        assert self._saved is not None
        self._saved.restore()
        if self.closure is not None:
            self.closure.restore()
        self._drop_gradients()
        seed_all()

    def _drop_gradients(self) -> None:
        for parameter in self.trained():
            parameter.grad = None

    def _loss_of(self, batch: Any) -> Any:
        inputs, targets = batch
        with self._autocast():
            return loss_from(self._criterion, outputs_of(self.model, inputs), targets)

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.workload.autocast is None:
            return _NOTHING
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


def _repeat(work: Sequence[Callable[[], object]], times: int) -> None:
    for _ in range(times):
        for do in work:
            do()


def _mode_of(phase: Phase) -> AbstractContextManager[Any]:
    """Return the mode of autograd in which a phase runs."""
    return torch.inference_mode() if phase is Phase.INFER else _NOTHING


def has_compiled() -> bool:
    """Return whether this process has compiled anything.

    Only then is there something to reset: beside CUDA a reset loads torch's whole compiler, for seconds.
    """
    utils: Any = sys.modules.get("torch._dynamo.utils")
    return utils is not None and bool(utils.counters.get("frames"))
