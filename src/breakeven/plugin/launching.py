"""Starts measuring processes: the same pytest command again, in a fresh process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Protocol

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
        """Return the last line of its output."""

    def close(self) -> None:
        """Remove its files."""


Launch = Callable[[int], Running]


class Launcher:
    """Starts measuring processes for a journal, with the arguments of this pytest.

    Their output is kept for their last words; with ``-s`` it is shown.
    """

    def __init__(self, journal: Path, config: pytest.Config) -> None:
        self._journal = journal.resolve()
        self._arguments = [str(word) for word in config.invocation_params.args]
        self._directory = config.invocation_params.dir
        option: Any = config.option
        self._shows_output = option.capture == "no"

    def __call__(self, process: int) -> Running:
        """Start a process by its number."""
        handle, stack = tempfile.mkstemp(prefix="breakeven-stack-")
        os.close(handle)
        output = None if self._shows_output else tempfile.TemporaryFile()  # noqa: SIM115 - it is the process's
        assignment = Assignment(str(self._journal), process, stack)
        # Without -P, Python would let a file in the current directory hide one of the same name elsewhere,
        # which the command `pytest` does not.
        flags = [] if str(Path.cwd()) in sys.path or "" in sys.path else ["-P"]
        popen = subprocess.Popen(
            [sys.executable, *flags, "-m", "pytest", *self._arguments],
            cwd=self._directory,
            env={**os.environ, VARIABLE: assignment.as_text()},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
        )
        cpus = affinity()
        if cpus is not None:  # loading torch may have bound this process to one of them
            with suppress(ProcessLookupError):
                os.sched_setaffinity(popen.pid, cpus)
        return MeasuringProcess(popen, output, Path(stack))


class MeasuringProcess:
    """A measuring process that was started."""

    def __init__(self, popen: subprocess.Popen[bytes], output: IO[bytes] | None, stack: Path) -> None:
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
        """Return the last line of its output."""
        if self._output is None:
            return ""
        self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, self._output.tell() - MAX_TAIL))
        lines = self._output.read().decode("utf-8", "replace").splitlines()
        return next((one_line(line, 200) for line in reversed(lines) if line.strip()), "")

    def close(self) -> None:
        """Remove its files."""
        self._stack.unlink(missing_ok=True)
        if self._output is not None:
            self._output.close()
