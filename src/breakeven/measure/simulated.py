"""An asynchronous device that exists only on paper, with a clock of its own: timing made exact.

Work put into its queue costs the host a launch and the device the work; only `synchronize` makes the
host wait. Tensors live on the CPU, so losses are real. Never part of a measured run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import nn

from breakeven.hardware.cuda_capture import Recorder
from breakeven.hardware.devices import Device, EventApi
from breakeven.measure.workload import Workload


@dataclass
class SimulatedClock:
    """Seconds that pass only when somebody lets them."""

    now: float = 0.0

    def __call__(self) -> float:
        """Read the clock."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass on the host."""
        self.now += seconds


class SimulatedDevice(Device):
    """A device with one queue. `launch_s` is what the host pays to put a piece of work into it."""

    def __init__(self, clock: SimulatedClock, launch_s: float = 0.0, name: str = "simulated") -> None:
        super().__init__(name, torch.device("cpu"))
        self.clock = clock
        self.launch_s = launch_s
        self.busy_until = 0.0
        self.synchronizations = 0
        self._aside: list[float] | None = None

    @classmethod
    def parse(cls, name: str) -> Self | None:  # noqa: ARG003 - no name is its own
        """Answer to no name: it is not part of any run."""
        return None

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # a copied model still runs on this very device

    def enqueue(self, seconds: float) -> None:
        """Put work into the queue: the host pays the launch, the device works when it is free."""
        if self._aside is not None:
            self._aside.append(seconds)
            return
        self.clock.advance(self.launch_s)
        self.busy_until = max(self.clock.now, self.busy_until) + seconds

    def aside(self, work: Callable[[], None]) -> float:
        """Do work without queueing any, and return the seconds that it would have queued."""
        self._aside = []
        try:
            work()
            return sum(self._aside)
        finally:
            self._aside = None

    def synchronize(self) -> None:
        """Let the host wait until the queue is empty."""
        self.synchronizations += 1
        self.clock.now = max(self.clock.now, self.busy_until)

    def initialize(self) -> None:
        """Create a context: one second of device work."""
        self.enqueue(1.0)
        self.synchronize()

    def recorder(self) -> Recorder:
        """Return what records work, to queue it again as one piece with one launch."""
        return _Recorder(self)

    def event_api(self) -> EventApi:
        """Return marks that are passed when the queue gets to them."""
        return EventApi(lambda: max(self.clock.now, self.busy_until), lambda start, end: end - start)


class _Recorder:
    """Adds up what is queued while it records; done again, that is one piece of work.

    Tensors are on the CPU, so their part is really computed each time, also when it is recorded.
    """

    def __init__(self, device: SimulatedDevice) -> None:
        self._device = device

    def aside(self, work: Callable[[], None]) -> None:
        work()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        seconds = self._device.aside(work)

        def again() -> None:
            self._device.aside(work)
            self._device.enqueue(seconds)

        return again


@dataclass(frozen=True)
class Costs:
    """Device seconds of each part of a training step; powers of two add up exactly."""

    transfer: float = 1.0
    zero_grad: float = 2.0
    forward: float = 4.0
    backward: float = 8.0
    step: float = 16.0
    model_transfer: float = 32.0

    @property
    def train(self) -> float:
        """The parts of one training step together."""
        return self.transfer + self.zero_grad + self.forward + self.backward + self.step


def simulated_workload(device: SimulatedDevice, costs: Costs | None = None) -> Workload:
    """Return a workload whose parts put `costs` into the queue of `device`, and which really trains."""
    costs = costs or Costs()
    model = _Model(device, costs)

    def optimizer(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return _Optimizer(parameters, device, costs)

    inputs = torch.ones(1, 2).as_subclass(_HostTensor)
    inputs.on_move = lambda: device.enqueue(costs.transfer)
    return Workload(model, nn.MSELoss(), optimizer, inputs, torch.zeros(1, 1))


class _HostTensor(torch.Tensor):
    """A batch that tells when it is copied to a device."""

    on_move: Any = None

    def to(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        if self.is_meta:
            return super().to(*args, **kwargs)
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
            device.enqueue(costs.forward)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        if not grads[0].is_meta:
            ctx.device.enqueue(ctx.costs.backward)
        return grads[0], None, None


class _Model(nn.Module):
    def __init__(self, device: SimulatedDevice, costs: Costs) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1)
        self.device, self.costs = device, costs

    def to(self, *args: Any, **kwargs: Any) -> Self:
        if args[0].type != "meta":  # where its operations are counted: nothing is computed there
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

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.device.enqueue(self.costs.zero_grad)
        super().zero_grad(set_to_none)

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        self.device.enqueue(self.costs.step)
        super().step(closure)
