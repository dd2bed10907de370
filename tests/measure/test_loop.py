"""The training loop: whole steps back to back with one synchronization, per step."""

import math
from statistics import median

import numpy as np
import pytest

from breakeven.case import Budget, CaseKey
from breakeven.measure.outcomes import CaseTimeout
from breakeven.measure.round_plan import plan_rounds
from breakeven.measure.runner import Runner
from breakeven.measure.simulated import Costs, SimulatedClock, SimulatedDevice, simulated_workload
from breakeven.measure.timing import MAX_LOOP_STEPS, Round, Timed, time_round
from breakeven.measure.trainer import Trainer
from breakeven.measure.warmup import BLOCKS, MinWarmup, Warmup, loop_steps, warm_up_loop
from breakeven.phases import STEP_PARTS, Phase
from support.prompt_devices import Host, Prompt

LAUNCH_S = 1e-4
PART_S = {"launch-bound": 1e-5, "balanced": 1e-4, "device-bound": 1e-3}


class Measured:
    """The real runner on a simulated device with a launch of 0.1 ms."""

    def __init__(self, part_s, device_type=SimulatedDevice, budget=None):
        self.clock = SimulatedClock()
        self.device = device_type(self.clock, LAUNCH_S)
        self.costs = Costs(*[part_s] * 6)
        self.runner = Runner(budget or Budget(), self.clock)
        self.latencies = []
        self.facts = {}

    def workload(self):
        return simulated_workload(self.device, self.costs)

    def median_of(self, phase):
        self.latencies = []
        case = CaseKey.of("w", 1, phase, self.device.name)
        self.facts = self.runner.measure(case, self.device, self.workload, self.time_rounds)
        return median(self.latencies)

    def time_rounds(self, round_, plan):
        self.latencies += [time_round(round_, self.clock).latency_s for _ in range(plan.rounds)]

    def bare_loop_s(self, steps):
        """The time per step of a loop as a user writes it."""
        trainer = Trainer(self.workload(), self.device)
        trainer.start()
        self.device.synchronize()
        start = self.clock.now
        for _ in range(steps):
            for part in STEP_PARTS:
                getattr(trainer, part)()
        self.device.synchronize()
        return (self.clock.now - start) / steps


@pytest.mark.parametrize("part_s", PART_S.values(), ids=PART_S)
def test_train_is_a_bare_loop(part_s):
    """Within 1%, and below `train_sync`, whose last work no launch hides."""
    measured = Measured(part_s)
    loop_s, steps = measured.median_of("train"), measured.facts["steps"]
    bare_s = measured.bare_loop_s(steps)
    sync_s = measured.median_of("train_sync")
    print(f"train {loop_s:.3e}, bare loop {bare_s:.3e}, train_sync {sync_s:.3e}, {steps} steps")
    assert loop_s == pytest.approx(bare_s, rel=0.01)
    assert loop_s < sync_s
    assert 0.025 <= steps * loop_s <= 0.05 + 1e-9
    assert "steps" not in measured.facts


def test_wait_in_every_step():
    """A device whose every launch waits has no advantage from a loop."""

    measured = Measured(1e-4, Prompt)
    assert measured.median_of("train") == pytest.approx(measured.median_of("train_sync"), rel=1e-6)


@pytest.mark.parametrize("forgotten", [0, 1], ids=["before", "after"])
def test_forgotten_synchronization(forgotten):
    """Without the one before the loop, work before it is timed; without the one after it, none is."""
    measured = Measured(1e-3)
    trainer = Trainer(measured.workload(), measured.device)
    trainer.start()
    round_ = Round(Phase.TRAIN, trainer, steps=8)
    exact_s = time_round(round_, measured.clock).latency_s
    waits = [measured.device.synchronize, measured.device.synchronize]
    waits[forgotten] = lambda: None
    round_.synchronize = lambda: waits.pop(0)()
    measured.device.enqueue(1.0)
    seconds = time_round(round_, measured.clock).latency_s
    assert abs(seconds / exact_s - 1) > 0.5


def test_one_synchronization(monkeypatch):
    """A loop of any length has two: before and after."""
    measured = Measured(1e-4)
    trainer = Trainer(measured.workload(), measured.device)
    trainer.start()
    for steps in (1, 50):
        before = measured.device.synchronizations
        time_round(Round(Phase.TRAIN, trainer, steps), measured.clock)
        assert measured.device.synchronizations == before + 2


@pytest.mark.parametrize(
    ("step_s", "max_time_s", "steps"),
    [
        (1e-3, 1.0, 50),
        (1e-3, 0.3, 50),
        (1e-3, 0.06, 10),  # six rounds fit into the time
        (0.03, 1.0, 1),
        (9.0, 1.0, 1),
        (1e-6, 1.0, MAX_LOOP_STEPS),
        (0.0, 1.0, MAX_LOOP_STEPS),
    ],
)
def test_loop_steps(step_s, max_time_s, steps):
    assert loop_steps(step_s, Budget(max_time_s=max_time_s)) == pytest.approx(steps, abs=1)


class Script:
    """A round of given latencies; `latency_s` is a function of the number of steps done."""

    max_steps = MAX_LOOP_STEPS
    cycle = 1

    def __init__(self, clock, latency_s, steps=1):
        self.clock, self.latency_s, self.steps, self.done = clock, latency_s, steps, 0

    def of(self, steps):
        return Script(self.clock, self.latency_s, steps)

    def setup(self): ...

    def run(self):
        for _ in range(self.steps):
            self.clock.advance(self.latency_s(self.done))
            self.done += 1


def test_warmup_of_a_loop():
    """It has many short blocks, and the slowest early call decides nothing."""
    clock = SimulatedClock()
    early = [Timed(0.0, 3.0), Timed(0.0, 1e-3)]
    warmup, steps = warm_up_loop(Script(clock, lambda _: 1e-3), MinWarmup(), Budget(), early, clock)
    assert {timed.steps for timed in warmup.rounds} == {50 // BLOCKS}
    assert len(warmup.rounds) >= BLOCKS
    assert abs(steps - 50) <= 1


def test_warmup_of_slow_steps():
    """Steps that are rounds by themselves count the calls before."""
    clock = SimulatedClock()
    early = [Timed(0.0, 2.0)] * 2
    warmup, steps = warm_up_loop(Script(clock, lambda _: 2.0), MinWarmup(), Budget(), early, clock)
    assert (len(warmup.rounds), steps, clock.now) == (2, 1, 0.0)


def blocks_of(noise, steps, seed=0, n=100):
    rng = np.random.default_rng(seed)
    return Warmup(tuple(Timed(0.0, 1e-3 * math.exp(rng.normal(0, noise)), steps) for _ in range(n)), True)


def test_rounds_of_a_loop():
    """The noise of a block is averaged over a round, as if the round were that many blocks."""
    for seed in range(20):
        blocks = plan_rounds(blocks_of(0.08, 3, seed), Budget(max_time_s=10.0), steps=48)
        wholes = plan_rounds(blocks_of(0.02, 48, seed), Budget(max_time_s=10.0), steps=48)
        assert blocks.rounds == pytest.approx(wholes.rounds, abs=1)
        assert 8 <= blocks.rounds <= 60
    assert plan_rounds(blocks_of(0.0, 3), Budget(), steps=48).rounds == 8
    assert plan_rounds(blocks_of(0.0, 1), Budget(), steps=1).rounds == 40


@pytest.mark.parametrize(
    ("part_s", "rounds", "calls"),
    [
        (0.08, 6, 4 + 6 + 2 + 2),  # 0.4 s: the loss check's reference, and two rounds for the parts
        (0.19, 5, 3 + 5 + 2 + 1),
        (0.49, 2, 3 + 2 + 2 + 0),
        (2.0, 2, 3 + 2 + 0 + 0),
        (20.0, 2, 3 + 2 + 0 + 0),
    ],
)
def test_slow_step(part_s, rounds, calls):
    """Nothing multiplies it: first call, two more, the rounds, and what fits into the time beside them."""
    measured = Measured(part_s, Host)
    step_s = measured.median_of("train")
    assert step_s == pytest.approx(5 * part_s)
    assert len(measured.latencies) == rounds
    assert measured.facts["steps"] == 1
    assert ("parts_s" in measured.facts) is (step_s <= 1.0)
    assert (measured.facts["loss_compared"] is True) is (2 * step_s <= 5.0)
    assert measured.clock.now == pytest.approx(
        calls * step_s + 1.0 + part_s, rel=0.01
    )  # and initialized, moved


@pytest.mark.parametrize(("part_s", "calls"), [(20.0, 5), (24.0, 4)])
def test_before_the_timeout(part_s, calls):
    """The third call gives way to the rounds."""
    measured = Measured(part_s, Host)
    assert measured.median_of("train") == pytest.approx(5 * part_s)
    assert measured.clock.now == pytest.approx(calls * 5 * part_s + 1.0 + part_s)


@pytest.mark.parametrize(("part_s", "calls"), [(32.0, 2), (90.0, 2), (200.0, 1)])
@pytest.mark.parametrize("phase", ["train", "forward"])
def test_timeout(phase, part_s, calls):
    """A case that cannot have two rounds has none."""
    measured = Measured(part_s, Host)
    with pytest.raises(CaseTimeout, match="a case may take 10 min"):
        measured.median_of(phase)
    first_s = 0.0 if phase == "train" else -2 * part_s  # its first call finishes no earlier step
    assert measured.clock.now == pytest.approx(calls * 5 * part_s + 1.0 + part_s + first_s)


def test_timeout_within_the_rounds():
    """No round starts after it."""
    measured = Measured(1.0, Host)

    def slower(round_, plan):
        measured.costs = Costs()
        measured.clock.advance(590.0)
        for _ in range(plan.rounds):
            time_round(round_, measured.clock)
            measured.latencies.append(0.0)
            measured.clock.advance(10.0)

    measured.time_rounds = slower
    with pytest.raises(CaseTimeout, match=r"took 1\d min; a case may take 10 min"):
        measured.median_of("train")
    assert measured.latencies == []


def test_known_step_skips_the_reference():
    """The CPU's step is that of the cell's earlier case, on another device too."""
    measured = Measured(1.0, Host)
    measured.runner.budget = Budget(max_time_s=1.5)  # of 6 rounds of a transfer
    measured.median_of("transfer")
    measured.median_of("train")
    assert measured.facts["loss_compared"] == "not compared: one step on the CPU takes 5.0 s"
    fast = SimulatedDevice(measured.clock)
    case = CaseKey.of("w", 1, "train", fast.name)
    facts = measured.runner.measure(
        case, fast, lambda: simulated_workload(fast, Costs(*[1e-3] * 6)), measured.time_rounds
    )
    assert facts["loss_compared"] == "not compared: one step on the CPU takes 5.0 s"


@pytest.mark.parametrize(("part_s", "has_interval"), [(0.02, True), (0.05, False)])
def test_interval_of_queueing(part_s, has_interval):
    """The extremes of fewer than six rounds are not one."""
    measured = Measured(part_s)
    measured.median_of("train")
    assert measured.facts["enqueue_s"] == pytest.approx(5 * LAUNCH_S)
    assert measured.facts["device_time_s"] == pytest.approx(5 * part_s, rel=0.01)
    assert ("enqueue_low_s" in measured.facts) is has_interval
