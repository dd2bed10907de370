"""Starts measuring processes: the same pytest command again, in a fresh process or in a group of them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import psutil
import pytest
import torch

from breakeven.case import OutcomeKind
from breakeven.device_names import processes_of
from breakeven.errors import UNFORESEEN
from breakeven.format import one_line
from breakeven.hardware.cpus import affinity
from breakeven.hardware.machine import thread_facts
from breakeven.hardware.threads import default_threads
from breakeven.measure import group
from breakeven.measure.group import FAILURE_VARIABLE, UNKNOWN, Failure
from breakeven.plugin.assignment import VARIABLE, Assignment
from breakeven.plugin.cause import death, noted
from breakeven.plugin.worker import STACK_SIGNAL
from breakeven.runs.journal import Share
from breakeven.temporary import ScratchDirectory

MAX_LINE = 400
"""The characters of a process's last line that are shown: all of an error of breakeven itself."""

MAX_TAIL = 4000
"""The bytes of a process's output in which its last line is searched."""

STACK_S = 0.5
"""What a process has to write its stack."""

KILLED_S = 10.0
"""How long the ranks of a group that was killed are waited for."""

TORCH, GROUP = str(Path(torch.__file__).parent), group.__file__
"""Where the frames of a rank that waits for others are."""


class Running(Protocol):
    """A measuring process, or a group of them, that was started."""

    def poll(self) -> int | None:
        """Return its exit code, negative for a signal; None while it runs."""

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it at once, and wait for that."""

    def stack(self) -> list[str]:
        """Return the lines of its stack, the innermost call first; none if it cannot be had."""

    def cause(self, code: int) -> Failure:
        """Return why it has ended, with this exit code."""

    def last_line(self) -> str:
        """Return the last error in its output, or else its last line."""

    def close(self) -> None:
        """Remove its files."""


Launch = Callable[[Share], Running]


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

    def __call__(self, share: Share) -> Running:
        """Start a process by its index, or the group of a device."""
        processes = processes_of(share.device)
        scratch = ScratchDirectory()
        files = str(scratch.path)
        facts = {} if processes is None else thread_facts()
        assignment = Assignment(str(self._journal), share.process, os.getpid(), files, share.device, facts)
        if (cpus := affinity()) is not None:  # loading torch may have pinned this process to one CPU
            os.sched_setaffinity(0, cpus)
        # Without -P, Python would let a file in the current directory hide one of the same name elsewhere,
        # which the command `pytest` does not.
        flags = [] if str(Path.cwd()) in sys.path or "" in sys.path else ["-P"]
        python = [sys.executable, *flags]
        command = [*python, "-m", "pytest", *self._arguments]
        environment = {**os.environ, VARIABLE: assignment.as_text()}
        if processes is None:
            popen = self._start(command, environment, assignment.output)
            return MeasuringProcess(popen, assignment, scratch)
        environment |= {FAILURE_VARIABLE: str(assignment.cause), **_threads_of_rank(processes)}
        agent = [*python, "-m", "breakeven.plugin.agent", str(processes), *command]
        return MeasuringGroup(self._start(agent, environment, assignment.output), assignment, scratch)

    def _start(
        self, command: Sequence[str], environment: dict[str, str], output: Path
    ) -> subprocess.Popen[bytes]:
        with output.open("ab") as file:
            return subprocess.Popen(
                command,
                cwd=self._directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=None if self._shows_output else file,
                stderr=None if self._shows_output else file,
            )


class MeasuringProcess:
    """A measuring process that was started."""

    def __init__(
        self, popen: subprocess.Popen[bytes], assignment: Assignment, files: ScratchDirectory
    ) -> None:
        self._popen = popen
        self._assignment = assignment
        self._files = files

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
        return _stack_in(self._assignment.stack(0))

    def cause(self, code: int) -> Failure:
        """Return why it has ended, with this exit code."""
        ended = self.last_line().partition("breakeven: ")[2].rstrip("! ") if code == UNFORESEEN else ""
        return Failure(0, OutcomeKind.CRASHED, ended or death(code))

    def last_line(self) -> str:
        """Return the last error in its output, or else its last line."""
        with self._assignment.output.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - MAX_TAIL))
            lines = [line for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
        errors = [line[1:] for line in lines if line.startswith("E   ")]  # as pytest marks them
        return one_line((errors or lines or [""])[-1].strip(), MAX_LINE)

    def close(self) -> None:
        """Remove its files."""
        self._files.close()


class MeasuringGroup(MeasuringProcess):
    """The processes of a group, its ranks, with the agent of torchrun that was started for them."""

    def kill(self) -> None:
        """End all of them at once, and wait for that: also where the kernel does not end the ranks."""
        ranks = self._ranks()
        super().kill()
        for rank in ranks:
            with suppress(psutil.NoSuchProcess):  # it ended with the agent
                rank.kill()
        psutil.wait_procs(ranks, timeout=KILLED_S)

    def stack(self) -> list[str]:
        """Return the stack of the rank that hangs: that of one which does not just wait for the others."""
        ranks = self._ranks()
        if STACK_SIGNAL is None or not ranks:
            return []
        for rank in ranks:
            rank.send_signal(STACK_SIGNAL)
        time.sleep(STACK_S)
        return min((_stack_in(self._assignment.stack(rank)) for rank in range(len(ranks))), key=_waiting)

    def cause(self, code: int) -> Failure:
        """Return why it has ended: what the agent has noted last, or else what a rank has."""
        failures = noted(self._assignment.cause)
        return failures[-1] if failures else Failure(UNKNOWN, OutcomeKind.CRASHED, death(code, "torchrun"))

    def last_line(self) -> str:
        """Return the last error in the output; nothing where a rank itself has noted the cause."""
        return "" if len(noted(self._assignment.cause)) > 1 else super().last_line()

    def _ranks(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self._popen.pid).children()
        except psutil.NoSuchProcess:
            return []


def _stack_in(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    return [line.strip() for line in lines if line.strip().startswith("File ")]


def _waiting(stack: Sequence[str]) -> int:
    """Return how likely a rank just waits for another one: the least in the user's code."""
    if not stack:
        return 3
    if GROUP in stack[0] or f"{TORCH}/distributed" in stack[0]:
        return 2
    return int(TORCH in stack[0])


def _threads_of_rank(processes: int) -> dict[str, str]:
    """Return the variables that give each rank its share of the threads that one process uses."""
    share = str(max(1, default_threads() // processes))
    names = ["OMP_NUM_THREADS", *(["MKL_NUM_THREADS"] if "MKL_NUM_THREADS" in os.environ else [])]
    return dict.fromkeys(names, share)


def _seed_of_randomly(option: Any) -> list[str]:
    """Return the option with which pytest-randomly gives every process the seed of this one."""
    seed = getattr(option, "randomly_seed", None)
    return [] if seed is None else [f"--randomly-seed={seed}"]
