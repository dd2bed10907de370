"""What disturbed a case: the machine's state around its rounds, and the flags that follow from it."""

import json
import subprocess
import sys
import time

import pytest
import torch

from breakeven.hardware import nvml
from breakeven.hardware.devices import Accelerator, Cpu
from breakeven.measure.monitor import Sampler, Snapshot, evidence_of, snapshot, state_between
from breakeven.measure.simulated import SimulatedClock, SimulatedDevice

QUIET_GPU = {"sm_clock_mhz": 1980, "event_reasons": [], "other_processes": 0}


def evidence(*, wall_s=1.0, thread_s=1.0, switches=10, gpu_before=None, gpu_after=None, is_accelerator=False):
    before = Snapshot(100.0, 50.0, 7, 0.1, gpu_before)
    after = Snapshot(
        100.0 + wall_s, 50.0 + thread_s, 7 + switches if switches is not None else None, 0.2, gpu_after
    )
    return evidence_of(state_between(before, after), is_accelerator=is_accelerator)


def gpu(before=None, after=None):
    return evidence(
        gpu_before={**QUIET_GPU, **(before or {})},
        gpu_after={**QUIET_GPU, **(after or {})},
        is_accelerator=True,
    )


THROTTLED = {"event_reasons": ["gpu_idle", "sw_thermal_slowdown", "hw_slowdown"]}
SLOWED = {"throttled": {"event_reasons": ["hw_slowdown", "sw_thermal_slowdown"]}}
UNREADABLE = {"event_reasons": None, "other_processes": None}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, {}),
        ({"thread_s": 0.5}, {"contended": {"main_thread_share": 0.5}}),
        ({"switches": 120}, {"contended": {"involuntary_switches_per_s": 120.0}}),
        ({"thread_s": 0.1, "is_accelerator": True}, {}),  # the host sleeps
        ({"wall_s": 0.005, "thread_s": 0.005, "switches": 2}, {}),  # two are chance
        ({"wall_s": 1e-4, "thread_s": 0.0, "switches": 9}, {}),
        ({"wall_s": -1.0}, {}),
        ({"wall_s": 0.0, "thread_s": 0.0}, {}),
        ({"switches": None}, {}),
    ],
)
def test_contended(facts, expected):
    assert evidence(**facts) == expected


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
    ends = [Snapshot(wall_s, wall_s, 0, 0.1, QUIET_GPU) for wall_s in (0.0, 1.0)]
    return evidence_of(state_between(*ends, samples), is_accelerator=True)


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
    assert "samples" not in state_between(snapshot(Cpu(), device.clock), snapshot(Cpu(), device.clock), {})


def test_state_is_plain_json():
    state = state_between(snapshot(Cpu(), time.perf_counter), snapshot(Cpu(), time.perf_counter))
    assert json.loads(json.dumps(state, allow_nan=False)) == state
    assert state["gpu_before"] is None


def test_state_of_the_right_gpu(monkeypatch):
    asked = []
    monkeypatch.setattr(nvml, "gpu_state", lambda device: asked.append(device) or QUIET_GPU)
    assert snapshot(Accelerator("cuda", 1), time.perf_counter).gpu == QUIET_GPU
    assert asked == [torch.device("cuda", 1)]
    assert snapshot(Accelerator("xpu"), time.perf_counter).gpu is None


@pytest.mark.skipif(not hasattr(__import__("os"), "sched_setaffinity"), reason="needs CPU affinity")
def test_busy_neighbor():
    """A real spinning process shares the only core."""
    import os

    before = os.sched_getaffinity(0)
    core = {min(before)}
    neighbor = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        os.sched_setaffinity(neighbor.pid, core)
        os.sched_setaffinity(0, core)
        start = snapshot(Cpu(1), time.perf_counter)
        deadline = time.perf_counter() + 0.5
        while time.perf_counter() < deadline:
            pass
        state = state_between(start, snapshot(Cpu(1), time.perf_counter))
    finally:
        os.sched_setaffinity(0, before)
        neighbor.kill()
        neighbor.wait()
    assert "contended" in evidence_of(state, is_accelerator=False)
