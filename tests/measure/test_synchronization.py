"""Synchronizations are in the right places: times are exact on the simulated device."""

import json
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from breakeven.case import Budget, CaseKey
from breakeven.doctor.selftests.simulated_device import COSTS, LAUNCH_S, exact_latency
from breakeven.hardware.device import Device
from breakeven.hardware.devices import Cpu
from breakeven.measure.parts import enqueue_seconds, part_seconds
from breakeven.measure.runner import Runner
from breakeven.measure.simulated import SimulatedClock, SimulatedDevice, simulated_workload
from breakeven.measure.timing import Round, time_round
from breakeven.measure.trainer import Trainer
from breakeven.measure.workload import mlp
from breakeven.phases import Phase
from support.small_workloads import PHASES, tiny


@pytest.fixture
def clock():
    return SimulatedClock()


@pytest.fixture
def device(clock):
    return SimulatedDevice(clock, LAUNCH_S)


@pytest.fixture
def trainer(device):
    trainer = Trainer(simulated_workload(device), device)
    trainer.move_model()
    trainer.start()
    return trainer


@pytest.mark.parametrize("phase", [phase for phase in PHASES if phase.takes_steps])
def test_rounds_are_whole_steps(phase, trainer, device, monkeypatch):
    """A phase that ran alone in a loop would find its weights and its code in the cache."""
    queued = []
    monkeypatch.setattr(device, "enqueue", queued.append)
    round_ = Round(phase, trainer)
    for _ in range(3):
        round_.setup()
        round_.run()
    step = [COSTS.transfer, COSTS.zero_grad, COSTS.forward, COSTS.backward, COSTS.step]
    assert queued == (3 * step)[: len(queued)]
    assert len(queued) > 2 * len(step)


def test_enqueue_seconds(trainer, device, clock):
    """All launches and no work."""
    device.enqueue(1000.0)
    idle = []

    def reading():
        idle.append(clock.now >= device.busy_until)
        return clock.now

    queued = enqueue_seconds(Phase.TRAIN, trainer, 3, reading)
    assert idle == 3 * [True, *len(Phase.TRAIN.parts) * [False]]  # at the start, and after each part
    assert (queued["enqueue_s"], queued["enqueue_transfer_s"]) == (
        len(Phase.TRAIN.parts) * LAUNCH_S,
        LAUNCH_S,
    )
    assert clock.now == device.busy_until
    trainer.release()
    forward = enqueue_seconds(Phase.FORWARD, trainer, 1, clock)
    assert (forward["enqueue_s"], forward["enqueue_transfer_s"]) == (LAUNCH_S, 0.0)


def test_events_are_read_when_idle(trainer, device, clock):
    asked_while_busy = []
    events = device.event_api()

    def seconds(start, end):
        asked_while_busy.append(clock.now < device.busy_until)
        return events.seconds(start, end)

    part_seconds(Phase.TRAIN, trainer, replace(events, seconds=seconds), rounds=1)
    assert asked_while_busy == [False] * len(Phase.TRAIN.parts)


def test_making_events_takes_no_time_of_the_step(trainer, device, clock):
    """A mark takes the host longer to make than any part takes the device."""
    events = device.event_api()

    def make():
        clock.advance(1000.0)
        return events.make()

    assert part_seconds(Phase.TRAIN, trainer, replace(events, make=make), rounds=2) == part_seconds(
        Phase.TRAIN, trainer, events, rounds=2
    )


def test_device_init_is_timed_first(clock):
    """Making the device current and synchronizing also create a context, whose time would be missing."""

    class Asleep(SimulatedDevice):
        awake = False

        def wake(self):
            if not self.awake:
                self.awake = True
                self.clock.advance(3.0)

        def synchronize(self):
            self.wake()
            super().synchronize()

        @contextmanager
        def active(self):
            self.wake()
            yield

    device = Asleep(clock, LAUNCH_S)
    runner = Runner(Budget(max_time_s=1e6), clock)
    runner.run_once(
        CaseKey.of("simulated", 1, "forward", device.name),
        device,
        lambda: simulated_workload(device),
        lambda round_, _plan: time_round(round_, clock),
    )
    assert runner.device_init_s == {device.name: LAUNCH_S + 3.0}  # the device's own second passes meanwhile


def test_cpu_never_synchronizes_an_accelerator(monkeypatch):
    """It would cost 10 to 40 microseconds a call, and raises on a CPU-only build."""
    monkeypatch.setattr(
        torch.accelerator, "synchronize", lambda *_: pytest.fail("synchronized an accelerator")
    )
    trainer = Trainer(mlp(2, width=4), Cpu())
    trainer.start()
    for phase in PHASES:
        time_round(Round(phase, trainer))


class Meta(Device):
    """Torch's device without data, which differs from the host."""

    def __init__(self):
        super().__init__("meta", torch.device("meta"))

    @classmethod
    def parse(cls, name):
        return None

    def synchronize(self):
        pass


class DevicesSeen(TorchDispatchMode):
    """Collects the type of device on which each operation leaves its result."""

    def __init__(self):
        super().__init__()
        self.types = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.types |= {leaf.device.type for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor)}
        return out


@pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter:UserWarning")
@pytest.mark.parametrize("phase", PHASES)
def test_phases_run_on_their_device(phase):
    trainer = Trainer(tiny(4, "momentum"), Meta())
    trainer.move_model()
    trainer.start()
    round_ = Round(phase, trainer)
    round_.setup()
    with DevicesSeen() as seen:
        round_.run()
    assert seen.types == {"meta"}


BENCH_SIMULATED = """
import pytest
import simulation

@pytest.mark.sweep(batch_size=[1])
def bench_simulated(train_benchmark, batch_size):
    train_benchmark(lambda: simulation.workload())
"""

SIMULATION = f"""
from breakeven.hardware import devices
from breakeven.measure.simulated import SimulatedClock, SimulatedDevice, simulated_workload

clock = SimulatedClock()
device = SimulatedDevice(clock, {LAUNCH_S})

def now():
    return clock()

def workload():
    return simulated_workload(device)

class Family(SimulatedDevice):
    @classmethod
    def parse(cls, name):
        return device if name == device.name else None

devices.FAMILIES.insert(0, Family)
"""


@pytest.mark.slow
def test_pytest_benchmark_reads_the_device_time(pytester, monkeypatch):
    """The whole path: pytest-benchmark's own loop, on the simulated device's clock."""
    pytester.makepyfile(bench_simulated=BENCH_SIMULATED, simulation=SIMULATION)
    monkeypatch.syspath_prepend(pytester.path)
    from breakeven.hardware import devices

    monkeypatch.setattr(devices, "FAMILIES", list(devices.FAMILIES))
    phases = [phase for phase in PHASES if not phase.needs_processes]
    result = pytester.runpytest_inprocess(
        "bench_simulated.py",
        "--breakeven-devices=simulated",
        f"--breakeven-phases={','.join(phases)}",
        "--benchmark-timer=simulation.now",
        "--benchmark-json=run.json",
    )
    result.assert_outcomes(passed=len(phases))
    steps = {}
    for item in json.loads((pytester.path / "run.json").read_text())["benchmarks"]:
        phase, read = Phase(item["extra_info"]["phase"]), item["stats"]["data"]
        steps[phase] = item["extra_info"].get("steps")
        assert read == pytest.approx([exact_latency(phase, steps[phase] or 1)] * len(read), rel=1e-9)
    assert [phase for phase, number in steps.items() if number] == ["train", "infer"]
    assert steps["train"] > 1
