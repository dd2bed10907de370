"""Two asynchronous devices whose work is known: the simulated one, exactly, and a real GPU, within a factor.

Work is counted in units. On the simulated device a unit is a second of its clock; on a GPU it is a
few products of matrices, which device events time when the device is created.
"""

import dataclasses
import time
from statistics import median

import pytest
import torch

from breakeven.doctor.selftests.simulated_device import LAUNCH_S
from breakeven.hardware.devices import Accelerator, accelerator_kind
from breakeven.measure.simulated import Costs, SimulatedClock, SimulatedDevice, simulated_workload
from breakeven.measure.trainer import Trainer
from breakeven.phases import Phase

COSTS = Costs()
PHASE_COSTS = {
    phase: sum(getattr(COSTS, part) for part in phase.parts)
    for phase in Phase
    if all(hasattr(COSTS, part) for part in phase.parts)
}

NEEDS_CUDA = (
    pytest.mark.cuda,
    pytest.mark.skipif(accelerator_kind() != "cuda", reason="needs a CUDA device; torch sees none"),
)
DEVICES = ["simulated", pytest.param("cuda", marks=NEEDS_CUDA)]
"""Parameters of a test that holds on both."""


class Simulated:
    """The simulated device."""

    def __init__(self):
        self.clock = SimulatedClock()
        self.device = SimulatedDevice(self.clock, LAUNCH_S)
        self.unit_s = 1.0

    def workload(self, **changes):
        """The workload whose parts are known."""
        return dataclasses.replace(simulated_workload(self.device, COSTS), **changes)

    def reads(self, seconds, units):
        """Whether a reading is exactly that work, with the one launch that is not hidden."""
        return seconds == LAUNCH_S + units

    def shares(self, seconds, units):
        """Whether the time between two marks is that work: the queue hides all launches but the first."""
        return seconds in (units, LAUNCH_S + units)

    def is_idle(self):
        """Whether the queue is empty."""
        return self.clock.now >= self.device.busy_until


class KnownGpu(Accelerator):
    """CUDA as it is measured, which can also queue known work."""

    SIDE, PRODUCTS = 2048, 4

    def __init__(self):
        super().__init__("cuda")
        self.matrix = torch.randn(self.SIDE, self.SIDE, device=self.torch_device)
        self.product = torch.empty_like(self.matrix)

    def __deepcopy__(self, memo):
        return self  # a copied model still queues on this device

    def enqueue(self, units):
        """Queue a few products, `units` times."""
        for _ in range(int(units * self.PRODUCTS)):
            torch.mm(self.matrix, self.matrix, out=self.product)


class Gpu:
    """The real device: readings vary with its clocks, but much less than by a missing synchronization."""

    def __init__(self):
        self.clock = time.perf_counter
        self.device = KnownGpu()
        self.device.initialize()
        self._unit_s()  # clocks ramp up
        self.unit_s = self._unit_s()

    def _unit_s(self, units=8):
        seconds = []
        for _ in range(15):
            marks = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
            marks[0].record()
            self.device.enqueue(units)
            marks[1].record()
            torch.cuda.synchronize()
            seconds.append(marks[0].elapsed_time(marks[1]) / 1e3 / units)
        return median(seconds)

    def workload(self, **changes):
        """The same workload. Pinned: a copy from pageable memory would make the host wait by itself."""
        changes = {"pin_memory": True, **changes}
        return dataclasses.replace(simulated_workload(self.device, COSTS), **changes)

    def reads(self, seconds, units):
        """Whether a reading is that work."""
        return 0.7 < seconds / (units * self.unit_s) < 1.5

    shares = reads

    def is_idle(self):
        """Whether all queued work is done."""
        return torch.cuda.current_stream().query()


def known(name):
    """Make the device of a name in `DEVICES`."""
    return Simulated() if name == "simulated" else Gpu()


def trainer_on(where, **changes):
    """The trainer of the known workload."""
    trainer = Trainer(where.workload(**changes), where.device)
    trainer.move_model()
    trainer.start()
    where.device.synchronize()
    return trainer
