"""A measuring process: pytest with the coordinator's arguments, which times its share and journals it.

It writes no results but the journal, and keeps pytest's options and plugins that would from doing so. It ends
with its coordinator, and leaves Ctrl-C to it.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import pytest
from _pytest.terminal import TerminalReporter  # exported by pytest itself only in later versions

from breakeven.case import OutcomeKind
from breakeven.errors import UsageError
from breakeven.format import one_line, plural
from breakeven.hardware.orphans import end_with_parent
from breakeven.plugin.assignment import Assignment
from breakeven.runs.journal import (
    TIMED,
    CaseEnded,
    CaseStarted,
    JournalFile,
    JournalUnwritableError,
    Line,
    ProcessEnded,
    ProcessStarted,
    Share,
    read_journal,
)

if TYPE_CHECKING:
    from breakeven.plugin.measuring import MeasuringSession

RESTART, JOURNAL_FAILED = 75, 74
"""Exit codes: of a process that lost its device, and of one that could not write the journal (sysexits.h's
"try again" and "input/output error")."""

STACK_SIGNAL = getattr(signal, "SIGUSR1", None)

UNSET: dict[str, Any] = {
    "benchmark_json": None, "benchmark_save": None, "benchmark_autosave": None, "benchmark_compare": None,
    "benchmark_compare_fail": None, "benchmark_histogram": None, "benchmark_cprofile": None,
    "xmlpath": None, "log_file": os.devnull, "durations": None, "pastebin": None, "report_log": None,
    "json_report": False, "htmlpath": None, "cov_report": {"": ""}, "cov_append": True, "cov_fail_under": 0,
    "verbose": -2,
}  # fmt: skip
"""The options with which pytest and its plugins write files and summaries: those are the coordinator's. What
was covered is appended, and combined there; the report with an empty name is pytest-cov's word for none."""

RESELECTING = ("lfplugin", "nfplugin", "stepwiseplugin")
"""pytest's plugins that choose tests by the last run and remember this one, as the coordinator does."""

RERUNNING = ("rerunfailures", "pytest-retry", "flaky")
"""Plugins that run a failed test again, which one process of a group cannot do alone."""


class Reporter(TerminalReporter):  # type: ignore[misc]  # it is final to type checkers
    """Prints no results and no summary: for one alone, a plugin may load for a second.

    It keeps no report either, which a process of thousands of cases would have to the end.
    """

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Leave the report to the journal."""

    def pytest_sessionfinish(self) -> None:  # type: ignore[override]
        """Skip the summary."""


class Worker:
    """The plugin of a measuring process. `rank` is its number in a group of processes."""

    rank = 0
    is_rank = False
    unset: ClassVar[Mapping[str, Any]] = UNSET

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.share = Share(assignment.process, assignment.device)
        self.process = assignment.process
        self.journal = read_journal(assignment.journal)
        self._file = JournalFile(Path(assignment.journal))
        self._began_s = 0.0
        self._output = assignment.output.open("a")  # until the process ends
        self._stack = assignment.stack(self.rank).open("w")  # likewise
        self._traceback = ""
        self._stopped = ""
        self._session: MeasuringSession | None = None
        end_with_parent()  # elsewhere than on Linux, it notices later
        self._end_if_alone()
        if STACK_SIGNAL is not None:
            faulthandler.register(STACK_SIGNAL, self._stack, all_threads=False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def select(self, items: list[pytest.Item]) -> None:
        """Keep the cases that this process has yet to time.

        Raises:
            UsageError: one was not collected here.
        """
        left = set(self.journal.left(self.share))
        items[:] = [item for item in items if item.nodeid in left]
        missing = left - {item.nodeid for item in items}
        if missing:
            raise UsageError(
                f"{plural(len(missing), 'case')} that pytest collected, such as {min(missing)}, "
                "cannot be collected again; collect the same in every process"
            )

    def hand_on(self, nodeid: str) -> list[Mapping[str, Any]]:
        """Return what the processes before this one hand on about a case."""
        return self.journal.hand_on(nodeid, self.process)

    @property
    def is_first(self) -> bool:
        """Whether no process has begun before this one."""
        return not self.journal.started

    def begin(self, session: MeasuringSession, order: list[str], look: dict[str, Any] | None) -> None:
        """Journal the start of the process, and what it found of the machine."""
        self._session = session
        self._write(
            ProcessStarted(
                process=self.process,
                device=self.share.device,
                pid=os.getpid(),
                seed=session.seed,
                order=order,
                machine=session.machine_at_start(self.assignment.facts),
                look=look,
            )
        )

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_load_initial_conftests(self, early_config: pytest.Config) -> Generator[None, object, object]:
        """Leave results to the coordinator; pytest-cov begins here."""
        self._unset(early_config.known_args_namespace)
        return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> None:
        """Leave results to the coordinator."""
        self._unset(config.option)

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Leave the choice of tests and the terminal to the coordinator."""
        plugins = config.pluginmanager
        for name in (*RESELECTING, *(RERUNNING if self.is_rank else ())):
            plugins.unregister(name=name)
        if plugins.unregister(name="terminalreporter") is not None:
            plugins.register(Reporter(config, self._output), "terminalreporter")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Journal the start and the end of a case."""
        self._end_if_alone()
        self._write(CaseStarted(process=self.process, case=item.nodeid))
        self._began_s, self._traceback = time.perf_counter(), ""
        try:
            result = yield
        except pytest.exit.Exception as stop:
            self._stopped = one_line(stop, 200) or "pytest.exit()"
            assert self._session is not None
            self._session.record_exit(item.nodeid, stop)
            self._end_case(item.nodeid)
            raise
        self._end_case(item.nodeid)
        return result

    def _end_case(self, nodeid: str) -> None:
        """Journal the end of a case."""
        assert self._session is not None
        self._end_together(nodeid)
        ended = self._session.ended(nodeid)
        ended.process, ended.seconds = self.process, time.perf_counter() - self._began_s
        ended.stack = self._traceback.splitlines()
        self._write(ended)
        self._session.release(nodeid)
        if ended.outcome == OutcomeKind.CRASHED or self._is_alone:  # only a new process can use the device
            self.leave(RESTART)

    def _end_together(self, nodeid: str) -> None:
        """End a case with the other processes of a group; here there are none."""

    @property
    def _is_alone(self) -> bool:
        """Whether the other processes of a group are lost."""
        return False

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Print an error of the collection, for the coordinator's message."""
        if report.failed:
            print(report.longreprtext, file=self._output, flush=True)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the traceback of a failure, if it is shown."""
        if report.failed and self._session is not None and self._session.options.wants_traceback:
            self._traceback = report.longreprtext

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Journal the end of the process."""
        if self._session is None or not self._session.has_begun:
            return
        record = self._session.record()
        self._write(
            ProcessEnded(
                process=self.process,
                device=self.share.device,
                state=self._session.machine()["state"],
                spent_s=record["spent_s"],
                wall_s=record["wall_s"],
                settings=record["settings"],
                stopped=self._stopped or str(session.shouldstop or ""),
            )
        )

    def _write(self, line: Line) -> None:
        try:
            self._file.write(line)
        except JournalUnwritableError as error:
            with suppress(OSError):  # that disk may be full, too
                print(f"\nE   {error}", file=self._output, flush=True)
            self.leave(JOURNAL_FAILED)

    def _end_if_alone(self) -> None:
        if os.getppid() != self.assignment.parent:
            os._exit(1)

    def _unset(self, option: Any) -> None:
        for name, value in self.unset.items():
            if hasattr(option, name):
                setattr(option, name, value)

    @staticmethod
    def leave(code: int) -> NoReturn:
        """End at once: what pytest and the device's library do at exit may hang or fail."""
        sys.stdout.flush()
        os._exit(code)


def ended_case(nodeid: str, benchmark: Any, hand_on: dict[str, Any], **facts: Any) -> CaseEnded:
    """Return the line of a timed case."""
    named: dict[str, Any] = benchmark.stats.as_dict(stats=False)
    extra_info = named.pop("extra_info")
    return CaseEnded(
        process=0,
        case=nodeid,
        outcome=TIMED,
        data=list(benchmark.stats.stats.data),
        extra_info=extra_info,
        hand_on=hand_on,
        benchmark=named,
        **facts,
    )
