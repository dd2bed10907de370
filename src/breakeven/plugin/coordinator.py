"""Runs the measuring processes of a run, one after another, until each case has ended in each of them.

It sleeps while they measure, and reads their journal. A process that dies costs the case in progress and is
replaced; one that hangs in a case is ended, with its stack in the journal.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from breakeven.case import OutcomeKind
from breakeven.errors import UsageError
from breakeven.format import duration, joined, one_line
from breakeven.plugin.launching import Launch, Running
from breakeven.plugin.worker import JOURNAL_FAILED
from breakeven.runs.journal import (
    CaseEnded,
    CaseStarted,
    Journal,
    JournalFile,
    JournalUnwritableError,
    Line,
    ProcessEnded,
    ProcessStarted,
)
from breakeven.runs.machine import CLASS_ID, differences, machine_of

if TYPE_CHECKING:
    from breakeven.plugin.progress import RunProgress

POLL_S = 0.1
"""The time between two looks at the journal."""

TERMINATE_S = 3.0
"""What a process has to end after it was asked to, before it is killed."""

MIN_GRACE_S, GRACE = 1.0, 0.1
"""A process ends a case at its time limit; it has this much more, and this share of the limit, before it is
taken to hang."""

MIN_SILENT_S = 60.0
"""A process that has timed a case begins another, or exits, within this time."""

START_S = 600.0
"""A process begins its first case within this time: it loads torch and whatever the benchmarks import."""

MAX_STARTS = 3
"""The number of starts after which processes that are killed before their first case end the run."""


class Coordinator:
    """Runs what is missing of each measuring process.

    Args:
        journal: what was measured so far.
        file: the journal, to which it writes how a process died.
        launch: starts a process by its number.
        timeout_s: what a case may take.
        max_failures: stop after this number of failed or crashed cases; 0 for never.
        progress: shows what happens.
        look: looks at the machine before a process is started, given whether it is the first.
        clock: seconds.
        sleep: waits for some seconds.
    """

    def __init__(
        self,
        journal: Journal,
        file: JournalFile,
        launch: Launch,
        timeout_s: float,
        max_failures: int,
        progress: RunProgress,
        look: Callable[..., object],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._journal = journal
        self._file = file
        self._launch = launch
        self._limit_s = timeout_s + max(MIN_GRACE_S, GRACE * timeout_s)
        self._timeout_s = timeout_s
        self._progress = progress
        self._look = look
        self._clock = clock
        self._sleep = sleep
        self._max_failures = max_failures
        self._failures = 0
        self._failed_starts = 0
        self._seen: set[type[Line]] = set()
        self._heard_s = 0.0

    def run(self) -> None:
        """Run every process; returns early if one stops with cases left, as by -x.

        Raises:
            UsageError: a process cannot start, or is on another machine class than those before.
            JournalUnwritableError: a process could not write the journal.
        """
        for process in range(self._journal.run.processes):
            while self._journal.left(process):
                self._progress.begin_process(process)
                self._look(is_first=not self._journal.started)
                running = self._launch(process)
                try:
                    code = self._watch(running)
                    if not self._goes_on(process, code, running):
                        return
                finally:
                    self._end(running)

    def _watch(self, running: Running) -> int:
        """Wait until a process has ended, or hangs; return its exit code."""
        self._seen, self._heard_s = set(), self._clock()
        self._journal.begun = None  # a resumed journal may end in a case
        while (code := running.poll()) is None:
            self._read()
            silent_s, begun = self._clock() - self._heard_s, self._journal.begun
            if begun is not None and silent_s > self._limit_s:
                self._end_hanging(begun, running)
                return 0
            min_silent_s = MIN_SILENT_S if CaseEnded in self._seen else START_S
            if begun is None and silent_s > max(self._limit_s, min_silent_s):
                running.kill()  # it hangs before its first case, between two, or at its exit
            self._sleep(POLL_S)
        self._read()
        return code

    def _read(self) -> None:
        lines = list(self._journal.read_on())
        for line in lines:
            self._seen.add(type(line))
            self._heard_s = self._clock()
            if isinstance(line, ProcessStarted):
                self._refuse_other_machine(line)
            elif isinstance(line, CaseEnded):
                self._failures += self._journal.ended[line.case][line.process].is_failure
            self._progress.show(line)
        if lines:
            self._file.flush()

    def _goes_on(self, process: int, code: int, running: Running) -> bool:
        """Return whether another process may start; journal the case in which this one died."""
        if code == JOURNAL_FAILED:
            raise JournalUnwritableError(running.last_line())
        begun = self._journal.begun
        if begun is not None:
            self._write(
                CaseEnded(process=process, case=begun.case, outcome=OutcomeKind.CRASHED, reason=_death(code))
            )
        if self._max_failures and self._failures >= self._max_failures:
            return False  # a process stops by itself, but does not know those of the processes before it
        if begun is not None:
            return True
        if ProcessEnded in self._seen and self._journal.left(process):
            if code == pytest.ExitCode.INTERNAL_ERROR:
                raise UsageError(
                    f"measuring process {process + 1} ended with an error of pytest or a plugin "
                    f"({running.last_line()}); what it has measured is in {self._journal.path}"
                )
            return False
        if ProcessEnded in self._seen:
            return True
        if CaseEnded in self._seen:
            return True  # it left because its device was lost, or died between two cases
        self._failed_starts += 1
        if code < 0 and self._failed_starts < MAX_STARTS:
            return True  # somebody killed it
        last = running.last_line()
        raise UsageError(
            f"measuring process {process + 1} did not start ({_death(code)}{f': {last}' if last else ''}); "
            "--breakeven-processes=0 measures in pytest's own process and shows the error"
        )

    def _end_hanging(self, begun: CaseStarted, running: Running) -> None:
        stack = running.stack()
        where = f", in {one_line(stack[0], 200)}" if stack else ""
        running.kill()
        self._read()
        if self._journal.begun is not begun:  # it has ended meanwhile
            self._journal.begun = None
            return
        reason = (
            f"took more than {duration(self._timeout_s)} without an end{where}; fix what waits, measure "
            f"smaller batches, or use --breakeven-timeout={2 * self._timeout_s:g}"
        )
        self._write(
            CaseEnded(
                process=begun.process,
                case=begun.case,
                outcome=OutcomeKind.TIMEOUT,
                reason=reason,
                stack=stack,
            )
        )

    def _write(self, line: CaseEnded) -> None:
        self._file.write(line)
        self._read()

    def _refuse_other_machine(self, started: ProcessStarted) -> None:
        """Refuse to join processes of two machine classes, as where a journal was resumed elsewhere."""
        first = self._journal.started[min(self._journal.started)]
        different = differences(machine_of({"breakeven": one.machine}) for one in (first, started))
        if different:
            fields = joined([f"{name} ({' and '.join(values)})" for name, values in different.items()], 3)
            raise UsageError(
                f"the machine is another one than that of {self._journal.path}: {fields or CLASS_ID} differ; "
                "measure again without --breakeven-resume"
            )

    def _end(self, running: Running) -> None:
        """End a process that still runs: after Ctrl-C, a refusal, or a hanging case."""
        if running.poll() is None:
            running.terminate()
            give_up_s = self._clock() + TERMINATE_S
            while running.poll() is None and self._clock() < give_up_s:
                self._sleep(POLL_S)
            running.kill()
        running.close()


def _death(code: int) -> str:
    """Return how a process ended.

    >>> _death(-11), _death(3)
    ('its process was ended by SIGSEGV', 'its process exited with 3')
    """
    if code >= 0:
        return f"its process exited with {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = ", as when memory runs out" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{hint}"
