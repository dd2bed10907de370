"""A folder of cases on the simulated device, which log what their process holds: for long runs.

The device runs on the real clock, so that pytest can time it in any installation, also in version 1. Its
tensors are on the CPU; those that are alive are its memory.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
PHASES = ("transfer", "forward", "backward", "step", "train")
DEVICES = ("cpu@1", "simulated")
CASES_A_WIDTH = len(BATCHES) * len(PHASES) * len(DEVICES)

_BENCH = f"""\
import pytest
from conftest import workload


@pytest.mark.sweep(batch_size={list(BATCHES)}, width=list(range(WIDTHS)))
def bench_long(train_benchmark, batch_size, width):
    train_benchmark(lambda: workload(batch_size))
"""

_CONFTEST = '''\
import gc
import os
import time

import torch

try:
    from breakeven.hardware.devices import FAMILIES
    from breakeven.measure.simulated import Costs, SimulatedClock, SimulatedDevice, simulated_workload
except ImportError:  # version 1
    from breakeven.measuring.devices import FAMILIES
    from breakeven.measuring.simulated import Costs, SimulatedClock, SimulatedDevice, simulated_workload

EVERY = LOG_EVERY
ended = [0]
with open("/proc/self/environ", "rb") as environ:  # a worker removes the variable from its own
    ROLE = "worker" if b"BREAKEVEN_WORKER=" in environ.read() else "parent"


class RealClock(SimulatedClock):
    """Real time; to set it ahead is to wait."""

    @property
    def now(self):
        return time.perf_counter()

    @now.setter
    def now(self, seconds):
        while time.perf_counter() < seconds:
            pass


class RealDevice(SimulatedDevice):
    """The simulated device of this process, by its name."""

    @classmethod
    def parse(cls, name):
        return DEVICE if name == "simulated" else None


DEVICE = RealDevice(RealClock(), 1e-6)
FAMILIES.insert(0, RealDevice)


def workload(batch_size):
    costs = Costs(1e-8, 2e-6, 1e-8, 2e-8, 4e-6, 4e-6)
    try:
        return simulated_workload(DEVICE, costs, (batch_size,))
    except TypeError:  # version 1 has one sample a batch
        return simulated_workload(DEVICE, costs)


def pytest_benchmark_generate_machine_info():
    return {"node": "long"}


def pytest_benchmark_generate_commit_info():
    return {"id": "long"}


def pytest_runtest_logfinish():
    ended[0] += 1
    if ended[0] % EVERY:
        return
    gc.collect()
    with open("/proc/self/statm") as statm:  # before the list of all objects is made
        resident = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    objects = gc.get_objects()
    tensors = {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes()
               for one in objects if issubclass(type(one), torch.Tensor)}
    row = (ROLE, os.getpid(), ended[0], time.process_time(), resident,
           sum(tensors.values()), len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")),
           len(objects))
    with open("held.csv", "a") as file:
        file.write(",".join(map(str, row)) + "\\n")
'''


@dataclass(frozen=True)
class Held:
    """What a process held when it had ended a number of cases, at its CPU time in seconds."""

    role: str
    pid: int
    ended: int
    at_s: float
    resident_bytes: int
    tensor_bytes: int
    handles: int
    threads: int
    objects: int


def write_simulated(folder: Path, widths: int, log_every: int) -> None:
    """Write `CASES_A_WIDTH` cases for each width; a process logs every `log_every` cases."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench_long.py").write_text(_BENCH.replace("WIDTHS", str(widths)), encoding="utf-8")
    (folder / "conftest.py").write_text(_CONFTEST.replace("LOG_EVERY", str(log_every)), encoding="utf-8")


def simulated_command(python: str, *options: str) -> list[str]:
    """Return the command that measures the folder, run inside it, into ``run.json``."""
    return [
        python, "-m", "pytest", "bench_long.py", "-q", "-p", "no:cacheprovider",
        f"--breakeven-devices={','.join(DEVICES)}", "--benchmark-json=run.json", *options,
    ]  # fmt: skip


def held(folder: Path) -> list[Held]:
    """Return what the processes logged, in order."""
    with (folder / "held.csv").open(encoding="utf-8", newline="") as file:
        return [Held(role, *map(_number, rest)) for role, *rest in csv.reader(file)]


def _number(text: str) -> float | int:
    return float(text) if "." in text else int(text)


def by_process(rows: Sequence[Held]) -> dict[tuple[str, int], list[Held]]:
    """Return the rows of each process by its role and number."""
    found: dict[tuple[str, int], list[Held]] = {}
    for row in rows:
        found.setdefault((row.role, row.pid), []).append(row)
    return found
