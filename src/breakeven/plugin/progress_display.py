"""Shows the progress of our cases on pytest's terminal, in place of the dots that pytest would write.

Owns the writing, and what pytest leaves out for it: the dots and the file names of our own cases. A failure
keeps its letter, on a line with the case's name; other people's tests keep everything. Refuses to choose the
words of the progress, and to write while a case is timed: only between two.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator
from typing import Any

import pytest

from breakeven.plugin.progress import Last, Look, Progress, look_for


def show(session: pytest.Session, progress: Progress, last_of: Callable[[str], Last]) -> None:
    """Put our progress in the place of pytest's dots, unless something else was asked for.

    Another reporter than pytest's own draws a progress of its own.
    """
    config = session.config
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    if type(reporter).__module__ != "_pytest.terminal":
        return
    look = look_for(
        is_terminal=bool(reporter.isatty),
        is_ci=any(os.environ.get(name) for name in ("CI", "BUILD_NUMBER")),  # as pytest tells it
        verbosity=config.get_verbosity(pytest.Config.VERBOSITY_TEST_CASES),
    )
    if look is not None:
        is_mixed = any(item.nodeid not in progress for item in session.items)
        config.pluginmanager.register(Display(reporter, progress, last_of, look, is_mixed=is_mixed))


class Display:
    """A plugin of pytest's for the length of one test loop.

    Args:
        reporter: pytest's terminal reporter.
        progress: the cases.
        last_of: how the case of an id has ended.
        look: one line in place, or lines of their own.
        is_mixed: whether other tests run too; pytest's percentages then count our cases with theirs.
    """

    def __init__(
        self,
        reporter: Any,
        progress: Progress,
        last_of: Callable[[str], Last],
        look: Look,
        *,
        is_mixed: bool,
    ) -> None:
        self._reporter = reporter
        self._progress = progress
        self._last_of = last_of
        self._look = look
        self._is_mixed = is_mixed
        self._shows_paths = reporter.showfspath
        self._letter = ""
        self._drawn = False
        self._is_over = False

    @pytest.hookimpl(tryfirst=True)  # before pytest writes the name of the file
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Say where we are."""
        if nodeid not in self._progress:
            self._erase()
            self._reporter.showfspath = self._shows_paths
            return
        self._reporter.ensure_newline()
        self._reporter.showfspath = False
        self._progress.start(nodeid)
        if self._look is Look.LIVE:
            self._draw()
            return
        line = self._progress.line_if_due()
        if line is not None:
            self._reporter.write_line(line)
            self._reporter.flush()  # a pipe would keep it until there is more

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, object, object]:
        """Write what is neither passed nor skipped on a line of its own: pytest's letter and the case."""
        result = yield
        if report.nodeid in self._progress and not _is_quiet(report):
            self._erase()
            name = self._last_of(report.nodeid).name
            self._reporter.write_line(f"{self._letter} {name}", red=report.failed, yellow=not report.failed)
            self._reporter.flush()
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # around whoever knows the letter, as for xfail
    def pytest_report_teststatus(self, report: Any) -> Generator[None, Any, Any]:
        """Let pytest count our cases without writing a letter; its summary keeps its words."""
        status = yield
        if self._is_over or report.nodeid not in self._progress:
            return status
        category, self._letter, word = status
        return category, "", word if self._is_mixed else ""

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Note how the case has ended."""
        if nodeid in self._progress:
            self._progress.end(nodeid, self._last_of(nodeid))
            if self._progress.is_complete:
                self._erase()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Leave the terminal as pytest knows it, also where the run was stopped."""
        self._erase()
        self._reporter.showfspath = self._shows_paths
        self._is_over = True

    # Written raw, since pytest would take every rewriting for more text on its line, and wrap it. The return
    # comes apart, since a text that the terminal cannot encode is written escaped.
    def _draw(self) -> None:
        columns = _columns()
        self._reporter.write_raw("\r")
        self._reporter.write_raw(self._progress.line(columns).ljust(columns), flush=True)
        self._drawn = True

    def _erase(self) -> None:
        if self._drawn:
            self._reporter.write_raw("\r" + " " * _columns() + "\r", flush=True)
            self._drawn = False


def _is_quiet(report: Any) -> bool:
    return (report.passed or report.skipped) and not hasattr(report, "wasxfail")


def _columns() -> int:
    """Return how many columns a line may fill: the last one would make some terminals begin another."""
    return max(1, shutil.get_terminal_size().columns - 1)
