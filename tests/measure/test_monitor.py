"""What disturbed a case: the machine's state around its rounds, and the flags that follow from it."""

import json
import math
import os
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from breakeven.hardware import load, nvml
from breakeven.hardware.cpus import core_sizes
from breakeven.hardware.devices import Accelerator, Cpu
from breakeven.measure import monitor
from breakeven.measure.monitor import (
    Sampler,
    Snapshot,
    evidence_of,
    snapshot,
    state_between,
    subnormal_evidence,
)
from breakeven.measure.simulated import SimulatedClock, SimulatedDevice

QUIET_GPU = {"sm_clock_mhz": 1980, "event_reasons": [], "other_processes": 0}
START = Snapshot(
    wall_s=100.0,
    thread_s=50.0,
    waited_s=None,
    process_s=60.0,
    busy_s=5000.0,
    stolen_s=7.0,
    counter_error_s=0.03,
    cores=4,
    threads=4,
    load_average=0.1,
    gpu=None,
)


def later(start, wall_s, *, thread=1.0, waited=None, own=4.0, foreign=0.0, stolen=0.0, **changed):
    """The machine `wall_s` after `start`; the rest in cores: the main thread, all own ones, others."""
    return replace(
        start,
        **{
            "wall_s": start.wall_s + wall_s,
            "thread_s": start.thread_s + thread * wall_s,
            "waited_s": None if waited is None else (start.waited_s or 0.0) + waited * wall_s,
            "process_s": start.process_s + own * wall_s,
            "busy_s": (start.busy_s or 0.0) + (own + foreign) * wall_s,
            "stolen_s": (start.stolen_s or 0.0) + stolen * wall_s,
            **changed,
        },
    )


def contended(*, wall_s=1.0, warmup_s=0.0, threads=4, is_accelerator=False, **facts):
    """The evidence of `contended`, None without the flag; the warm-up is like the rounds."""
    start = replace(START, threads=threads, waited_s=None if facts.get("waited") is None else 3.0)
    before = later(start, warmup_s, **facts)
    after = later(before, wall_s, **facts)
    found = evidence_of(state_between(before, after, start), is_accelerator=is_accelerator)
    assert found.keys() <= {"contended"}
    return found.get("contended")


def gpu(before=None, after=None):
    start = replace(START, gpu={**QUIET_GPU, **(before or {})})
    end = later(start, 1.0, gpu={**QUIET_GPU, **(after or {})})
    return evidence_of(state_between(start, end), is_accelerator=True)


THROTTLED = {"event_reasons": ["gpu_idle", "sw_thermal_slowdown", "hw_slowdown"]}
SLOWED = {"throttled": {"event_reasons": ["hw_slowdown", "sw_thermal_slowdown"]}}
UNREADABLE = {"event_reasons": None, "other_processes": None}


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"foreign": 0.05},  # the system's own services
        {"threads": 1, "own": 1.0, "foreign": 3.0},  # each has its core
        {"threads": 1, "own": 1.0, "foreign": 3.0, "is_accelerator": True},
        {"own": 1.0, "foreign": 0.3},  # a small model keeps one of four threads busy
        {"thread": 0.5, "own": 2.0},  # threads that sleep until the others are done
        {"wall_s": 0.05, "thread": 0.5, "own": 2.0, "waited": 0.02},
        {"threads": 8, "thread": 0.5, "waited": 0.5},  # they wait for each other
        {"threads": 1, "thread": 0.1, "own": 0.1, "is_accelerator": True},  # the host sleeps while it waits
        {"threads": 1, "own": 0.1, "foreign": 3.5, "is_accelerator": True},
        {"stolen": 0.1},
        {"wall_s": 0.005, "foreign": 3.0},  # shorter than the system's counters count
        {"wall_s": 1e-4, "thread": 0.0},
        {"wall_s": 0.0},
        {"wall_s": -1.0},
        {"busy_s": None, "stolen_s": None},
        {"busy_s": START.busy_s, "stolen_s": START.stolen_s + 9},  # counters that never advance
    ],
)
def test_not_contended(facts):
    assert contended(**facts) is None


@pytest.mark.parametrize(
    ("facts", "lost"),
    [
        ({"own": 3.0, "foreign": 1.0}, 1.0),  # one thread of four shares its core
        ({"own": 2.0, "foreign": 2.0}, 2.0),
        ({"own": 2.0, "foreign": 1.0}, 2 / 3),  # the others sleep until that one is done
        ({"threads": 1, "own": 0.8, "foreign": 3.2}, 0.2),
        ({"threads": 1, "own": 0.1, "foreign": 3.9}, 0.9),
        ({"threads": 1, "own": 0.8, "foreign": 3.2, "is_accelerator": True}, 0.2),
        ({"threads": 8, "own": 3.0, "foreign": 1.0}, 1.0),
        ({"threads": 4, "own": 3.0, "foreign": 5.0}, 5.0),  # each core runs two threads
        ({"stolen": 0.2}, 0.2),
        ({"threads": 1, "own": 0.8, "stolen": 0.2, "is_accelerator": True}, 0.2),
        ({"wall_s": 0.005, "warmup_s": 0.2, "own": 3.0, "foreign": 1.0}, 1.0),
    ],
)
def test_contended(facts, lost):
    assert contended(**facts)["lost_cores"] == pytest.approx(lost)


@pytest.mark.parametrize(
    "facts",
    [
        {"threads": 1, "thread": 0.5, "own": 0.5, "foreign": 1.0},
        {"threads": 1, "wall_s": 0.005, "thread": 0.5, "own": 0.5},  # too short to know what others used
        {"threads": 1, "thread": 0.5, "own": 0.5, "busy_s": None},
        {"own": 2.0, "foreign": 1.0, "thread": 0.1, "waited": 0.5},  # it slept too
        {"wall_s": 0.005, "thread": 0.1, "waited": 0.5},
    ],
)
def test_main_thread_lost_its_core(facts):
    assert contended(**facts)["main_thread_lost"] == pytest.approx(0.5)


def test_main_thread_lost_no_more_than_others_used():
    """The rest it waited for its own threads."""
    found = contended(threads=8, own=3.8, waited=0.9, foreign=0.2)
    assert found["main_thread_lost"] == pytest.approx(0.2 + 0.03)


def test_coarse_counters():
    """The system may count less than this process used."""
    state = state_between(START, later(START, 1.0, busy_s=START.busy_s + 3.98))
    assert state["foreign_s"] == 0.0


def test_evidence_in_cores():
    found = contended(own=3.0, foreign=1.0, stolen=0.25)
    assert found == pytest.approx({"lost_cores": 1.25, "foreign_cores": 1.0, "stolen_cores": 0.25})


def cpus_of(monkeypatch, usable, path):
    """Four CPUs on two cores, 0 and 2 on the first, of which this process may use some."""
    for cpu, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        (path / f"cpu{cpu}" / "topology").mkdir(parents=True)
        (path / f"cpu{cpu}" / "topology" / "thread_siblings_list").write_text(siblings)
    every = [SimpleNamespace(user=10.0 * n, system=1.0, nice=0.5, steal=0.25, idle=99.0) for n in range(4)]
    total = SimpleNamespace(user=60.0, system=4.0, nice=2.0, steal=1.0, idle=396.0)
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu=False: every if percpu else total)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 4 if logical else 2)
    monkeypatch.setattr(load, "affinity", lambda: usable)
    monkeypatch.setattr(load, "core_sizes", partial(core_sizes, cpus=path))
    load._cores_of.cache_clear()
    found = snapshot(Cpu(8))
    load._cores_of.cache_clear()
    return found


@pytest.mark.parametrize(
    ("usable", "busy_s", "stolen_s", "error_s", "cores"),
    [
        (None, 66.0, 1.0, 0.03, 2),
        ([0, 1, 2, 3], 66.0, 1.0, 0.03, 2),
        ([0, 1], 13.0, 0.5, 0.03 * math.sqrt(2), 2),
        ([0, 2], 23.0, 0.5, 0.03 * math.sqrt(2), 1),  # two threads of one core
        ([3], 31.5, 0.25, 0.03, 1),
        ([3, 7], None, None, 0.0, 1),  # some CPUs are switched off
    ],
)
def test_only_the_usable_cpus_count(monkeypatch, tmp_path, usable, busy_s, stolen_s, error_s, cores):
    """What runs on other CPUs takes nothing from this process; the counters of each CPU add their errors."""
    found = cpus_of(monkeypatch, usable, tmp_path)
    assert (found.busy_s, found.stolen_s, found.cores) == (busy_s, stolen_s, cores)
    assert found.counter_error_s == pytest.approx(error_s)


def test_computing_threads():
    assert snapshot(Cpu(3)).threads == 3
    assert snapshot(Accelerator("xpu")).threads == 1


def test_large_errors_show_nothing():
    start, end = replace(START, counter_error_s=0.9), later(START, 1.0, own=3.0, foreign=0.95)
    assert evidence_of(state_between(start, end), is_accelerator=False) != {}
    end = replace(end, counter_error_s=0.9)
    assert evidence_of(state_between(start, end), is_accelerator=False) == {}


@pytest.mark.parametrize("broken", [OSError, psutil.Error])
def test_unreadable_cpu_times(monkeypatch, broken):
    def cpu_times(**_):
        raise broken

    monkeypatch.setattr(psutil, "cpu_times", cpu_times)
    state = state_between(snapshot(Cpu()), snapshot(Cpu()))
    assert (state["foreign_s"], state["stolen_s"]) == (None, None)
    assert state["process_s"] > 0


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, {}),
        (THROTTLED, {}, SLOWED),
        ({}, THROTTLED, SLOWED),
        ({"event_reasons": ["gpu_idle", "applications_clocks_setting"]}, {}, {}),
        ({}, {"sm_clock_mhz": 1700}, {"clock": {"sm_clock_mhz": [1700, 1980]}}),
        ({}, {"sm_clock_mhz": 1950}, {}),
        ({"sm_clock_mhz": None}, UNREADABLE, {}),
        ({"other_processes": 2}, {}, {"shared_gpu": {"other_processes": 2}}),
    ],
)
def test_gpu(before, after, expected):
    assert gpu(before, after) == expected


def sampled(**samples):
    """The evidence of a GPU that was quiet before and after the rounds."""
    start = replace(START, gpu=QUIET_GPU)
    return evidence_of(state_between(start, later(start, 1.0), samples=samples), is_accelerator=True)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ({}, {}),
        ({"sm_clock_mhz": [1980, 1900, 1980]}, {}),
        ({"sm_clock_mhz": [1980, 1500, None]}, {"clock": {"sm_clock_mhz": [1500, 1980]}}),
        ({"sm_clock_mhz": [None, 0, 2100]}, {"clock": {"sm_clock_mhz": [1980, 2100]}}),
        ({"event_reasons": [[], None, ["gpu_idle", "hw_slowdown"], ["sw_thermal_slowdown"]]}, SLOWED),
    ],
)
def test_between_the_rounds(samples, expected):
    assert sampled(**samples) == expected


class Sampled(SimulatedDevice):
    """A device that gives these samples, one after another; reading one takes 2 ms."""

    def __init__(self, *samples):
        super().__init__(SimulatedClock())
        self.samples = list(samples)

    def sample(self):
        self.clock.advance(0.002)
        return self.samples.pop(0)


def test_sampler():
    """It reads at most every 0.25 s, and lists the values with the seconds since it was made."""
    device = Sampled(*({"sm_clock_mhz": 1980 - index, "power_w": None} for index in range(9)))
    device.clock.advance(100.0)
    sampler = Sampler(device, device.clock)

    for _ in range(11):
        sampler()
        device.clock.advance(0.1)

    times = sampler.samples.pop("t_s")
    assert times == pytest.approx([0.0, 0.302, 0.604, 0.906])
    assert sampler.samples == {"sm_clock_mhz": [1980, 1979, 1978, 1977], "power_w": [None] * 4}


def test_sampler_without_samples():
    """A device that gives none is asked once, and a CPU never."""
    device = Sampled(None)
    sampler = Sampler(device, device.clock)

    for _ in range(3):
        sampler()
        device.clock.advance(1.0)

    assert (device.samples, sampler.samples) == ([], {})
    device.is_accelerator = False
    Sampler(device, device.clock)()
    assert "samples" not in state_between(snapshot(Cpu()), snapshot(Cpu()), samples={})


def test_state_is_plain_json():
    state = state_between(snapshot(Cpu()), snapshot(Cpu()))
    assert json.loads(json.dumps(state, allow_nan=False)) == state
    assert state["gpu_before"] is None


def test_state_of_the_right_gpu(monkeypatch):
    asked = []
    monkeypatch.setattr(nvml, "gpu_state", lambda device: asked.append(device) or QUIET_GPU)
    assert snapshot(Accelerator("cuda", 1)).gpu == QUIET_GPU
    assert asked == [torch.device("cuda", 1)]
    assert snapshot(Accelerator("xpu")).gpu is None


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs CPU affinity")
def test_busy_neighbor():
    """A real spinning process shares the only core."""
    before = os.sched_getaffinity(0)
    core = {min(before)}
    neighbor = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        os.sched_setaffinity(neighbor.pid, core)
        os.sched_setaffinity(0, core)
        start = snapshot(Cpu(1))
        deadline = time.perf_counter() + 0.5
        while time.perf_counter() < deadline:
            pass
        state = state_between(start, snapshot(Cpu(1)))
    finally:
        os.sched_setaffinity(0, before)
        neighbor.kill()
        neighbor.wait()
    found = evidence_of(state, is_accelerator=False)["contended"]
    assert found["main_thread_lost"] > 0.1
    assert state["foreign_s"] > 0.1 * state["load_wall_s"]


@pytest.mark.parametrize(("text", "waited_s"), [("5 2000000000 7", 2.0), ("0 0 0", None), ("", None)])
def test_waiting_for_a_core(monkeypatch, text, waited_s):
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: text)
    assert snapshot(Cpu(1)).waited_s == waited_s


TINY = torch.finfo(torch.float32).tiny


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ([1.0, 0.0, -0.0, math.nan, math.inf, TINY, -TINY], 0),
        ([1.0, TINY / 2, -TINY / 4, 0.0], 2),
        ([], 0),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_subnormal(values, count, dtype):
    scale = torch.finfo(dtype).tiny / TINY
    tensor = torch.tensor([value * scale for value in values], dtype=torch.float64).to(dtype)
    found = subnormal_evidence([tensor])
    expected = {"subnormal": {"values": count, "share": count / len(values)}} if count else {}
    assert found == expected


def test_subnormal_in_any_tensor(monkeypatch):
    """Parts, shapes and strides do not matter; tensors that no CPU computes slowly are left out."""
    monkeypatch.setattr(monitor, "_CHUNK", 8)
    weight = torch.ones(5, 6, requires_grad=True)
    with torch.no_grad():
        weight[4, 5] = weight[0, 0] = TINY / 2
    others = [
        torch.tensor(TINY / 2),
        torch.tensor([1e-6], dtype=torch.float16),
        torch.tensor([3]),
        torch.eye(2).to_sparse(),
        torch.empty(0, 3),
        torch.empty(2, device="meta", dtype=torch.int64),
    ]
    assert subnormal_evidence([weight, *others]) == {"subnormal": {"values": 3, "share": 3 / 31}}
    assert subnormal_evidence([weight.T]) == {"subnormal": {"values": 2, "share": 2 / 30}}


@pytest.mark.parametrize(("size", "is_found"), [(1000, True), (1001, False)])
def test_a_few_subnormal_numbers_slow_nothing_down(size, is_found):
    tensor = torch.ones(size)
    tensor[7] = TINY / 2
    assert bool(subnormal_evidence([tensor])) == is_found


def test_sleeping_thread():
    """It lost nothing where all cores were busy: it took less than its fair share."""
    assert contended(threads=1, thread=0.02, waited=0.0, own=0.02, foreign=4.0) is None
    assert contended(threads=1, thread=0.5, waited=0.5, own=0.5, foreign=4.0) is not None
