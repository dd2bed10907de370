"""A card, and a simulated machine that is exactly as a card predicts, or slower in one number."""

from contextlib import contextmanager
from dataclasses import replace

from breakeven.doctor import probes
from breakeven.doctor.probes import PROBES
from breakeven.measure.operators import OperatorCounter
from breakeven.measure.simulated import SimulatedClock, SimulatedDevice
from breakeven.predict.cards import Card
from breakeven.predict.formula import predict_step
from breakeven.predict.work import Work

CARD = Card(
    name="h100-16core",
    hardware="Xeon, 16 cores, H100",
    class_id="c1",
    device="cuda",
    machine={"cpu": "Xeon", "cores": 16, "gpu": "H100", "gpu_count": 1, "torch": "2.11.0"},
    launch_s=4e-5,
    flops_per_s={"float32": 4e13, "bfloat16": 4e14},
    bytes_per_s=2e12,
    copied_bytes_per_s=1e10,
    process_log_sd=0.25,
    low_log=-0.4,
    high_log=0.4,
    log_sds={"launches": 0.05, "memory": 0.2, "copy": 0.2, "float32": 0.1, "bfloat16": 0.1},
    cells=50,
    models=12,
    runs=2,
    processes=6,
    batch_sizes=(1, 65536),
)


KINDS = {
    "launches": Work(100, 100, {}, 0.0, 0.0),
    "arithmetic float32": Work(1, 1, {"float32": 4e12}, 0.0, 0.0),
    "arithmetic bfloat16": Work(1, 1, {"bfloat16": 4e13}, 0.0, 0.0),
    "memory": Work(1, 1, {}, 2e11, 0.0),
    "copy": Work(1, 1, {}, 0.0, 1e9),
}
"""Work that depends on one number."""


def name_recipes(monkeypatch):
    """Let each probe's recipe be its name, whose work `KINDS` has, so that no model is built."""
    named = [replace(one, recipe=lambda _, name=one.name: name) for one in PROBES]
    monkeypatch.setattr(probes, "PROBES", tuple(named))


def machine(card):
    """What a process measures on a machine that is exactly as a card predicts."""
    return lambda sizes: {name: predict_step(card, KINDS[name], 1).seconds for name in sizes}


class SimulatedMachine(SimulatedDevice):
    """Computes on the CPU; on the virtual clock, each operator costs what a card's numbers say."""

    def __init__(self, card):
        super().__init__(SimulatedClock(), card.launch_s)
        self.card = card

    @contextmanager
    def active(self):
        """Charge each operator of the block when the next one begins, or the device is waited for."""
        self.counter = OperatorCounter(self.torch_device, None, self.charge)
        with super().active(), self.counter:
            yield

    def charge(self):
        """Queue the work that was counted since the last call."""
        counts, self.counter.counts = self.counter.counts, type(self.counter.counts)()
        if counts.operators:
            flops_s = sum(n / self.card.flops_per_s[name] for name, n in counts.flops.items())
            self.clock.advance((counts.operators - 1) * self.launch_s)
            self.enqueue(flops_s + counts.moved_bytes / self.card.bytes_per_s)

    def synchronize(self):
        """Charge what is left, and wait."""
        if hasattr(self, "counter"):
            self.charge()
        super().synchronize()
