"""The progress of a run: one line on a terminal, a plain line every ten seconds elsewhere, in place of dots.

It is written only between cases, through pytest's own reporter: a thread that redraws it while a case is
timed would take a core away, and small machines have few. `RunProgress` shows that of measuring processes,
`Progress` and its display that of cases in pytest's own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import pytest

from breakeven.case import OutcomeKind
from breakeven.fitness import Look
from breakeven.format import one_line, printable
from breakeven.plugin.busy import busy_lines
from breakeven.plugin.live_line import LiveLine, Pace
from breakeven.runs.journal import CaseEnded, Journal, Line, ProcessStarted, Share

if TYPE_CHECKING:
    from breakeven.plugin.estimate import DurationEstimate
    from breakeven.plugin.replaying import ReplayingSession
    from breakeven.plugin.session import BenchmarkSession

INTERVAL_S = 10.0
"""Plain lines are at least this far apart; a shorter run has none."""

REDRAW_S = 1.0
"""The line of a terminal is drawn at most this often while another process measures."""


class Progress:
    """Counts the cases that have begun, and estimates the time of the rest.

    Args:
        estimate: the cases, and how long they take.
        clock: seconds; injected by tests.
    """

    def __init__(self, estimate: DurationEstimate, clock: Callable[[], float] = time.perf_counter) -> None:
        self._estimate = estimate
        self._ended: set[str] = set()
        self._last = ""
        self._clock = clock
        self._current: tuple[str, float] | None = None
        self._pace = Pace(clock)

    def __contains__(self, nodeid: str) -> bool:
        return nodeid in self._estimate

    @property
    def is_complete(self) -> bool:
        """Whether every case has ended."""
        return len(self._ended) == len(self._estimate)

    def start(self, nodeid: str) -> None:
        """Begin a case."""
        self._current = (nodeid, self._clock())

    def end(self, nodeid: str, result: str, step_s: float | None = None, canary_s: float = 0.0) -> None:
        """End the current case.

        Args:
            nodeid: the case.
            result: what the line shows of it.
            step_s: its whole step, in seconds, None if it is unknown.
            canary_s: the seconds of the canary before it.
        """
        now = self._clock()
        began = now if self._current is None else self._current[1]
        self._estimate.end(nodeid, now - began, step_s, canary_s)
        self._ended.add(nodeid)
        self._last, self._current = result, None

    def line(self) -> str:
        """Return the line of the current case."""
        begun = {*self._ended, *([] if self._current is None else [self._current[0]])}
        last = f"; last: {self._last}" if self._last else ""
        return (
            f"breakeven: case {len(begun)} of {len(self._estimate)}, {_time_left(self._estimate)} left{last}"
        )

    def line_if_due(self, interval_s: float | None = None) -> str | None:
        """Return the line if this time, or else `INTERVAL_S`, has passed since the last one or the start."""
        return self._pace.text_if_due(self.line, INTERVAL_S if interval_s is None else interval_s)


def clock_time(duration_s: float) -> str:
    """Return a duration as a clock shows it, rounded up to a second.

    >>> clock_time(4.2), clock_time(72.0), clock_time(3723.0)
    ('0:05', '1:12', '1:02:03')
    """
    minutes, rest = divmod(math.ceil(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _time_left(estimate: DurationEstimate) -> str:
    left = estimate.left()
    low, high = clock_time(left.low_s), clock_time(left.high_s)
    return low if low == high else f"{low} to {high}"


class RunProgress:
    """The progress of the measuring processes of a run, from the lines of their journal.

    Args:
        reporter: pytest's own, None where another plugin has replaced it.
        journal: the journal, with the plan.
        estimate: how long the cases take.
        label: returns the name of a case.
        is_quiet: whether nothing but problems is shown.
        clock: seconds; injected by tests.
    """

    def __init__(
        self,
        reporter: Any,
        journal: Journal,
        estimate: DurationEstimate,
        label: Callable[[str], str],
        *,
        is_quiet: bool = False,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._line = None if reporter is None else LiveLine(reporter)
        self._journal = journal
        self._estimate = estimate
        self._label = label
        self._is_quiet = is_quiet
        self._clock = clock
        self._share = Share(0)
        self._cases: list[str] = []
        self._last, self._problem = "", ("", "")
        self._pace = Pace(clock)

    def begin(self, share: Share) -> None:
        """Show that a process, or a group of them, is started."""
        journal = self._journal
        self._share, self._cases = share, journal.wanted(share)
        if share.process > 0:  # before that, nothing is known to be timed
            left = {(case, one.process) for one in journal.shares for case in journal.left(one)}
            self._estimate.only(left)
        self._draw()

    def show(self, line: Line) -> None:
        """Show what has happened."""
        if isinstance(line, ProcessStarted) and (look := Look.from_dict(line.look)) is not None:
            for warning in busy_lines(look):
                self.say(warning)
        if isinstance(line, CaseEnded):
            self._last = f"{line.outcome}, {self._label(line.case)}"
            self._estimate.end(line.case, line.seconds, line.step_s, line.canary_s, line.process)
            is_problem = line.outcome in (OutcomeKind.CRASHED, OutcomeKind.TIMEOUT, OutcomeKind.FAILED)
            is_new, self._problem = self._problem != (line.outcome, line.reason), (line.outcome, line.reason)
            if is_problem and is_new:
                self.say(f"breakeven: {self._label(line.case)} {line.outcome}: {one_line(line.reason, 300)}")
        self._draw()

    def say(self, line: str) -> None:
        """Write a line that stays."""
        if self._line is not None:
            self._line.write(line)

    def close(self) -> None:
        """Leave the terminal as pytest expects it."""
        if self._line is not None:
            self._line.erase()

    def text(self) -> str:
        """Return the line: the process, the case in it, and the time that all processes still take."""
        process, device = self._share
        ended = sum(process in self._journal.ended.get(case, {}) for case in self._cases)
        last = f"; last: {self._last}" if self._last else ""
        case = min(len(self._cases), ended + 1)
        of = f" ({device})" if device else ""
        return (
            f"breakeven: process {process + 1} of {self._journal.run.processes}{of}, case {case} of "
            f"{len(self._cases)}, {_time_left(self._estimate)} left{last}"
        )

    def _draw(self) -> None:
        if self._line is None or self._is_quiet:
            return
        text = self._pace.text_if_due(self.text, REDRAW_S if self._line.is_live else INTERVAL_S)
        if text is not None:
            self._line.show(text)


def run_progress(session: pytest.Session, benchmarks: ReplayingSession) -> RunProgress:
    """Return the progress of a session's measuring processes."""
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    estimate = benchmarks.plan.estimate()
    assert estimate is not None
    return RunProgress(
        reporter,
        benchmarks.journal,
        estimate,
        benchmarks.plan.label,
        is_quiet=session.config.get_verbosity() < 0,
    )


def show_progress(session: pytest.Session, benchmarks: BenchmarkSession, *, is_live: bool) -> None:
    """Replace pytest's dots for breakeven's cases, unless -v or -q is given.

    A reporter other than pytest's own draws its own progress. `is_live` is whether the cases are timed now.
    """
    config, estimate = session.config, benchmarks.plan.estimate()
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    is_default = type(reporter).__module__ == "_pytest.terminal"
    if estimate and is_default and config.get_verbosity(pytest.Config.VERBOSITY_TEST_CASES) == 0:
        is_mixed = any(item.nodeid not in estimate for item in session.items)
        progress = Progress(estimate)
        display = ProgressDisplay(reporter, progress, benchmarks, is_mixed=is_mixed, is_live=is_live)
        config.pluginmanager.register(display)


class ProgressDisplay:
    """A pytest plugin that writes the progress of breakeven's cases instead of file names and dots.

    A failure keeps its letter, on a line with the case's name. The output of other tests is unchanged.
    `is_mixed` is whether there are any: pytest's percentages then include breakeven's cases. `is_live` is
    whether the cases are timed now; else there is nothing to wait for.
    """

    def __init__(
        self,
        reporter: Any,
        progress: Progress,
        benchmarks: BenchmarkSession,
        *,
        is_mixed: bool,
        is_live: bool,
    ) -> None:
        self._reporter = reporter
        self._progress = progress
        self._benchmarks = benchmarks
        self._is_mixed = is_mixed
        self._is_live = is_live
        self._line = LiveLine(reporter)
        self._shows_paths = reporter.showfspath
        self._letter = ""
        self._is_over = False

    @pytest.hookimpl(tryfirst=True)  # before pytest writes the name of the file
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Write the line of a case that begins."""
        if nodeid not in self._progress:
            self._line.erase()
            self._reporter.showfspath = self._shows_paths
            return
        self._reporter.ensure_newline()
        self._reporter.showfspath = False
        self._progress.start(nodeid)
        if not self._is_live:
            return
        line = self._progress.line_if_due(0.0 if self._line.is_live else None)
        if line is not None:
            self._line.show(line)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, object, object]:
        """Write a line for a case that neither passed nor was skipped: pytest's letter and the case."""
        result = yield
        is_quiet = (report.passed or report.skipped) and not hasattr(report, "wasxfail")
        is_quiet |= not self._is_live  # it was shown when the case failed
        if report.nodeid in self._progress and not is_quiet:
            self._line.erase()
            line = f"{self._letter} {self._benchmarks.plan.label(report.nodeid)}"
            self._reporter.write_line(printable(line), red=report.failed, yellow=not report.failed)
            self._reporter.flush()
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # around the plugins that provide the letter, as for xfail
    def pytest_report_teststatus(self, report: Any) -> Generator[None, Any, Any]:
        """Let pytest count breakeven's cases without writing a letter."""
        status = yield
        if self._is_over or report.nodeid not in self._progress:
            return status
        category, self._letter, word = status
        return category, "", word if self._is_mixed else ""

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Record how the case ended."""
        if nodeid in self._progress:
            benchmarks = self._benchmarks
            step_s, canary_s = benchmarks.step_s.get(nodeid), benchmarks.canary_s.get(nodeid, 0.0)
            self._progress.end(nodeid, benchmarks.result(nodeid), step_s, canary_s)
            if self._progress.is_complete:
                self._line.erase()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Leave the terminal as pytest expects it, also if the run was stopped."""
        self._line.erase()
        self._reporter.showfspath = self._shows_paths
        self._is_over = True
