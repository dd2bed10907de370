"""Slow calls at the beginning, and machines that stall once: they decide neither the rounds nor a skip."""

from statistics import median

import pytest

from breakeven.case import Budget, CaseKey
from breakeven.errors import BreakevenError
from breakeven.measure.runner import Runner
from breakeven.measure.simulated import Costs, SimulatedClock, SimulatedDevice, simulated_workload
from breakeven.measure.timing import time_round
from breakeven.phases import parse_phases
from support.prompt_devices import Host

FORWARD_S = 2.5e-4


class Stalling:
    """A device whose forward passes, counted from 1, take `extra` seconds longer."""

    def __init__(self, clock, extra):
        super().__init__(clock)
        self.extra, self.forwards = dict(extra), 0

    def enqueue(self, seconds):
        if seconds == FORWARD_S and self._dry_run is None:
            self.forwards += 1
            seconds += self.extra.get(self.forwards, 0.0)
        super().enqueue(seconds)


class Accelerator(Stalling, SimulatedDevice): ...


class StallingHost(Stalling, Host): ...


class Bench:
    def __init__(self, device_type, extra, budget=None):
        self.clock = SimulatedClock()
        self.device = device_type(self.clock, extra)
        self.runner = Runner(budget or Budget(), self.clock)

    def measure(self, phase, batch_size=1):
        """Return the plan and the median; where the case is skipped, the reason."""
        found = []

        def time_rounds(round_, plan):
            latencies = [time_round(round_, self.clock).latency_s for _ in range(plan.rounds)]
            found.append((plan, median(latencies)))

        case = CaseKey.of("w", batch_size, phase, self.device.name)
        costs = Costs(2e-4, 2e-4, FORWARD_S, 2e-4, 2e-4, 2e-4)
        try:
            self.runner.measure(
                case, self.device, lambda: simulated_workload(self.device, costs), time_rounds
            )
        except BreakevenError as error:
            self.runner.note_failure(case, error)
            return str(error)
        return found[0]


@pytest.mark.parametrize(("device_type", "phase"), [(Accelerator, "train"), (StallingHost, "forward")])
@pytest.mark.parametrize(
    "extra",
    [
        {1: 1.0},
        pytest.param({1: 10.0}, marks=pytest.mark.slow),
        pytest.param({1: 60.0}, marks=pytest.mark.slow),
        pytest.param({1: 5.0, 2: 5.0}, marks=pytest.mark.slow),
        {1: 30.0, 2: 8.0, 3: 2.0},
    ],
    ids=str,
)
def test_slow_first_calls(device_type, phase, extra):
    """A model that prepares something, or is compiled in its first calls."""
    plan, latency_s = Bench(device_type, {}).measure(phase)
    slow_plan, slow_s = Bench(device_type, extra).measure(phase)
    assert slow_plan.rounds == plan.rounds
    assert slow_plan.steps == pytest.approx(plan.steps, abs=1)
    assert slow_s == pytest.approx(latency_s, rel=0.01)


def test_one_stall():
    """Ten slow seconds in the first case: no larger batch and no later phase is lost."""
    bench = Bench(StallingHost, dict.fromkeys(range(3, 13), 1.0))
    phases = parse_phases(())
    found = {(size, phase): bench.measure(phase, size) for size in (1, 2, 4) for phase in phases}
    lost = [key for key, result in found.items() if isinstance(result, str)]
    print({key: found[key] for key in lost})
    assert lost in ([], [(1, "forward")])


@pytest.mark.parametrize("phase", ["forward", "train_sync"])
def test_stalls_imply_nothing_for_others(phase):
    """Of a case that only other programs slowed down."""
    bench = Bench(StallingHost, dict.fromkeys(range(2, 8), 2.0))
    bench.measure("transfer")
    assert "would take too long" in bench.measure(phase)
    bench.device.extra = {}
    assert not isinstance(bench.measure(phase, 2), str)
    assert not isinstance(bench.measure("train", 1), str)
    assert not isinstance(bench.measure(phase), str)


@pytest.mark.parametrize(
    "first", [2, pytest.param(14, marks=pytest.mark.slow), 40, pytest.param(90, marks=pytest.mark.slow)]
)
def test_stall_of_some_seconds(first):
    """Whenever it comes, it costs the case in progress and no other."""
    bench = Bench(StallingHost, dict.fromkeys(range(first, first + 12), 1.0))
    phases = ("train", "transfer", "forward", "backward", "step")
    found = [bench.measure(phase, size) for size in (16, 1, 2) for phase in phases]
    assert sum(isinstance(result, str) for result in found) <= 1


def test_jitter_in_little_time():
    """Where a case has 20 ms, calls of 30 ms skip nothing: their preparation takes longer."""
    bench = Bench(StallingHost, dict.fromkeys(range(1, 10_000, 2), 0.03), Budget(max_time_s=0.02))
    found = [bench.measure(phase, size) for size in (4, 1, 2) for phase in parse_phases(())]
    assert not any(isinstance(result, str) for result in found)


@pytest.mark.parametrize(("extra_s", "calls"), [(4.0, 1), (5.0, 1), (9.0, 3), (2.0, 4)])
def test_one_call_confirms_a_slow_cell(extra_s, calls):
    """Where it takes about as long as the cell's steps took some time before."""
    bench = Bench(StallingHost, dict.fromkeys(range(1, 1000), 4.0))
    bench.measure("train")
    before, bench.device.extra = bench.device.forwards, dict.fromkeys(range(1, 1000), extra_s)
    assert "would take too long: 6 rounds" in bench.measure("forward")
    assert bench.device.forwards - before == calls


def test_stalled_headline_is_timed():
    """However slow the machine is."""
    bench = Bench(StallingHost, dict.fromkeys(range(2, 1000), 9.0))
    plan, latency_s = bench.measure("train")
    assert (plan.rounds, plan.steps) == (2, 1)
    assert latency_s == pytest.approx(9.0, rel=0.01)


def test_headline_after_a_skip():
    """It is timed although an earlier phase took too long; out of memory skips it."""
    bench = Bench(StallingHost, dict.fromkeys(range(1, 1000), 20.0))
    assert bench.measure("forward")[0].rounds == 2  # the first of its model
    assert "would take too long" in bench.measure("train_sync")
    assert "not tried: train_sync at batch 1: would take" in bench.measure("backward", 2)
    assert bench.measure("train")[0].rounds == 2
    assert bench.measure("train", 2)[0].rounds == 2
    bench.runner.note_failure(CaseKey.of("w", 4, "forward", "simulated"), MemoryError())
    assert "out of memory" in bench.measure("train", 8)


def test_too_slow_to_be_skipped_by_one_call():
    """Two calls after the first."""
    bench = Bench(StallingHost, dict.fromkeys(range(1, 1000), 9.0))
    bench.measure("transfer")
    before = bench.device.forwards
    assert "would take too long" in bench.measure("forward")
    assert bench.device.forwards == before + 3
