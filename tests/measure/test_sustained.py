"""Burst and sustained on a simulated accelerator whose work takes longer after two seconds of load."""

import json
from itertools import pairwise

import pytest

from breakeven.case import Budget, CaseKey
from breakeven.measure.round_plan import RoundPlan
from breakeven.measure.runner import Runner
from breakeven.measure.simulated import Costs, simulated_workload
from breakeven.measure.sustained import LoadBefore, lasting, load_facts
from breakeven.measure.timing import Timed, time_round
from breakeven.measure.warmup import Warmup
from breakeven.report.report import analyze
from breakeven.runs.reader import read
from support.heating import COSTS, STEP_S, Heating


class Host(Heating):
    is_accelerator = False


def measured(device, max_time_s=30.0, phase="train", costs=COSTS):
    """The facts of a case, its rounds and their steps."""
    runner = Runner(Budget(max_time_s=max_time_s), device.clock)
    timed = []

    def time_rounds(round_, plan):
        for _ in range(plan.lead_in):
            time_round(round_, device.clock)
        timed.extend(time_round(round_, device.clock) for _ in range(plan.rounds))

    case = CaseKey.of("w", 1, phase, device.name)
    facts = runner.measure(case, device, lambda: simulated_workload(device, costs), time_rounds)
    return facts, timed


def test_burst_and_sustained():
    """The rounds take the whole time, and both times and clocks are exact."""
    facts, timed = measured(Heating())

    load = load_facts(
        facts["load"], [one.latency_s for one in timed], facts["steps"], facts["state"]["samples"]
    )
    assert load["burst_s"] == load["burst_low_s"] == STEP_S
    assert load["sustained_s"] == load["sustained_low_s"] == load["sustained_high_s"] == 1.5 * STEP_S
    assert (load["burst_clock_mhz"], load["sustained_clock_mhz"]) == (1980, 1320)
    rounds_s = sum(one.latency_s * one.steps for one in timed)
    assert 30.0 <= rounds_s <= 45.0  # the slower rounds were not foreseen
    assert load["load_s"] == facts["load"].seconds + rounds_s


def test_samples_and_clock_flag():
    """The flag follows from the samples; none is taken within a round."""
    facts, _ = measured(Heating())

    samples = facts["state"]["samples"]
    assert all(later - one >= 0.25 for one, later in pairwise(samples["t_s"]))
    assert len(samples["t_s"]) > 100
    assert facts["evidence"]["clock"] == {"sm_clock_mhz": [1320, 1980]}


@pytest.mark.parametrize(
    ("device", "max_time_s", "phase"),
    [
        (Heating(), 29.9, "train"),
        (Heating(), 30.0, "forward"),
        (Host(), 30.0, "train"),
        (Heating(launch_s=STEP_S / 4), 30.0, "train"),  # five launches a step: more than half of it
    ],
)
def test_other_cases(device, max_time_s, phase):
    """They take as many rounds as the precision needs."""
    facts, timed = measured(device, max_time_s, phase)

    assert facts["load"] is None
    assert len(timed) <= 40


def test_half_of_the_step_on_the_host():
    """That is still bound by computation."""
    device = Heating(launch_s=STEP_S / 10)

    assert measured(device)[0]["load"] is not None


def test_slow_step():
    """A step of 0.3 s leaves the burst to the warm-up, which is short."""
    costs = Costs(*[0.3 / 5] * 5, 0.0)
    device = Heating()
    facts, timed = measured(device, costs=costs)

    load = load_facts(facts["load"], [one.latency_s for one in timed], facts["steps"], {})
    assert facts["load"].seconds < 3.0
    assert load["burst_s"] == pytest.approx(0.3)
    assert load["sustained_s"] == pytest.approx(0.45)
    assert "burst_clock_mhz" not in load


def test_unknown_clocks():
    before = LoadBefore(0.0, (1.0,))

    assert "burst_clock_mhz" not in load_facts(before, [1.0] * 9, 1, {"sm_clock_mhz": [None, 0]})
    found = load_facts(before, [1.0] * 9, 1, {"sm_clock_mhz": [None, 1980, 1900, 1700, 1600]})
    assert (found["burst_clock_mhz"], found["sustained_clock_mhz"]) == (1980, 1650)


def plan(step_s, max_time_s=60.0, steps=1, rounds=16, left_s=600.0, prepare_s=0.0):
    warmup = Warmup((Timed(prepare_s, step_s),) * 8, steady=True)
    planned = RoundPlan(rounds, lead_in=20, steps=steps)
    found = lasting(planned, warmup, Budget(max_time_s=max_time_s), left_s)
    assert found.lead_in == 0
    return found.rounds, found.steps


def test_lasting_plan():
    """Where there are too many rounds, they are longer; preparing counts; a slow case keeps its plan."""
    assert plan(0.001, steps=50) == (600, 100)
    assert plan(0.001, steps=50, max_time_s=30.0) == (600, 50)
    assert plan(1.0) == (60, 1)
    assert plan(1.0, prepare_s=1.0) == (30, 1)
    assert plan(10.0) == (16, 1)
    assert plan(1.0, left_s=80.0) == (40, 1)


SIMULATION = """
from breakeven.hardware import devices
from breakeven.measure.simulated import simulated_workload
from support.heating import COSTS, Heating

device = Heating()
clock = device.clock

def now():
    return clock()

def workload():
    return simulated_workload(device, COSTS)

class Family(Heating):
    @classmethod
    def parse(cls, name):
        return device if name == device.name else None

devices.FAMILIES.insert(0, Family)
"""
BENCH = """
import pytest, simulation

@pytest.mark.sweep(batch_size=[1])
def bench_hot(train_benchmark, batch_size):
    train_benchmark(lambda: simulation.workload())
"""


def test_run_file(pytester, monkeypatch):
    """The whole path: both times are in the run file, and the report shows them in one line."""
    from breakeven.hardware import devices

    pytester.makepyfile(bench_hot=BENCH, simulation=SIMULATION)
    monkeypatch.syspath_prepend(pytester.path)
    monkeypatch.setattr(devices, "FAMILIES", list(devices.FAMILIES))

    def runner(budget, together):
        import simulation

        return Runner(budget, simulation.clock, together)

    monkeypatch.setattr("breakeven.plugin.measuring.Runner", runner)
    result = pytester.runpytest_inprocess(
        "bench_hot.py",
        "--breakeven-devices=simulated",
        "--breakeven-phases=train",
        "--benchmark-max-time=30",
        "--benchmark-timer=simulation.now",
        "--benchmark-json=run.json",
    )

    result.assert_outcomes(passed=1)
    [case] = json.loads((pytester.path / "run.json").read_text())["benchmarks"]
    info = case["extra_info"]
    assert "load" not in info
    assert info["burst_s"] == pytest.approx(STEP_S)
    assert info["sustained_s"] == pytest.approx(1.5 * STEP_S)
    assert info["state"]["samples"]["sm_clock_mhz"][0] == 1980
    [line] = analyze(read([pytester.path / "run.json"])).sustained_sentences
    assert "hot, batch 1: burst 31.2 ms, sustained 46.9 ms after " in line
    assert line.endswith(" s: 50% slower, clocks 1,980 -> 1,320 MHz.")
