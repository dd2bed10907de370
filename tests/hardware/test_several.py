"""Devices of several processes: their names, what they refuse, and a rank's share."""

import os

import pytest
import torch.distributed as dist

from breakeven.errors import UsageError
from breakeven.hardware import device as device_module
from breakeven.hardware import several
from breakeven.hardware.devices import Cpu, parse_device
from breakeven.hardware.several import Several


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A machine of 4 CPUs and 1 GPU, and no rank."""
    monkeypatch.setattr(several, "usable_cpus", lambda: 4)
    monkeypatch.setattr(several, "_gpus", lambda: 1)
    monkeypatch.setattr(several, "default_threads", lambda: 4)
    monkeypatch.setattr(dist, "is_nccl_available", lambda: True)
    monkeypatch.delenv("LOCAL_RANK", raising=False)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("0xcuda", "device '0xcuda' has no process; write 2xcuda, or cuda for this process"),
        ("2xmps", "device '2xmps': processes train together on cpu or cuda, not on 'mps'; "
                  "write 2xcpu or 2xcuda"),
        ("2xcpu@4", "device '2xcpu@4': processes train together on cpu or cuda, not on 'cpu@4'; "
                    "write 2xcpu or 2xcuda"),
        ("4xcuda", "device '4xcuda' is not available: this process sees 1 CUDA device; "
                   "1xcuda is the largest here"),
        ("9xcpu", "device '9xcpu' is not available: this process sees 4 CPUs; 4xcpu is the largest here"),
    ],
)  # fmt: skip
def test_refused(name, reason):
    with pytest.raises(UsageError) as error:
        parse_device(name)
    assert str(error.value) == reason


def test_refused_without_a_gpu(monkeypatch):
    monkeypatch.setattr(several, "_gpus", lambda: 0)
    with pytest.raises(UsageError) as error:
        parse_device("2xcuda")
    assert str(error.value) == (
        "device '2xcuda' is not available: this process sees 0 CUDA devices; use 2xcpu"
    )


@pytest.mark.parametrize(
    ("part", "name", "missing"),
    [("is_available", "2xcpu", "torch.distributed"), ("is_gloo_available", "2xcpu", "gloo"),
     ("is_nccl_available", "1xcuda", "NCCL")],
)  # fmt: skip
def test_refused_by_what_torch_lacks(monkeypatch, part, name, missing):
    monkeypatch.setattr(dist, part, lambda: False)
    with pytest.raises(UsageError, match=f"was built without {missing}; install a torch with it, or remove"):
        parse_device(name)


@pytest.mark.parametrize("name", ["cpu", "cuda:1", "cpu@4", "cpu@best", "x", "xcuda"])
def test_other_names_are_of_other_families(name):
    assert Several.parse(name) is None


def test_a_rank_has_its_share_of_the_threads(monkeypatch):
    device = parse_device("2xcpu")
    assert (device.name, device.processes, device.threads, device.is_accelerator) == ("2xcpu", 2, 2, False)
    assert parse_device("4xcpu").threads == 1
    assert device.backend == "gloo"
    monkeypatch.setattr(several, "default_threads", lambda: 1)
    assert parse_device("4xcpu").threads == 1


def test_a_rank_was_started_with_its_share(monkeypatch):
    """Its default is OMP_NUM_THREADS, which is not divided again."""
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert parse_device("2xcpu").threads == 4


def test_one_process_is_one():
    assert Cpu().processes == 1


def test_facts():
    device = parse_device("2xcpu")
    assert device.describe() == {"device_name": "2xcpu", "ranks": 2, "threads": 2}
    device.init_s = 0.5
    assert device.describe() == {"device_name": "2xcpu", "ranks": 2, "threads": 2, "init_s": 0.5}


def test_the_cpu_time_of_all_ranks_counts(monkeypatch):
    device = parse_device("2xcpu")
    monkeypatch.setattr(device_module, "own_cpu_s", lambda: 3.0)
    assert device.process_s() == 3.0
    monkeypatch.setattr(several, "cpu_s", {7: 1.0, 8: 2.0}.__getitem__)
    device.others = (7, 8)
    assert device.process_s() == 6.0


def test_the_cpu_time_of_a_process():
    """That of a process that has ended is 0."""
    assert several.cpu_s(os.getpid()) > 0
    assert several.cpu_s(2**22 + 1) == 0.0
