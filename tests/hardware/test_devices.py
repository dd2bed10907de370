"""Where work runs: names, defaults, threads."""

import os

import pytest
import torch

from breakeven.errors import UsageError
from breakeven.hardware import devices
from breakeven.hardware.devices import (
    Accelerator,
    Cpu,
    cgroup_quota,
    default_devices,
    parse_device,
    parse_devices,
    usable_threads,
)


@pytest.fixture
def two_gpus(monkeypatch):
    """A torch that reports two CUDA devices."""
    monkeypatch.setattr(devices, "accelerator_kind", lambda: "cuda")
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(devices, "accelerator_kind", lambda: None)


def test_defaults_without_an_accelerator(no_gpu):
    assert [device.name for device in default_devices()] == ["cpu@1", "cpu"]
    assert [device.name for device in parse_devices([])] == ["cpu@1", "cpu"]


def test_defaults_with_an_accelerator(two_gpus):
    assert [device.name for device in default_devices()] == ["cpu", "cuda"]


@pytest.mark.parametrize(("written", "name"), [("cuda", "cuda"), ("cuda:0", "cuda"), ("cuda:1", "cuda:1")])
def test_name_of_the_first_accelerator(two_gpus, written, name):
    assert parse_device(written).name == name


def test_synchronize_the_right_accelerator(two_gpus, monkeypatch):
    asked = []
    monkeypatch.setattr(torch.accelerator, "synchronize", asked.append)
    parse_device("cuda:1").synchronize()
    assert asked == [torch.device("cuda", 1)]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpu", "unknown device 'gpu'; available: cpu, cpu@N, cuda, cuda:1"),
        ("cuda:2", "'cuda:2' is not available: torch sees 2 of cuda"),
        ("cuda:one", "'one' is not a device index"),
        ("mps", r"'mps' is not available: torch .* sees cuda"),
        ("cpu@0", "'0' is not a number of threads"),
        ("cpu@", "'' is not a number of threads"),
        ("cpu@-1", "'-1' is not a number of threads"),
        ("", "unknown device ''"),
    ],
)
def test_invalid_device(two_gpus, name, message):
    with pytest.raises(UsageError, match=message):
        parse_device(name)


@pytest.mark.parametrize("names", [["cpu", "cpu"], ["cuda", "cuda:0"]])
def test_same_device_twice(two_gpus, names):
    with pytest.raises(UsageError, match="is named twice"):
        parse_devices(names)


def test_cpu_at_1():
    """One thread inside, the old number afterwards."""
    before = torch.get_num_threads()
    with Cpu(1).active():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_cpu_uses_all_threads():
    """Also after torch was set to one thread, as in many a published speedup."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with Cpu().active():
            assert torch.get_num_threads() == usable_threads()
    finally:
        torch.set_num_threads(before)


def test_usable_threads(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(devices, "cgroup_quota", lambda: None)
    assert usable_threads() == 8
    monkeypatch.setattr(devices, "cgroup_quota", lambda: 2.5)
    assert usable_threads() == 3
    monkeypatch.setattr(devices, "cgroup_quota", lambda: 0.1)
    assert usable_threads() == 1
    monkeypatch.setattr(devices, "cgroup_quota", lambda: None)
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")
    assert usable_threads() == 4


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4.0),
        ({"cpu.max": "garbage"}, None),
        ({}, None),
    ],
    ids=["v2 max", "v2 limit", "v1 none", "v1 limit", "garbage", "no cgroup"],
)
def test_cgroup_quota(tmp_path, files, quota):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert cgroup_quota(tmp_path) == quota


def test_cpu_has_no_peak_memory_and_no_events():
    assert Cpu().peak_memory_bytes() is None
    assert Cpu().event_api() is None


def test_events_exist_before_they_mark_anything(monkeypatch):
    """Torch creates the driver's event when it is first recorded."""
    created = []

    class Event:
        is_created = False

        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            if not self.is_created:
                created.append(self)
            self.is_created = True

        def elapsed_time(self, end):
            return 250.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    events = Accelerator("cuda").event_api()
    marks = [events.make(), events.make()]
    assert created == marks
    for mark in marks:
        events.record(mark)
    assert created == marks
    assert events.seconds(*marks) == 0.25
