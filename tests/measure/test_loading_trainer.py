"""Rounds of `load` and `epoch`: exact on a virtual clock, with loaders whose batches take a known time."""

import dataclasses
from statistics import median

import pytest
import torch
from torch import nn

from breakeven.case import Budget, CaseKey
from breakeven.hardware.devices import Cpu
from breakeven.measure.loading_trainer import LoadingTrainer
from breakeven.measure.outcomes import UnsupportedError
from breakeven.measure.runner import Runner
from breakeven.measure.simulated import Costs, SimulatedClock, SimulatedDevice
from breakeven.measure.timing import Round, time_round
from breakeven.measure.workload import Workload
from breakeven.phases import Phase
from support.prompt_devices import Host
from support.simulated_loaders import SimulatedLoader, loaded_workload

STEP_S = 5.0
"""A training step, a fifth of it for each part."""


class Measured:
    """The runner on a simulated device without launches, and a loader."""

    def __init__(
        self, load_s, workers=0, batches=1000, start_s=0.0, step_s=STEP_S, device=SimulatedDevice, **changes
    ):
        self.clock = SimulatedClock()
        self.device = device(self.clock)
        self.loader = SimulatedLoader(self.clock, load_s, workers, batches, start_s)
        self.costs = Costs(*[step_s / 5] * 5, 0.0)
        self.changes = changes
        self.runner = Runner(Budget(max_time_s=200.0, timeout_s=1e9), self.clock)
        self.rounds = []

    def workload(self):
        return dataclasses.replace(loaded_workload(self.device, self.costs, self.loader), **self.changes)

    def facts(self, phase):
        self.rounds = []
        case = CaseKey.of("w", 1, phase, self.device.name)
        return self.runner.measure(case, self.device, self.workload, self.time_rounds)

    def batch_s(self, phase):
        self.facts(phase)
        return median(self.rounds)

    def time_rounds(self, round_, plan):
        for _ in range(plan.rounds):
            round_.setup()
            start = self.clock.now
            round_.run()
            self.rounds.append((self.clock.now - start) / round_.steps)


@pytest.mark.parametrize(("load_s", "workers", "batch_s"), [(3.0, 0, 3.0), (3.0, 1, 3.0), (4.0, 2, 2.0)])
def test_load(load_s, workers, batch_s):
    """The time to the next batch is that of a worker divided by their number, whatever was prefetched."""
    measured = Measured(load_s, workers)
    assert measured.batch_s("load") == batch_s
    assert set(measured.rounds) == {batch_s}


@pytest.mark.parametrize(
    ("load_s", "workers", "batch_s"),
    [
        (3.0, 0, 3.0 + STEP_S),  # one after the other
        (20.0, 0, 20.0 + STEP_S),
        (3.0, 1, STEP_S),  # at the same time
        (20.0, 1, 20.0),
        (20.0, 2, 10.0),
        (20.0, 4, STEP_S),
    ],
)
def test_epoch(load_s, workers, batch_s):
    """With workers the slower one of loading and training, without them their sum."""
    measured = Measured(load_s, workers, device=Host)
    assert measured.batch_s("epoch") == pytest.approx(batch_s)
    assert max(measured.rounds) == pytest.approx(min(measured.rounds))


def test_a_queue_hides_the_loading():
    """An accelerator trains while the host loads, without a worker, all but the first batch of a round."""
    measured = Measured(0.003, step_s=0.005)
    steps = measured.facts("epoch")["steps"]
    assert median(measured.rounds) == pytest.approx(0.005 + 0.003 / steps)


@pytest.mark.parametrize(("workers", "accumulate", "multiple"), [(0, 1, 1), (3, 1, 6), (2, 3, 12), (0, 4, 4)])
def test_steps(workers, accumulate, multiple):
    """At least two batches of each worker, a multiple of them, and whole steps of the optimizer."""
    facts = Measured(1e-5, workers, accumulate=accumulate).facts("epoch")
    assert facts["steps"] % multiple == 0
    slow = Measured(1e3, workers, accumulate=accumulate).facts("epoch")
    assert slow["steps"] == multiple


def test_slow_loader():
    """It is timed however long it takes: its time shows what an epoch waits for."""
    assert Measured(1e3, workers=2).batch_s("load") == 500.0


def test_rounds_of_load_need_no_whole_steps():
    assert Measured(1e3, accumulate=4).facts("load")["steps"] == 1


class Ready:
    """A loader whose worker holds two batches ready."""

    num_workers = 1

    def __iter__(self):
        return iter([(torch.ones(1, 2), torch.zeros(1, 1))] * 1000)


def on_ready_batches(**changes):
    workload = Workload(nn.Linear(2, 1), nn.MSELoss(), torch.optim.SGD, loader=Ready, **changes)
    trainer = LoadingTrainer(workload, Cpu())
    trainer.start()
    return trainer


def test_steps_before_a_round(monkeypatch):
    """They leave nothing behind, and count: after so many steps in all, training returns to its first one."""
    monkeypatch.setattr("breakeven.measure.trainer.MAX_STEPS", 10)
    trainer = on_ready_batches()
    returns = []
    monkeypatch.setattr(trainer, "restore", lambda: returns.append(index))
    for index in range(3):
        trainer.prepare(Phase.EPOCH, 2)
        assert trainer.loss is None, index
        trainer.run(Phase.EPOCH, 2)
    assert returns == [2]  # a round does two steps before and two more: eight in two rounds


def test_whole_steps_before_a_round():
    """Two batches are ready, and a step takes three, so one step uses them."""
    taken = []
    trainer = on_ready_batches(accumulate=3, unpack=lambda batch: taken.append(batch) or batch)
    for _ in range(2):
        taken.clear()
        trainer.prepare(Phase.EPOCH, 3)
        assert len(taken) == 3
        trainer.run(Phase.EPOCH, 3)
        assert len(taken) == 6


def test_accumulated_steps():
    """The time is per batch: three passes of 3 s, and the rest of the step once."""
    assert Measured(1.0, device=Host, accumulate=3).batch_s("epoch") == 1.0 + 3.0 + 2.0 / 3


def test_facts():
    measured = Measured(4.0, workers=2, batches=100, start_s=7.0)
    facts = measured.facts("epoch")
    loader = {key: value for key, value in facts.items() if key.startswith("loader_")}
    assert loader == {"loader_workers": 2, "loader_batches": 100, "loader_start_s": 7.0 + 4.0}
    assert "loss_compared" not in facts  # with the CPU's, which has other batches
    assert facts["flops"] == 2 * (2 * 2)
    assert measured.facts("load")["moved_bytes"] == (2 + 1) * 4
    assert not [key for key in measured.facts("train") if key.startswith("loader_")]


def test_rounds_within_a_pass():
    """No round has the start of a pass in it where a pass is long enough."""
    measured = Measured(1.0, workers=2, batches=10, start_s=100.0)
    assert set(measured.rounds or [measured.batch_s("load")]) == {0.5}
    assert measured.loader.passes > 3


def test_rounds_longer_than_a_pass():
    """They have it as often as the loop of a training script."""
    measured = Measured(1.0, workers=0, batches=1, start_s=2.0)
    assert measured.batch_s("load") == 3.0


def test_first_call_has_no_start_of_a_pass():
    measured = Measured(1.0, workers=2, start_s=100.0)
    assert measured.facts("epoch")["first_call_s"] == STEP_S + 1.0  # its batch is waited for


def test_loaded_batches_reach_the_model():
    """An epoch trains on them, pass after pass, and later cases on the workload's own batch."""
    batches = [(torch.full((1, 2), float(index)), torch.zeros(1, 1)) for index in range(4)]
    trainer = LoadingTrainer(
        Workload(
            nn.Linear(2, 1),
            nn.MSELoss(),
            torch.optim.SGD,
            inputs=torch.full((1, 2), 9.0),
            targets=torch.zeros(1, 1),
            loader=lambda: batches,
        ),
        Cpu(),
    )
    trainer.start()
    seen = []

    def watch():
        trainer.model.register_forward_pre_hook(lambda _, inputs: seen.append(float(inputs[0][0, 0])))

    watch()
    round_ = Round(Phase.EPOCH, trainer, steps=2)
    for _ in range(3):
        time_round(round_)
    assert seen == [1.0, 2.0, 1.0, 2.0, 1.0, 2.0]  # the first one was loaded before the round
    seen.clear()
    time_round(Round(Phase.EPOCH, trainer, steps=5))
    assert seen == [3.0, 0.0, 1.0, 2.0, 3.0]  # longer than a pass
    trainer.start()
    watch()
    time_round(Round(Phase.TRAIN, trainer))
    assert seen[5:] == [9.0]


@pytest.mark.parametrize("phase", ["load", "epoch"])
def test_skipped(phase):
    """No loader, or batches that cannot be copied into one place."""
    with pytest.raises(UnsupportedError, match="has no loader"):
        Measured(1.0, loader=None).facts(phase)
    with pytest.raises(UnsupportedError, match=r"cuda_graph=True captures one batch"):
        Measured(1.0, cuda_graph=True).facts(phase)
    measured = Measured(1.0)
    type(measured.device).processes = property(lambda _: 2)
    try:
        with pytest.raises(UnsupportedError, match="each of its processes would load every batch"):
            measured.facts(phase)
    finally:
        del type(measured.device).processes
