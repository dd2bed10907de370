"""The file that ``--benchmark-json`` names: it can be written, and it is there also without any timing.

Owns when it is written and where. Refuses to fill it: pytest-benchmark and `running` do, through hooks.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from breakeven.errors import UsageError


def make_room(path: Path) -> None:
    """Make the folder of a run file that is yet to be written.

    Raises:
        UsageError: the folder cannot be made, or the file not be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        writable = os.access(path if path.exists() else path.parent, os.W_OK) and not path.is_dir()
    except OSError:
        writable = False
    if not writable:
        raise UsageError(f"--benchmark-json={path} cannot be written; name a file in a folder of yours")


def write_without_timings(path: Path, config: pytest.Config) -> None:
    """Write the file as pytest-benchmark would with no benchmark in it: alone it leaves yesterday's there."""
    hook = config.hook
    machine_info = hook.pytest_benchmark_generate_machine_info(config=config)
    hook.pytest_benchmark_update_machine_info(config=config, machine_info=machine_info)
    output = hook.pytest_benchmark_generate_json(
        config=config,
        benchmarks=[],
        include_data=True,
        machine_info=machine_info,
        commit_info=hook.pytest_benchmark_generate_commit_info(config=config),
    )
    hook.pytest_benchmark_update_json(config=config, benchmarks=[], output_json=output)
    path.write_text(json.dumps(output, indent=4, default=str), encoding="utf-8")


def write_elsewhere(content: dict[str, Any]) -> Path:
    """Write a run file to where temporary files go, its own place being full or gone, and return its path."""
    handle, name = tempfile.mkstemp(prefix="breakeven-run-", suffix=".json")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=4, default=str)
    return Path(name)
