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
        is_new = not path.exists()
        if is_new or path.is_file() or path.is_dir():  # who reads a pipe would take our closing for its end
            path.open("ab").close()  # permissions do not tell: root has all, and some file systems take none
        if is_new and not path.is_symlink():  # it would be the link that went
            path.unlink()
    except OSError as error:
        raise UsageError(
            f"--benchmark-json={path} cannot be written ({error.strerror}); name a file in a folder of yours"
        ) from None


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
    """Write a run file to where temporary files go, its own place being full or gone, and return its path.

    Raises:
        OSError: there is no room there either.
    """
    handle, name = tempfile.mkstemp(prefix="breakeven-run-", suffix=".json")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=4, default=str)
    return Path(name)
