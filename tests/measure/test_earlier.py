"""A later process of a run: what it takes over from the earlier ones, and what it measures all the same."""

import json
import math
from contextlib import nullcontext
from dataclasses import replace
from statistics import median

import pytest
import torch
from torch import nn

from breakeven.case import Budget, CaseKey
from breakeven.errors import MeasurementError
from breakeven.hardware.devices import BestCpu
from breakeven.measure import flops, parts
from breakeven.measure.earlier import AGREEING, Earlier, hand_on
from breakeven.measure.loss_check import ReferenceLoss
from breakeven.measure.outcomes import CaseSkipped
from breakeven.measure.round_plan import MIN_SLOW, RoundNoise
from breakeven.measure.runner import Runner
from breakeven.measure.simulated import Costs, SimulatedClock, SimulatedDevice, simulated_workload
from breakeven.measure.timing import time_round
from breakeven.measure.workload import Workload
from breakeven.phases import STEP_PARTS, Phase, parse_phases
from support.prompt_devices import Host, Prompt

BUDGET = Budget().shared_by(5)
PART_S = 2e-4
FORWARD_S = 2.5e-4
PHASES = (*parse_phases(()), Phase.TRAIN_SYNC)


class Machine:
    """The state that processes share: what makes their devices slow, and what they handed on."""

    def __init__(self, device_type=SimulatedDevice, part_s=PART_S, budget=BUDGET):
        self.device_type, self.part_s, self.budget = device_type, part_s, budget
        self.found = {}

    def process(self, factor=1.0, slow_calls=None):
        """Start a process on a machine that is slower by a factor, with some slow forward passes."""
        return Process(self, factor, dict(slow_calls or {}))


class Process:
    """The real runner of one process on a simulated device."""

    def __init__(self, machine, factor, slow_calls):
        self.machine, self.slow_calls = machine, slow_calls
        self.clock = SimulatedClock()
        self.runner = Runner(machine.budget, self.clock)
        self.steps, self.calls, self.seconds, self.rounds = 0, 0, [], 0
        part_s, self.launch_s = factor * machine.part_s, factor * 1e-5
        self.costs = replace(Costs(*[part_s] * 6), forward=part_s * FORWARD_S / PART_S)
        self.device = self._device()

    def _device(self):
        process = self

        class Counting(self.machine.device_type):
            def enqueue(self, seconds):
                if seconds == process.costs.forward and self._dry_run is None:
                    process.calls += 1
                    seconds += process.slow_calls.get(process.calls, 0.0)
                super().enqueue(seconds)

        return Counting(self.clock, self.launch_s)

    def measure(self, phase="train", earlier=None, recipe=None, batch_size=1):
        """Measure a case; return its median, and keep what it hands on as a journal would."""
        case = CaseKey.of("w", batch_size, phase, self.device.name)
        seconds = []

        def time_rounds(round_, plan):
            self.lead_in = self.calls
            seconds.extend(time_round(round_, self.clock).latency_s for _ in range(plan.rounds))

        began_s, calls = self.clock.now, self.calls
        recipe = recipe or (lambda: simulated_workload(self.device, self.costs))
        self.facts = self.runner.measure(case, self.device, recipe, time_rounds, earlier)
        self.took_s, self.steps, self.rounds = self.clock.now - began_s, self.calls - calls, len(seconds)
        self.handed_on = self.facts["hand_on"]
        self.machine.found.setdefault(phase, []).append(json.loads(json.dumps(self.handed_on)))
        return median(seconds)

    def later(self, phase="train", **kwargs):
        """Measure a case that earlier processes found."""
        return self.measure(phase, Earlier.of(self.machine.found[phase]), **kwargs)

    def bare_loop_s(self, steps):
        """The time per step of a loop as a user writes it, in a fresh process of the same speed."""
        clock = SimulatedClock()
        device = self.machine.device_type(clock, self.launch_s)
        batch, costs = clock.now, self.costs
        for _ in range(steps):
            for part in STEP_PARTS:
                device.enqueue(getattr(costs, part))
        device.synchronize()
        return (clock.now - batch) / steps


def two_processes(device_type=SimulatedDevice, phases=("train",), factor=1.0, slow_calls=None, **kwargs):
    """Return a machine's first process, and a later one whose device is warm, both having timed `phases`."""
    machine = Machine(device_type, **kwargs)
    first = machine.process()
    medians = {phase: first.measure(phase) for phase in phases}
    later = machine.process(factor)
    later.later(phases[0])  # which warms the device
    later.calls, later.slow_calls = 0, dict(slow_calls or {})
    return first, later, medians


@pytest.mark.parametrize("device_type", [SimulatedDevice, Prompt, Host])
def test_later_median(device_type):
    """It is that of a bare loop, and of the first process, at the same number of steps."""
    first, later, medians = two_processes(device_type)
    latency_s = later.later()
    assert later.facts["steps"] == first.facts["steps"] > 1
    assert latency_s == pytest.approx(later.bare_loop_s(first.facts["steps"]), rel=0.01)
    assert latency_s == pytest.approx(medians["train"], rel=0.01)
    assert later.rounds >= BUDGET.min_rounds


@pytest.mark.parametrize("phase", PHASES)
def test_little_is_repeated(phase):
    """A warm device's phase takes a few calls more than its rounds; the first process took its warm-up."""
    first, later, medians = two_processes(phases=(phase,))
    assert later.later(phase) == pytest.approx(medians[phase], rel=0.01)
    lead_in_s = BUDGET.max_time_s / 100
    beyond_s = later.took_s - later.rounds * later.facts["step_s"] * later.facts.get("steps", 1)
    assert beyond_s < 0.03 + lead_in_s
    assert first.took_s > 0.15 + beyond_s
    assert later.rounds >= BUDGET.min_rounds


def test_next_case_of_the_cell():
    """It has a third of the minimum warm-up in any process, and a case of another cell all of it."""
    process, seconds = Machine().process(), []
    for phase, batch_size in (("step", 1), ("forward", 1), ("forward", 2)):
        process.measure(phase, batch_size=batch_size)
        seconds.append(process.took_s)
    assert seconds[2] - seconds[1] == pytest.approx(0.1, abs=0.02)


def test_device_warms_up_once():
    """The first case of a later process takes as long as in the first one; the next one does not."""
    machine = Machine()
    machine.process().measure("forward")
    later = machine.process()
    later.later("forward")
    first_s = later.took_s
    later.later("forward")
    assert first_s - later.took_s > 1.1  # the context and 150 ms


@pytest.mark.parametrize("phase", ["forward", "train"])
@pytest.mark.parametrize("factor", [0.7, 1.3, 4.0])
def test_another_level(phase, factor):
    """A machine that is slower or faster now is measured as it is."""
    _, later, medians = two_processes(phases=(phase,), factor=factor)
    assert later.later(phase) == pytest.approx(factor * medians[phase], rel=0.02)
    assert later.rounds >= (BUDGET.min_rounds if factor < 2 else MIN_SLOW)
    assert later.facts["steady"]


def test_slower_level_is_not_skipped():
    """Of a phase that the first process just timed."""
    limit_s = 5 * BUDGET.max_time_s / BUDGET.min_rounds
    _, later, medians = two_processes(Host, ("forward",), 1.3, part_s=0.95 * limit_s / 5.25)
    assert later.later("forward") == pytest.approx(1.3 * medians["forward"], rel=0.01)
    with pytest.raises(CaseSkipped):
        later.measure("forward")


@pytest.mark.parametrize("phase", ["forward", "train"])
@pytest.mark.parametrize("slow", [{1: 10.0}, {1: 60.0, 2: 10.0, 3: 2.0}], ids=str)
def test_slow_first_calls(phase, slow):
    """They are paid, and decide nothing."""
    _, later, medians = two_processes(phases=(phase,), slow_calls=slow)
    _, quiet, _ = two_processes(phases=(phase,))
    quiet.later(phase)
    assert later.later(phase) == pytest.approx(medians[phase], rel=0.01)
    assert later.facts["first_call_s"] > slow[1]
    assert (later.rounds, later.facts.get("steps")) == (quiet.rounds, quiet.facts.get("steps"))


@pytest.mark.parametrize("phase", ["forward", "train"])
@pytest.mark.parametrize("factor", [0.1, 10.0])
def test_wrong_level(phase, factor):
    """One that is far from the real one costs the usual warm-up, and changes no result."""
    first, later, medians = two_processes(phases=(phase,))
    right = Earlier.of(first.machine.found[phase])
    later.slow_calls = dict.fromkeys(range(1, 9), 0.5 * FORWARD_S)
    wrong = replace(right, level_s=factor * right.level_s)
    assert later.measure(phase, wrong) == pytest.approx(medians[phase], rel=0.01)
    assert later.took_s > 0.05
    assert later.facts["steady"]


@pytest.mark.parametrize("device_type", [SimulatedDevice, Host])
def test_first_steps_off_the_level(device_type):
    """The rounds begin when the steps are at the level, and not before."""
    slow = {call: 2e-3 * 0.9**call for call in range(1, 60)}
    _, later, medians = two_processes(device_type, ("forward",), slow_calls=slow)
    assert later.later("forward") == pytest.approx(medians["forward"], rel=0.05)
    assert later.lead_in > 15


def test_slow_headline():
    """A step longer than the time of a case: the first call, then the minimum of two rounds."""
    _, later, medians = two_processes(Host, part_s=0.5)
    assert later.later() == pytest.approx(medians["train"], rel=1e-6)
    assert (later.steps, later.rounds, later.facts["steps"]) == (1 + MIN_SLOW, MIN_SLOW, 1)
    assert later.facts["loss_compared"].startswith("not compared: one step on the CPU takes")


def test_slow_headline_with_a_slow_first_call():
    """It is followed by another call, which shows the level."""
    _, later, medians = two_processes(Host, part_s=0.5, slow_calls={1: 60.0})
    assert later.later() == pytest.approx(medians["train"], rel=1e-6)
    assert (later.steps, later.rounds) == (2 + MIN_SLOW, MIN_SLOW)
    assert later.facts["step_s"] == pytest.approx(medians["train"], rel=1e-6)


@pytest.mark.parametrize(("factor", "message"), [(1.0, None), (1.1, "first loss")])
def test_first_loss_of_a_slow_step(factor, message):
    """It is compared, without the second one, which would take another step."""
    machine = Machine(Host)
    first, later = machine.process(), machine.process()
    first.measure(recipe=lambda: scaled(first.device))
    slow = replace(Earlier.of(machine.found["train"]), level_s=1.0, steps=1)
    with pytest.raises(MeasurementError, match=message) if message else nullcontext():
        later.measure("train", slow, lambda: scaled(later.device, factor, seconds=1.0))
    if not message:
        assert later.facts["loss_compared"] is True
        assert "loss" not in later.facts


def test_not_computed_again(monkeypatch):
    """Losses of the CPU, operations, and the times of the parts."""
    machine = Machine()
    first = machine.process()
    first.measure()
    assert {"flops_unknown", "flops"} & set(first.facts)
    assert {"enqueue_s", "parts_s", "device_time_s"} <= set(first.facts)

    def fail(*_):
        raise AssertionError

    monkeypatch.setattr("breakeven.measure.loss_check.first_losses", fail)
    monkeypatch.setattr("breakeven.measure.runner.part_facts", fail)
    monkeypatch.setattr(flops, "count_flops", fail)
    monkeypatch.setattr(parts, "part_seconds", fail)
    later = machine.process()
    later.later()
    assert later.facts["loss_compared"] is True
    assert later.facts["loss"] == first.facts["loss"]
    assert not {"flops", "flops_unknown", "enqueue_s", "parts_s", "device_time_s"} & set(later.facts)


class Scaled(nn.Module):
    """Computes another result once it was moved; on the CPU too, if asked to."""

    def __init__(self, device, factor, cpu_factor, seconds):
        super().__init__()
        self.linear, self.factor, self.cpu_factor = nn.Linear(2, 1), factor, cpu_factor
        self.device, self.seconds = device, seconds
        self.is_moved = False

    def to(self, *args, **kwargs):
        self.is_moved = True
        return super().to(*args, **kwargs)

    def forward(self, x):
        self.device.enqueue(self.seconds)
        return self.linear(x) * (self.factor if self.is_moved else self.cpu_factor)


def scaled(device, factor=1.0, cpu_factor=1.0, seconds=1e-3):
    torch.manual_seed(3)
    model = Scaled(device, factor, cpu_factor, seconds)
    return Workload(model, nn.MSELoss(), torch.optim.Adam, torch.ones(4, 2), torch.ones(4, 1))


@pytest.mark.parametrize("phase", ["forward", "train"])
def test_other_losses_fail(phase):
    """Those of a device that differ from the CPU's only in a later process."""
    machine = Machine()
    first, later = machine.process(), machine.process()
    first.measure(phase, recipe=lambda: scaled(first.device))
    with pytest.raises(MeasurementError, match="computes a different result than the CPU"):
        later.later(phase, recipe=lambda: scaled(later.device, 1.1))


def test_other_losses_everywhere():
    """Where the CPU of this process computes them too, the workload differs, and no device is wrong."""
    machine = Machine()
    first, later = machine.process(), machine.process()
    first.measure(recipe=lambda: scaled(first.device))
    later.later(recipe=lambda: scaled(later.device, 1.1, 1.1))
    assert later.facts["loss_compared"] is True
    assert later.handed_on["reference"] != machine.found["train"][0]["reference"]


@pytest.mark.parametrize("reference", ["not compared: one step takes 9 s", ReferenceLoss((1.0, 1.0), True)])
def test_nothing_to_compare(reference, monkeypatch):
    """A later process does not try where the first one could not."""
    first, _, _ = two_processes()
    monkeypatch.setattr("breakeven.measure.loss_check.first_losses", None)
    process = first.machine.process()
    process.measure("train", replace(Earlier.of(first.machine.found["train"]), reference=reference))
    expected = {"loss_compared": reference} if isinstance(reference, str) else {"random": True}
    assert {key: process.facts.get(key) for key in expected} == expected
    assert "loss" not in process.facts


def test_threads_are_not_searched(monkeypatch):
    monkeypatch.setattr("breakeven.measure.thread_search.fastest_threads", lambda *_: 1)
    case = CaseKey.of("w", 1, "transfer", "cpu@best")

    def handed_on(earlier=None):
        workload = scaled(SimulatedDevice(SimulatedClock()))
        facts = Runner(BUDGET).measure(case, BestCpu(), lambda: workload, lambda *_: None, earlier)
        assert facts["threads"] == facts["hand_on"]["threads"] == 1
        return facts["hand_on"]

    first = handed_on()
    monkeypatch.setattr("breakeven.measure.thread_search.fastest_threads", None)
    handed_on(Earlier.of([first]))


def test_handed_on_is_small():
    machine = Machine()
    machine.process().measure()
    assert len(json.dumps(machine.found["train"])) < 300


NOISE = RoundNoise(0.02, 1.5)


def test_of():
    reference = ReferenceLoss((0.5, 0.25), is_random=False)
    found = [
        json.loads(json.dumps(hand_on(level, NOISE, 12, threads, one)))
        for level, threads, one in ((1.0, 4, None), (4.0, None, reference), (2.0, None, "not compared"))
    ]
    assert Earlier.of(found) == Earlier(2.0, math.log(4) / 2, NOISE, 12, 4, reference)
    assert Earlier.of([{}, found[0]]) == Earlier(1.0, 0.0, NOISE, 12, 4)
    assert Earlier.of([]) is Earlier.of([{}]) is None


def test_level_of_zero():
    """A phase that does nothing may take no time."""
    found = [hand_on(0.0, RoundNoise(0.0, 1.0), 1, None, None)] * 2
    earlier = Earlier.of(found)
    assert earlier.spread == 0.0
    assert earlier.has_settled([0.0] * AGREEING, 1)
    assert not earlier.has_settled([1.0] * AGREEING, 1)


@pytest.mark.parametrize(
    ("spread", "near", "far"), [(0.0, (0.67, 1.49), (0.66, 1.51)), (0.35, (0.5, 2.0), (0.49, 2.02))]
)
def test_is_near(spread, near, far):
    """Within half as much again, or two standard deviations between processes."""
    earlier = Earlier(1.0, spread, NOISE, 1)
    assert all(map(earlier.is_near, near))
    assert not any(map(earlier.is_near, far))


@pytest.mark.parametrize(
    ("latencies", "steps", "settled"),
    [
        ((1.0, 1.0), 4, False),
        ((9.0, 1.0, 1.06, 1.03), 4, True),
        ((1.0, 1.07, 1.03), 4, False),
        ((1.0, 1.12, 1.06), 1, True),  # shorter rounds are noisier
        ((1.6, 1.6, 1.6), 4, False),
    ],
)
def test_has_settled(latencies, steps, settled):
    assert Earlier(1.0, 0.0, NOISE, 4).has_settled(latencies, steps) is settled


def test_worthwhile():
    """Precision within a process is worth little where processes differ."""
    budget = Budget().shared_by(4)
    assert Earlier(1.0, 0.0, NOISE, 1).worthwhile(budget, Phase.TRAIN) == budget
    precise = Earlier(1.0, 0.002, NOISE, 1).worthwhile(budget, Phase.TRAIN)
    coarse = Earlier(1.0, 0.2, NOISE, 1).worthwhile(budget, Phase.TRAIN)
    assert precise.target_precision == 0.02
    assert coarse.target_precision == pytest.approx(1.96 * 0.2 / 2 / 2, rel=1e-3)
    assert Earlier(1.0, 9.0, NOISE, 1).worthwhile(budget, Phase.TRAIN).target_precision == 0.5


@pytest.mark.parametrize(("first_call_s", "is_slow"), [(1.1, True), (1.0, False), (1.7, True), (1.9, False)])
def test_is_slow(first_call_s, is_slow):
    """Both take longer than a case may, and the first call is at the level."""
    assert Earlier(1.2, 0.0, NOISE, 1).is_slow(first_call_s, Budget(max_time_s=1.0)) is is_slow


@pytest.mark.parametrize(("last", "settled"), [(1.0095, True), (1.011, False)])
def test_quiet_case_has_settled(last, settled):
    """Within 1%, however quiet it is."""
    assert Earlier(1.0, 0.0, RoundNoise(0.0, 1.0), 1).has_settled((1.0, last, 1.001), 1) is settled
