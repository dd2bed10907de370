"""Surroundings in which no sweep can be timed: several processes at once, or another plugin's timer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

WORLD_SIZES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
"""Where torchrun and launchers of MPI store the number of processes."""

REFUSED = "breakeven_refused"
"""The key under which a worker of pytest-xdist reports to the process that prints and exits."""


def refusal(config: pytest.Config, environment: Mapping[str, str], *, is_rank: bool = False) -> str | None:
    """Return one line that states why no sweep can be timed in this process, None where one can.

    `is_rank` is whether breakeven itself started the process as one of several.
    """
    plugins = config.pluginmanager
    for name in () if is_rank else WORLD_SIZES:
        processes = environment.get(name, "")
        if processes.isdecimal() and int(processes) > 1:
            return (
                f"{name}={processes}: each process of a distributed job would time every case and write the "
                f"same file; run pytest once, without torchrun or mpirun, or unset {name}"
            )
    if is_xdist_worker(config):
        return "nothing can be timed under pytest-xdist, whose workers disturb each other; add -n 0"
    if getattr(plugins.get_plugin("codspeed_plugin"), "is_codspeed_enabled", False):
        return "a sweep needs pytest-benchmark, which --codspeed replaces; remove it, or unset CODSPEED_ENV"
    if not plugins.hasplugin("pytest-benchmark"):  # its session, whatever name its module was loaded by
        return "a sweep needs pytest-benchmark, which is disabled; remove -p no:benchmark"
    if config.getoption("forked", False):
        return "--forked runs each case in a process that takes its timing with it; remove --forked"
    return None


def is_xdist_worker(config: pytest.Config) -> bool:
    """Return whether this process runs tests for another one, which prints the results."""
    return hasattr(config, "workeroutput")


def report_refusal(config: pytest.Config, reason: str) -> None:
    """Report a refusal from a worker, whose own errors would be printed as a crash with a traceback."""
    output: dict[str, Any] = config.workeroutput  # type: ignore[attr-defined]
    output[REFUSED] = reason


def reported_refusal(worker: Any) -> str | None:
    """Return what a worker has reported, None for nothing or from a worker that crashed."""
    output: dict[str, Any] = getattr(worker, "workeroutput", {})
    return output.get(REFUSED)
