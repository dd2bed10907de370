"""Where work runs: names, defaults, threads."""

import os

import pytest
import torch

from breakeven.errors import UsageError
from breakeven.hardware import devices
from breakeven.hardware.devices import (
    Cpu,
    accelerator_kind,
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


def test_without_an_accelerator_one_thread_is_held_against_all(no_gpu):
    assert [device.name for device in default_devices()] == ["cpu@1", "cpu"]


def test_with_an_accelerator_all_threads_are_held_against_it(two_gpus):
    assert [device.name for device in default_devices()] == ["cpu", "cuda"]


def test_no_names_mean_the_default_devices(no_gpu):
    assert [device.name for device in parse_devices([])] == ["cpu@1", "cpu"]


@pytest.mark.parametrize(("written", "name"), [("cuda", "cuda"), ("cuda:0", "cuda"), ("cuda:1", "cuda:1")])
def test_the_first_accelerator_is_called_by_its_kind_alone(two_gpus, written, name):
    assert parse_device(written).name == name


def test_an_accelerator_is_asked_to_synchronize_itself(two_gpus, monkeypatch):
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
def test_a_device_that_cannot_be_used_is_refused_by_name(two_gpus, name, message):
    with pytest.raises(UsageError, match=message):
        parse_device(name)


def test_a_device_that_is_absent_is_refused_and_says_what_is_here(no_gpu):
    with pytest.raises(
        UsageError, match=r"'cuda' is not available: torch .* sees no accelerator; available: cpu, cpu@N"
    ):
        parse_device("cuda")


@pytest.mark.parametrize("names", [["cpu", "cpu"], ["cuda", "cuda:0"]])
def test_the_same_device_twice_is_refused(two_gpus, names):
    with pytest.raises(UsageError, match="is named twice"):
        parse_devices(names)


def test_inside_cpu_at_one_torch_uses_one_thread_and_the_old_number_afterwards():
    before = torch.get_num_threads()
    with Cpu(1).active():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_all_threads_means_all_even_after_somebody_set_one():
    """Half of the world's speedups are against a CPU that ran on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with Cpu().active():
            assert torch.get_num_threads() == usable_threads()
    finally:
        torch.set_num_threads(before)


def test_usable_threads_respect_affinity_quota_and_openmp(monkeypatch):
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
def test_the_cgroups_quota_is_read_from_either_version(tmp_path, files, quota):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert cgroup_quota(tmp_path) == quota


def test_a_cpu_counts_no_peak_memory_and_has_no_events():
    assert Cpu().peak_memory_bytes() is None
    assert Cpu().event_api() is None


@pytest.mark.cuda
@pytest.mark.skipif(accelerator_kind() != "cuda", reason="needs a CUDA device; torch sees none")
def test_a_synchronize_waits_for_queued_gpu_work_that_a_bare_clock_would_miss():
    """A known amount of queued work: leaving the synchronize out reads almost nothing of it."""
    import time

    device = parse_device("cuda")
    matrix = torch.randn(8192, 8192, device="cuda")
    matrix @ matrix
    device.synchronize()
    start = time.perf_counter()
    for _ in range(20):
        matrix @ matrix
    bare_s = time.perf_counter() - start
    device.synchronize()
    whole_s = time.perf_counter() - start
    print(f"queued GPU work: {bare_s:.6f} s without, {whole_s:.6f} s with the synchronize")
    assert whole_s > 5 * bare_s
