"""Starts measuring processes: the same pytest command again, in a fresh process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from breakeven.format import one_line
from breakeven.hardware.cpus import affinity
from breakeven.plugin.assignment import VARIABLE, Assignment
from breakeven.plugin.worker import STACK_SIGNAL

MAX_TAIL = 4000
"""The bytes of a process's output in which its last line is searched."""

STACK_S = 0.5
"""What a process has to write its stack."""


class Running(Protocol):
    """A measuring process that was started."""

    def poll(self) -> int | None:
        """Return its exit code, negative for a signal; None while it runs."""

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it at once, and wait for that."""

    def stack(self) -> list[str]:
        """Return the lines of its stack, the innermost call first; none if it cannot be had."""

    def last_line(self) -> str:
        """Return the last error in its output, or else its last line."""

    def close(self) -> None:
        """Remove its files."""


Launch = Callable[[int], Running]


class Launcher:
    """Starts measuring processes for a journal, with the arguments of this pytest.

    What they print is kept for their last words; with ``-s``, what the benchmarks print is shown.
    """

    def __init__(self, journal: Path, config: pytest.Config) -> None:
        self._journal = journal.resolve()
        option: Any = config.option
        self._arguments = [
            *_seed_of_randomly(option),
            *(str(word) for word in config.invocation_params.args),
        ]
        self._directory = config.invocation_params.dir
        self._shows_output = option.capture == "no"

    def __call__(self, process: int) -> Running:
        """Start a process by its number."""
        files = Path(tempfile.mkdtemp(prefix="breakeven-"))
        output, stack = files / "output", files / "stack"
        assignment = Assignment(str(self._journal), process, os.getpid(), str(output), str(stack))
        if (cpus := affinity()) is not None:  # loading torch may have pinned this process to one CPU
            os.sched_setaffinity(0, cpus)
        # Without -P, Python would let a file in the current directory hide one of the same name elsewhere,
        # which the command `pytest` does not.
        flags = [] if str(Path.cwd()) in sys.path or "" in sys.path else ["-P"]
        with output.open("ab") as file:
            popen = subprocess.Popen(
                [sys.executable, *flags, "-m", "pytest", *self._arguments],
                cwd=self._directory,
                env={**os.environ, VARIABLE: assignment.as_text()},
                stdin=subprocess.DEVNULL,
                stdout=None if self._shows_output else file,
                stderr=None if self._shows_output else file,
            )
        return MeasuringProcess(popen, output, stack)


class MeasuringProcess:
    """A measuring process that was started."""

    def __init__(self, popen: subprocess.Popen[bytes], output: Path, stack: Path) -> None:
        self._popen = popen
        self._output = output
        self._stack = stack

    def poll(self) -> int | None:
        """Return its exit code, negative for a signal; None while it runs."""
        return self._popen.poll()

    def terminate(self) -> None:
        """Ask it to end."""
        self._popen.terminate()

    def kill(self) -> None:
        """End it at once, and wait for that."""
        self._popen.kill()
        self._popen.wait()

    def stack(self) -> list[str]:
        """Return the lines of its stack, the innermost call first; none if it cannot be had."""
        if STACK_SIGNAL is None:
            return []
        self._popen.send_signal(STACK_SIGNAL)
        time.sleep(STACK_S)
        lines = self._stack.read_text(encoding="utf-8", errors="replace").splitlines()
        return [line.strip() for line in lines if line.strip().startswith("File ")]

    def last_line(self) -> str:
        """Return the last error in its output, or else its last line."""
        with self._output.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - MAX_TAIL))
            lines = [line for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
        errors = [line[1:] for line in lines if line.startswith("E   ")]  # as pytest marks them
        return one_line((errors or lines or [""])[-1].strip(), 200)

    def close(self) -> None:
        """Remove its files."""
        shutil.rmtree(self._output.parent, ignore_errors=True)


def _seed_of_randomly(option: Any) -> list[str]:
    """Return the option with which pytest-randomly gives every process the seed of this one."""
    seed = getattr(option, "randomly_seed", None)
    return [] if seed is None else [f"--randomly-seed={seed}"]
