"""A folder of cheap cases, and the command that measures it: for what surrounds the cases."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

_SOURCE = """\
import pytest
import torch

from breakeven import Workload


@pytest.mark.sweep(batch_size={batches}, width={widths})
def bench_small(train_benchmark, batch_size, width):
    train_benchmark(
        lambda: Workload(
            model=torch.nn.Linear(width, 2),
            loss=torch.nn.functional.mse_loss,
            optimizer=torch.optim.SGD,
            inputs=torch.ones(batch_size, width),
            targets=torch.zeros(batch_size, 2),
        )
    )
"""

# pytest-benchmark's own look at the processor and at git takes seconds, which are not what is measured.
_CONFTEST = """\
def pytest_benchmark_generate_machine_info():
    return {"node": "small"}


def pytest_benchmark_generate_commit_info():
    return {"id": "small"}
"""

ENVIRONMENT = {"OMP_WAIT_POLICY": "passive"}


def write_bench(folder: Path, batches: Sequence[int], widths: Sequence[int]) -> None:
    """Write a function whose cells are every batch size at every width."""
    folder.mkdir(parents=True, exist_ok=True)
    source = _SOURCE.format(batches=list(batches), widths=list(widths))
    (folder / "bench_small.py").write_text(source, encoding="utf-8")
    (folder / "conftest.py").write_text(_CONFTEST, encoding="utf-8")


def command(processes: int, max_time_s: float, devices: str = "cpu@1") -> list[str]:
    """Return the command that measures the folder, run inside it, into ``run.json``."""
    return [
        sys.executable, "-m", "pytest", "bench_small.py", "-q", "-p", "no:cacheprovider",
        "--breakeven-phases=train", f"--breakeven-devices={devices}", f"--benchmark-max-time={max_time_s}",
        "--benchmark-json=run.json", f"--breakeven-processes={processes}",
    ]  # fmt: skip


def environment() -> dict[str, str]:
    """Return the environment of the command: this one, without a choice of the number of processes."""
    return {name: value for name, value in os.environ.items() if name != "BREAKEVEN_PROCESSES"} | ENVIRONMENT
