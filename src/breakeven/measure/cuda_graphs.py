"""A workload whose forward pass, backward pass and optimizer step are captured, each as one CUDA graph.

A graph reads and writes the same memory at each replay. So the batches, which all have the same shapes, are
copied into one place (`transfer`, which cannot be captured from pageable memory), and gradients are not set
to None but overwritten by the backward pass (`zero_grad` does nothing).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch

from breakeven.errors import MeasurementError
from breakeven.hardware.device import Device
from breakeven.measure.loading_trainer import LoadingTrainer
from breakeven.measure.tensors import (
    duplicate,
    map_inputs,
    map_tensors,
    outputs_of,
    shapes_of,
    tensors_in,
    to_channels_last,
)
from breakeven.measure.timing import Clock, time_once
from breakeven.measure.trainer import Trainer
from breakeven.measure.workload import Workload, error_line
from breakeven.phases import Phase

WAITS = "synchronizing CUDA operation"
"""Part of torch's message if work waits for the device and must not."""

EAGER_STEPS = 3
"""Whole steps before the capture, in which libraries, compilers and the optimizer allocate memory."""


def why_no_graphs(workload: Workload) -> str | None:
    """Return why the step of a workload cannot be captured, None if it can."""
    if workload.accumulate > 1:
        return (
            f"accumulate={workload.accumulate} adds up gradients, which a captured backward pass overwrites"
        )
    if workload.scheduler is not None:
        return "scheduler=... changes the learning rate, which a captured step keeps"
    if workload.grad_scaler:
        return "grad_scaler=... waits for the device in each step, to skip it or not"
    if workload.closure or workload.training_step is not None:
        return f"{'closure' if workload.closure else 'training_step'}=... may do another work in each step"
    if len(set(map(shapes_of, workload.host_batches))) > 1:
        return "batches=... have different shapes, and a captured step has one"
    if len(workload.batches) > 1 and workload.host_inputs:
        return "host_inputs=... are read when the step is captured, those of the first of batches=... alone"
    return None


def make_trainer(workload: Workload, device: Device) -> Trainer:
    """Return the trainer of a workload: one with CUDA graphs, or with a loader, if it asks for them."""
    if workload.cuda_graph:
        return GraphedTrainer(workload, device)
    return Trainer(workload, device) if workload.loader is None else LoadingTrainer(workload, device)


def prepare_graphs(trainer: Trainer, clock: Clock) -> dict[str, float]:
    """Capture the graphs of a workload that asks for them, and return the seconds it took.

    ``capture_s`` includes the eager steps that a capture needs before it. If the model is compiled, the time
    that the first of these steps took beyond the others is ``compile_s`` and not part of ``capture_s``.
    """
    if not isinstance(trainer, GraphedTrainer):
        return {}
    steps = [time_once(trainer.eager_step, trainer.device, clock) for _ in range(EAGER_STEPS)]
    capture_s = sum(steps) + time_once(trainer.capture_graphs, trainer.device, clock)
    if not trainer.workload.compile:
        return {"capture_s": capture_s}
    compile_s = max(0.0, steps[0] - min(steps[1:]))
    return {"capture_s": capture_s - compile_s, "compile_s": compile_s}


class GraphedTrainer(Trainer):
    """A trainer that replays captured graphs in place of the forward pass, the backward pass and the step.

    Its rounds begin after one training step: an optimizer creates its state in its first step.
    """

    # A cast weight cached before the capture would be outdated at each replay.
    caches_casts = False

    needs_passes = "cuda_graph=True captures forward, backward and step apart"

    def __init__(self, workload: Workload, device: Device) -> None:
        super().__init__(workload, device)
        self._graph_batch: Any = None
        self._graph_loss: Any = None
        self._replays: list[Callable[[], None]] = []
        self._inference: Callable[[], None] | None = None
        self._recorder = device.graph_recorder()
        if self._recorder is None:
            raise MeasurementError(f"{device.name} cannot capture CUDA graphs")

    def start(self) -> None:
        """Begin a case, and drop the captured graphs."""
        self._replays, self._graph_loss, self._inference = [], None, None
        self._recorder = self.device.graph_recorder()
        super().start()
        for group in getattr(self.optimizer, "param_groups", []):
            if "capturable" in group and self.device.torch_device.type != "cpu":
                group["capturable"] = True  # the optimizer then counts its steps on the device
        if self._graph_batch is None:
            inputs, targets = self.host_batches[0]
            moved = map_inputs(self._input_in_own_memory, inputs, self.workload.host_inputs)
            self._graph_batch = moved, map_tensors(self._in_own_memory, targets)

    def eager_step(self) -> None:
        """Do one training step without graphs, on the capture stream; keep the state after the first."""
        assert self._recorder is not None
        self.transfer()
        with warnings.catch_warnings():
            # torch warns that a capturable optimizer is slow outside of a capture, where these steps run.
            warnings.filterwarnings("ignore", "This instance was constructed with capturable=True")
            try:
                self._recorder.run_eagerly(self._whole_step)
            except RuntimeError as error:
                if WAITS not in str(error):
                    raise
                raise MeasurementError(
                    f"the step cannot be captured as a graph: {error_line(error)}; remove operations that "
                    "wait for the device, such as .item()"
                ) from error
        self._after_step()

    def capture_graphs(self) -> None:
        """Capture the three graphs, then restore the state after the first step."""
        assert self._recorder is not None
        parts = (self._eager_forward, self._eager_backward, super().step)
        self._replays = [self._recorder.capture(part) for part in parts]
        self._return_to_first_step()

    def prepare(self, phase: Phase, steps: int = 1) -> None:
        """Prepare a phase; before the first round of inference, capture its forward pass."""
        super().prepare(phase, steps)
        if phase is Phase.INFER and self._inference is None:
            assert self._recorder is not None
            with torch.inference_mode():
                for _ in range(EAGER_STEPS):
                    self._recorder.run_eagerly(self._eager_inference)
                self._inference = self._recorder.capture(self._eager_inference)

    def infer(self) -> None:
        """Copy the inputs of the next host batch to the memory that the graph reads, and replay it."""
        inputs, _ = self.next_host_batch()
        self._copy(inputs, self._graph_batch[0])
        assert self._inference is not None
        self._inference()

    def transfer(self) -> None:
        """Copy the next host batch to the memory that the graphs read."""
        self._copy(self.next_host_batch(), self._graph_batch)
        self.batch = self._graph_batch

    def zero_grad(self) -> None:
        """Do nothing: the captured backward pass overwrites the gradients."""

    def forward(self) -> None:
        """Replay the forward pass with its loss."""
        self._replays[0]()
        self.loss = self._graph_loss

    def backward(self) -> None:
        """Replay the backward pass."""
        self._replays[1]()

    def step(self) -> None:
        """Replay clipping and the step of the optimizer."""
        self._replays[2]()

    def _copy(self, host: Any, device: Any) -> None:
        for there, here in zip(tensors_in(device), tensors_in(host), strict=True):
            there.detach().copy_(here.detach(), non_blocking=self.workload.pin_memory)

    def _eager_inference(self) -> None:
        with self._autocast():
            self.outputs = outputs_of(self.model, self._graph_batch[0])

    def _whole_step(self) -> None:
        self._eager_forward()
        self._eager_backward()
        super().step()
        # Autograd's graph must not outlive the step: its nodes refer to its stream.
        self._graph_loss = None

    def _eager_forward(self) -> None:
        self._graph_loss = self._loss_of(self._graph_batch)

    def _eager_backward(self) -> None:
        # Missing gradients are allocated in the graph's memory.
        for tensor in (*self.trained(), *tensors_in(self._graph_batch)):
            tensor.grad = None
        self._graph_loss.backward()

    def _drop_gradients(self) -> None:
        """Do nothing: the graphs write to the gradients that exist."""

    def _input_in_own_memory(self, movable: Any) -> Any:
        own = self._in_own_memory(movable)
        return to_channels_last(own) if self.workload.channels_last else own

    def _in_own_memory(self, movable: Any) -> Any:
        return duplicate(movable.to(self.device.torch_device))
