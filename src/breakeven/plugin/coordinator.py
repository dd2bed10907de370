"""Runs the measuring processes of a run, one after another, until each case has ended in each of them.

It sleeps while they measure, and reads their journal. A process that dies costs the case in progress and is
replaced; one that hangs in a case is ended, with its stack in the journal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import pytest

from breakeven.case import OutcomeKind
from breakeven.device_names import processes_of
from breakeven.errors import UNFORESEEN, UnforeseenError, UsageError
from breakeven.format import duration, joined, one_line
from breakeven.measure.group import Failure
from breakeven.measure.users_code import is_users
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
    Share,
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


class Stop(NamedTuple):
    """How a measuring process ended the run, as by ``pytest.exit()``: why, and its exit code."""

    reason: str
    code: int


class Coordinator:
    """Runs what is missing of each measuring process.

    Args:
        journal: what was measured so far.
        file: the journal, to which it writes how a process died.
        launch: starts the process, or the group, of a share.
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

    def run(self) -> Stop | None:
        """Run every process; returns early if one stops with cases left, as by -x.

        Returns:
            how a process ended the run, None if none did.

        Raises:
            UsageError: a process cannot start, or is on another machine class than those before.
            JournalUnwritableError: a process could not write the journal.
        UnforeseenError: a process failed, and not in a case.
        """
        self._skip_indivisible()
        for share in self._journal.shares:
            while self._journal.left(share):
                self._progress.begin(share)
                self._look(is_first=not self._journal.started)
                running = self._launch(share)
                try:
                    code = self._watch(running)
                    ended = self._journal.finished.get(share) if ProcessEnded in self._seen else None
                    if ended is not None and ended.stopped:
                        return Stop(ended.stopped, code)
                    if not self._goes_on(share, code, running):
                        return None
                finally:
                    self._end(running)
        return None

    def _skip_indivisible(self) -> None:
        """Journal the cases whose batch cannot be divided among the processes of their device."""
        for share in self._journal.shares:
            processes = processes_of(share.device)
            for case in [] if processes is None else self._journal.left(share):
                batch_size = self._journal.run.cases[case]["batch_size"]
                if batch_size % processes:
                    reason = (
                        f"batch {batch_size} cannot be divided among {processes} processes; use a multiple"
                    )
                    self._end_case(share.process, case, OutcomeKind.SKIPPED, reason)

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

    def _goes_on(self, share: Share, code: int, running: Running) -> bool:
        """Return whether another process may start; journal the case in which this one died."""
        if code == JOURNAL_FAILED:
            raise JournalUnwritableError(running.last_line())
        begun = self._journal.begun
        if code == UNFORESEEN and begun is None:
            raise UnforeseenError(f"{_name(share)}: {running.cause(code).reason}")
        if begun is not None:
            cause = running.cause(code)
            self._end_case(share.process, begun.case, cause.outcome, cause.reason)
        if self._max_failures and self._failures >= self._max_failures:
            return False  # a process stops by itself, but does not know those of the processes before it
        if begun is not None:
            return True
        if ProcessEnded in self._seen and self._journal.left(share):
            if code == pytest.ExitCode.INTERNAL_ERROR:
                raise UsageError(
                    f"{_name(share)} ended with an error of pytest or a plugin "
                    f"({running.last_line()}); what it has measured is in {self._journal.path}"
                )
            return False
        if ProcessEnded in self._seen:
            return True
        if CaseEnded in self._seen:
            return True  # it left because its device was lost, or died between two cases
        last, cause = running.last_line(), running.cause(code)
        if share.device:  # which may be all that is wrong
            self._give_up(share, cause, last)
            return True
        self._failed_starts += 1
        if code < 0 and self._failed_starts < MAX_STARTS:
            return True  # somebody killed it
        raise UsageError(
            f"{_name(share)} did not start ({cause.reason}{f': {last}' if last else ''}); "
            "--breakeven-processes=0 measures in pytest's own process and shows the error"
        )

    def _give_up(self, share: Share, cause: Failure, last: str) -> None:
        """Journal that the cases of a group cannot be measured, because it does not start."""
        reason = (
            f"the processes of {share.device} did not start ({cause.reason}{f': {last}' if last else ''})"
        )
        for case in self._journal.left(share):
            self._end_case(share.process, case, OutcomeKind.FAILED, reason)

    def _end_hanging(self, begun: CaseStarted, running: Running) -> None:
        stack = running.stack()
        running.kill()
        self._read()
        if self._journal.begun is not begun:  # it has ended meanwhile
            self._journal.begun = None
            return
        reason = (
            f"took more than {duration(self._timeout_s)} without an end{_where(stack)} measure "
            f"smaller batches, or use --breakeven-timeout={2 * self._timeout_s:g}"
        )
        self._end_case(begun.process, begun.case, OutcomeKind.TIMEOUT, reason, stack)

    def _end_case(
        self, process: int, case: str, outcome: OutcomeKind, reason: str, stack: Sequence[str] = ()
    ) -> None:
        self._file.write(
            CaseEnded(process=process, case=case, outcome=outcome, reason=reason, stack=list(stack))
        )
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
        """End a process that still runs: after Ctrl-C, a refusal, or a hanging case.

        What it has journaled until then counts.
        """
        if running.poll() is None:
            running.terminate()
            give_up_s = self._clock() + TERMINATE_S
            while running.poll() is None and self._clock() < give_up_s:
                self._sleep(POLL_S)
            running.kill()
            for _ in self._journal.read_on():
                pass
        running.close()


def _where(stack: Sequence[str]) -> str:
    """Return where a case hangs, which helps only where that is a line of the user's."""
    file = stack[0].partition('"')[2].partition('"')[0] if stack else ""
    return (
        f", in {one_line(stack[0], 200)}; fix what waits," if file and is_users(file) else ", still running;"
    )


def _name(share: Share) -> str:
    """Return what a message calls a share.

    >>> _name(Share(0)), _name(Share(1, "2xcuda"))
    ('measuring process 1', 'measuring process 2 of 2xcuda')
    """
    of = f" of {share.device}" if share.device else ""
    return f"measuring process {share.process + 1}{of}"
