"""Where work runs: names, defaults, threads."""

import os
import subprocess
import sys

import pytest
import torch

from breakeven.errors import UsageError
from breakeven.hardware import devices, threads
from breakeven.hardware.devices import Accelerator, BestCpu, Cpu, default_devices, parse_device, parse_devices
from breakeven.hardware.threads import default_threads, torch_default


@pytest.fixture
def two_gpus(monkeypatch):
    """A torch that reports two CUDA devices."""
    monkeypatch.setattr(devices, "accelerator_kind", lambda: "cuda")
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(devices, "accelerator_kind", lambda: None)


def test_defaults_without_an_accelerator(no_gpu, monkeypatch):
    monkeypatch.setattr(devices, "default_threads", lambda: 2)
    assert [device.name for device in default_devices()] == ["cpu@1", "cpu"]
    assert [device.name for device in parse_devices([])] == ["cpu@1", "cpu"]


def test_defaults_with_one_thread(no_gpu, monkeypatch):
    """``cpu@1`` would be the same as ``cpu``."""
    monkeypatch.setattr(devices, "default_threads", lambda: 1)
    assert [device.name for device in default_devices()] == ["cpu"]


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
        ("gpu", "unknown device 'gpu'; available: cpu, cpu@N, cpu@best, cuda, cuda:1"),
        ("cuda:2", "'cuda:2' is not available: torch sees 2 of cuda"),
        ("cuda:one", "'one' is not a device index"),
        ("mps", r"'mps' is not available: torch .* sees cuda"),
        ("cpu@0", "'0' is not a number of threads"),
        ("cpu@", "'' is not a number of threads"),
        ("cpu@-1", "'-1' is not a number of threads"),
        ("cpu@Best", "'Best' is not a number of threads; write cpu@1, cpu@best or cpu"),
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


def test_cpu_after_set_num_threads():
    """Torch's default again, although it was set to one thread, as in many published speedups."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with Cpu().active():
            assert torch.get_num_threads() == default_threads()
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("torch_default", "usable", "expected"), [(8, 16, 8), (8, 4, 4), (8, 8, 8), (1, 16, 1), (16, 16, 16)]
)
def test_default_threads(monkeypatch, torch_default, usable, expected):
    """Torch's default, reduced to what the process may use, never raised."""
    monkeypatch.setattr(threads, "_TORCH_DEFAULT", torch_default)
    for module in (devices, threads):
        monkeypatch.setattr(module, "usable_cpus", lambda: usable)
    assert default_threads() == expected


@pytest.mark.parametrize(
    ("reported", "environment", "cores", "has_mkl", "expected"),
    [
        (8, {}, 8, True, 8),
        (1, {}, 8, True, 8),  # someone set it to 1
        (16, {}, 8, True, 8),  # someone set it to the logical CPUs
        (16, {}, 8, False, 16),  # OpenMP's default
        (8, {}, 8, False, 8),
        (3, {}, 8, False, 8),
        (3, {}, None, True, 3),  # cores unknown: nothing to check it with
        (4, {"OMP_NUM_THREADS": "4,2"}, 8, True, 4),
        (1, {"OMP_NUM_THREADS": "4"}, 8, True, 4),
        (8, {"OMP_NUM_THREADS": "16"}, 8, True, 8),  # MKL uses one thread per core
        (16, {"OMP_NUM_THREADS": "16"}, 8, False, 16),
        (2, {"OMP_NUM_THREADS": "4", "MKL_NUM_THREADS": "2"}, 8, True, 2),
        (1, {"OMP_NUM_THREADS": "4", "MKL_NUM_THREADS": "2"}, 8, False, 4),
        (8, {"OMP_NUM_THREADS": "many", "MKL_NUM_THREADS": "0"}, 8, True, 8),
    ],
)
def test_torch_default(reported, environment, cores, has_mkl, expected):
    assert torch_default(reported, environment, cores, 16, has_mkl=has_mkl) == expected


SET_EARLY = """
import torch
own = torch.get_num_threads()
torch.set_num_threads(own + 5)
from breakeven.hardware.threads import _TORCH_DEFAULT
print(own == _TORCH_DEFAULT)
"""


@pytest.mark.parametrize(
    "variables",
    [
        {},
        pytest.param({"OMP_NUM_THREADS": "1"}, marks=pytest.mark.slow),
        pytest.param({"MKL_NUM_THREADS": "1"}, marks=pytest.mark.slow),
    ],
)
def test_threads_set_before_breakeven_is_loaded(variables):
    """Torch's own default is still known, on this machine and torch."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", SET_EARLY],
        env=environment | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "True\n"


def test_best_cpu(monkeypatch):
    """Its name, its candidates, and its threads in and out of a cell."""
    monkeypatch.setattr(threads, "_TORCH_DEFAULT", 6)
    for module in (devices, threads):
        monkeypatch.setattr(module, "usable_cpus", lambda: 12)
    best = parse_device("cpu@best")
    assert isinstance(best, BestCpu)
    assert (best.name, best.is_accelerator, best.threads) == ("cpu@best", False, 6)
    assert best.candidates() == [1, 2, 4, 6, 8, 12]
    with best.with_threads(8):
        assert (best.threads, best.describe()["threads"]) == (8, 8)
    assert best.threads == 6


@pytest.mark.parametrize(("usable", "candidates"), [(1, [1]), (2, [1, 2]), (16, [1, 2, 4, 8, 16])])
def test_candidates(monkeypatch, usable, candidates):
    monkeypatch.setattr(threads, "_TORCH_DEFAULT", 16)
    for module in (devices, threads):
        monkeypatch.setattr(module, "usable_cpus", lambda: usable)
    assert BestCpu().candidates() == candidates


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
