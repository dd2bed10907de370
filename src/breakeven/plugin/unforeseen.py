"""Ends a pytest run in one line where breakeven itself fails, and not in pytest's INTERNALERROR.

pytest then finishes as it does after `pytest.exit`: what was measured is kept.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Generator
from typing import Any

import pytest

from breakeven.errors import UNFORESEEN, BreakevenError, is_own, report_text, unforeseen_text
from breakeven.format import one_line
from breakeven.plugin.collection import BenchModule
from breakeven.plugin.terminal import make_printable

Wrapped = Generator[None, Any, Any]

_PYTESTS = (pytest.UsageError, pytest.exit.Exception, pytest.Session.Failed)


class UnforeseenErrors:
    """The plugin around the hooks that call all others. `kept` returns where the timings are so far."""

    def __init__(self, kept: Callable[[], str]) -> None:
        self._kept = kept

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> Wrapped:
        """End the run where an option or the surroundings cannot be handled."""
        return (yield from self._one_line(session.config))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> Wrapped:
        """End the run where the benchmarks cannot be collected."""
        return (yield from self._one_line(session.config))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Wrapped:
        """End the run where it cannot go on."""
        return (yield from self._one_line(session.config))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Wrapped:
        """Keep the journal where no run file can be made of it."""
        return (yield from self._one_line(session.config))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Report a file that cannot be collected in one line, as one error of the collection."""
        report = yield
        if isinstance(collector, BenchModule):
            make_printable(collector.config, report)
        excinfo = getattr(getattr(report, "call", None), "excinfo", None)
        if excinfo is not None and _is_unforeseen(excinfo.value):
            report.longrepr = f"breakeven: {unforeseen_text(excinfo.value)}, with the benchmark"
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add where to report an error to the reason of a case that it failed."""
        report = yield
        error = None if call.excinfo is None else call.excinfo.value
        if isinstance(error, Exception) and report.failed and (text := report_text(error)):
            report.longrepr = f"{type(error).__name__}: {one_line(error, 300)}{text}"
        return report

    def _one_line(self, config: pytest.Config) -> Wrapped:
        try:
            return (yield)
        except BreakevenError as error:
            pytest.exit(f"breakeven: {error}", returncode=pytest.ExitCode.USAGE_ERROR)
        except Exception as error:
            if not _is_unforeseen(error):
                raise
            if config.option.fulltrace:
                traceback.print_exc()
            line = f"{unforeseen_text(error)}, with the benchmark (--full-trace shows more){self._kept()}"
            pytest.exit(f"breakeven: {line}", returncode=UNFORESEEN)


def _is_unforeseen(error: BaseException) -> bool:
    return not isinstance(error, (*_PYTESTS, BreakevenError)) and is_own(error)
