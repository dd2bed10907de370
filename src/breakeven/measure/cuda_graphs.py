"""A workload whose training step was recorded: forward, backward and step each as one CUDA graph.

Owns what is recorded, in which order, and how the workload is brought back to after its first step. A graph
reads and writes the same memory each time, so the batch is copied into one place (`transfer`, which cannot be
recorded from pageable memory), and gradients are not set to None but written anew by the backward pass
(`zero_grad` does nothing). Refuses to time.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from breakeven.errors import MeasurementError
from breakeven.hardware.devices import Device
from breakeven.measure.timing import Clock, time_once
from breakeven.measure.trainer import Trainer, outputs_of
from breakeven.measure.workload import SEED, Workload, map_tensors, one_line, tensors_in

WAITS = "synchronizing CUDA operation"
"""What torch says where work waits for the device and must not."""

STEPS_ASIDE = 3
"""Whole steps before the recording, in which libraries, compilers and the optimizer make what they need."""


def place(workload: Workload, device: Device) -> Trainer:
    """Return a workload ready to be moved to a device, recorded where it asks for that."""
    return GraphedTrainer(workload, device) if workload.cuda_graph else Trainer(workload, device)


def record(trainer: Trainer, clock: Clock) -> dict[str, float]:
    """Record a workload that wants to be, after each reset, and return what that took; nothing for others.

    ``capture_s`` is the steps before the recording, since nobody has a graph without them, and the recording
    itself. What the first of these steps took beyond the others, where the model is compiled, is
    ``compile_s`` and no part of it.
    """
    if not isinstance(trainer, GraphedTrainer):
        return {}
    steps = [time_once(trainer.step_aside, trainer.device, clock) for _ in range(STEPS_ASIDE)]
    capture_s = sum(steps) + time_once(trainer.record, trainer.device, clock)
    if not trainer.workload.compile:
        return {"capture_s": capture_s}
    compile_s = max(0.0, steps[0] - min(steps[1:]))
    return {"capture_s": capture_s - compile_s, "compile_s": compile_s}


class GraphedTrainer(Trainer):
    """A placed workload that does recorded graphs again in the place of its parts.

    It begins its rounds after one training step: an optimizer makes its state in its first one, and how that
    state began, only the optimizer knows.
    """

    def __init__(self, workload: Workload, device: Device) -> None:
        super().__init__(workload, device)
        self._static: Any = None
        self._loss_of_graph: Any = None
        self._kept: list[torch.Tensor] = []
        self._graphs: list[Callable[[], None]] = []
        self._recorder = device.recorder()
        if self._recorder is None:
            raise MeasurementError(f"{device.name} records no CUDA graphs")

    def reset(self) -> None:
        """Bring everything back to where it began, and forget what was recorded."""
        self._graphs, self._kept, self._loss_of_graph = [], [], None
        self._recorder = self.device.recorder()
        super().reset()
        for group in self.optimizer.param_groups:
            if "capturable" in group and self.device.torch_device.type != "cpu":
                group["capturable"] = True  # such an optimizer counts its steps on the device
        if self._static is None:
            move = self.device.torch_device
            self._static = map_tensors(lambda tensor: tensor.to(move, copy=True), self.host_batch)

    def step_aside(self) -> None:
        """Do one training step where the recording will be; the first one's outcome is kept."""
        assert self._recorder is not None
        with warnings.catch_warnings():
            # torch warns that a capturable optimizer is slow outside of a capture, as these steps are.
            warnings.filterwarnings("ignore", "This instance was constructed with capturable=True")
            try:
                self._recorder.aside(self._whole_step)
            except RuntimeError as error:
                if WAITS not in str(error):
                    raise
                raise MeasurementError(
                    f"the step cannot be recorded as a graph: {one_line(error)}; leave out what waits for "
                    "the device, such as .item()"
                ) from error
        if not self._kept:
            self._kept = [tensor.detach().clone() for tensor in self._state()]

    def record(self) -> None:
        """Record the three graphs, then bring weights and optimizer back to after the first step."""
        assert self._recorder is not None
        self._graphs = [self._recorder.record(part) for part in (self._forward, self._backward, self._step)]
        with torch.no_grad():
            for tensor, kept in zip(self._state(), self._kept, strict=True):
                tensor.copy_(kept)
        torch.manual_seed(SEED)

    def move_batch(self) -> None:
        """Copy the host batch to where the graphs read it."""
        unblocked = self.workload.pin_memory
        for there, here in zip(tensors_in(self._static), tensors_in(self.host_batch), strict=True):
            there.copy_(here, non_blocking=unblocked)
        self.batch = self._static

    def zero_grad(self) -> None:
        """Do nothing: the recorded backward pass writes the gradients anew."""

    def compute_loss(self) -> None:
        """Do the recorded forward pass with its loss."""
        self._graphs[0]()
        self.loss = self._loss_of_graph

    def backward(self) -> None:
        """Do the recorded backward pass."""
        self._graphs[1]()

    def step(self) -> None:
        """Do the recorded step of the optimizer."""
        self._graphs[2]()

    def _whole_step(self) -> None:
        self._forward()
        self._backward()
        self._step()
        # The graph of autograd must not outlive the step: its nodes would bring their stream along.
        self._loss_of_graph = None

    def _forward(self) -> None:
        inputs, targets = self._static
        with self._autocast():
            self._loss_of_graph = self._loss(outputs_of(self.model, inputs), targets)
        if self._loss_of_graph is None:
            raise MeasurementError("the loss is None, expected one number; let the loss return it")

    def _backward(self) -> None:
        # Gradients that are not there are allocated where the graph will find them.
        for parameter in self._module.parameters():
            parameter.grad = None
        self._loss_of_graph.backward()

    def _step(self) -> None:
        self.optimizer.step()

    def _state(self) -> list[torch.Tensor]:
        state = tensors_in(self.optimizer.state)
        return [*self._module.parameters(), *self._module.buffers(), *state]

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.workload.autocast is None:
            return nullcontext()
        # A weight that was cast outside of the recording would be an old one when it is done again.
        kind = self.device.torch_device.type
        return torch.autocast(kind, dtype=self.workload.autocast, cache_enabled=False)
