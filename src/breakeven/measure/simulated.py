"""A simulated asynchronous device with a virtual clock and exact timings.

Queueing work costs the host a launch and the device the work; only `synchronize` makes the host wait. Tensors
are on the CPU, so losses are real. Tests and `breakeven doctor --selftest` use it; no run measures on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import nn

from breakeven.hardware.cuda_capture import GraphRecorder
from breakeven.hardware.device import Device, EventApi
from breakeven.measure.workload import Workload


@dataclass
class SimulatedClock:
    """A clock that moves only when it is advanced."""

    now: float = 0.0

    def __call__(self) -> float:
        """Read the clock."""
        return self.now

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # a copied model runs on the same clock

    def advance(self, seconds: float) -> None:
        """Let time pass on the host."""
        self.now += seconds


class SimulatedDevice(Device):
    """A device with one queue. `launch_s` is what queueing a piece of work costs the host."""

    def __init__(self, clock: SimulatedClock, launch_s: float = 0.0, name: str = "simulated") -> None:
        super().__init__(name, torch.device("cpu"))
        self.clock = clock
        self.launch_s = launch_s
        self.busy_until = 0.0
        self.synchronizations = 0
        self._dry_run: list[float] | None = None

    @classmethod
    def parse(cls, name: str) -> Self | None:  # noqa: ARG003 - users cannot select it
        """Return None: no name that a user writes means this device."""
        return None

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # a copied model runs on the same device

    def enqueue(self, seconds: float) -> None:
        """Queue work: the launch costs host time, and the device starts the work when it is free."""
        if self._dry_run is not None:
            self._dry_run.append(seconds)
            return
        self.clock.advance(self.launch_s)
        self.busy_until = max(self.clock.now, self.busy_until) + seconds

    def dry_run(self, work: Callable[[], object]) -> float:
        """Run work on the host only, and return the seconds that it would have queued."""
        self._dry_run = []
        try:
            work()
            return sum(self._dry_run)
        finally:
            self._dry_run = None

    def synchronize(self) -> None:
        """Make the host wait until the queue is empty."""
        self.synchronizations += 1
        self.clock.now = max(self.clock.now, self.busy_until)

    def initialize(self) -> None:
        """Create a context: one second of device work."""
        self.enqueue(1.0)
        self.synchronize()

    def graph_recorder(self) -> GraphRecorder:
        """Return what captures work, to queue it as one piece with one launch."""
        return SimulatedGraphs(self)

    def event_api(self) -> EventApi:
        """Return marks that read the time at which the queue reaches them."""
        return EventApi.of_clock(lambda: max(self.clock.now, self.busy_until))


class SimulatedGraphs:
    """Adds up what is queued during a capture; a replay queues it as one piece of work.

    Tensors are on the CPU, so they are computed at the capture and at each replay.
    """

    def __init__(self, device: SimulatedDevice) -> None:
        self._device = device

    def run_eagerly(self, work: Callable[[], object]) -> None:
        """Do the work as usual."""
        work()

    def capture(self, work: Callable[[], object]) -> Callable[[], None]:
        """Return a replay of the work."""
        seconds = self._device.dry_run(work)

        def replay() -> None:
            self._device.dry_run(work)
            self._device.enqueue(seconds)

        return replay


@dataclass(frozen=True)
class Costs:
    """Device seconds of each part of a training step; powers of two, which add up exactly.

    Those of `transfer`, `forward` and `backward` are for each sample of a batch.
    """

    transfer: float = 1.0
    zero_grad: float = 2.0
    forward: float = 4.0
    backward: float = 8.0
    step: float = 16.0
    model_transfer: float = 32.0

    @property
    def train(self) -> float:
        """The sum of the parts of one training step."""
        return self.transfer + self.zero_grad + self.forward + self.backward + self.step

    @property
    def infer(self) -> float:
        """The copy of the inputs, and the forward pass."""
        return self.transfer + self.forward


def simulated_workload(
    device: SimulatedDevice, costs: Costs | None = None, samples: Sequence[int] = (1,), **fields: Any
) -> Workload:
    """Return a workload whose parts queue `costs` on `device`, and which really trains.

    Args:
        device: where it queues its work.
        costs: of each part.
        samples: those of each batch.
        fields: further fields of the workload.
    """
    costs = costs or Costs()
    model = _Model(device, costs)

    def optimizer(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return _Optimizer(parameters, device, costs)

    def batch(size: int) -> tuple[torch.Tensor, torch.Tensor]:
        inputs = torch.ones(size, 2).as_subclass(_HostTensor)
        inputs.on_move = lambda: device.enqueue(size * costs.transfer)
        return inputs, torch.zeros(size, 1)

    if len(samples) > 1:
        return Workload(model, nn.MSELoss(), optimizer, batches=list(map(batch, samples)), **fields)
    return Workload(model, nn.MSELoss(), optimizer, *batch(samples[0]), **fields)


class _HostTensor(torch.Tensor):
    """A batch that calls `on_move` when it is copied to a device."""

    on_move: Any = None

    def to(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        if self.is_meta:
            return super().to(*args, **kwargs)
        if torch.device(args[0]).type != "meta":
            self.on_move()
        return self.as_subclass(torch.Tensor).to(*args, **kwargs)

    def pin_memory(self, *args: Any) -> torch.Tensor:
        pinned = self.as_subclass(torch.Tensor).pin_memory(*args).as_subclass(_HostTensor)
        pinned.on_move = self.on_move
        return pinned


class _Queued(torch.autograd.Function):
    """The identity, with a cost in both directions."""

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor, device: SimulatedDevice, costs: Costs) -> torch.Tensor:
        ctx.device, ctx.costs = device, costs
        if not value.is_meta:
            device.enqueue(len(value) * costs.forward)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        if not grads[0].is_meta:
            ctx.device.enqueue(len(grads[0]) * ctx.costs.backward)
        return grads[0], None, None


class _Model(nn.Module):
    def __init__(self, device: SimulatedDevice, costs: Costs) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1)
        self.device, self.costs = device, costs

    def to(self, *args: Any, **kwargs: Any) -> Self:
        if args[0].type != "meta":  # where operations are counted, not computed
            self.device.enqueue(self.costs.model_transfer)
        return super().to(*args, **kwargs)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        queued: Any = _Queued
        out: torch.Tensor = queued.apply(self.linear(inputs), self.device, self.costs)
        return out


class _Optimizer(torch.optim.SGD):
    def __init__(self, parameters: Iterable[nn.Parameter], device: SimulatedDevice, costs: Costs) -> None:
        super().__init__(parameters, lr=0.01)
        self.device, self.costs = device, costs

    def _enqueue(self, seconds: float) -> None:
        if not self.param_groups[0]["params"][0].is_meta:
            self.device.enqueue(seconds)

    def zero_grad(self, set_to_none: bool = True) -> None:
        self._enqueue(self.costs.zero_grad)
        super().zero_grad(set_to_none)

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        self._enqueue(self.costs.step)
        super().step(closure)
