"""pytest's and pytest-benchmark's hooks of the results: reports, the run file, and the summary."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

import pytest

from breakeven.files import discard_unread_output
from breakeven.format import printable
from breakeven.plugin.stash import BENCHMARKS, WORKER, write_line


@pytest.hookimpl(wrapper=True, tryfirst=True)  # after pytest-benchmark has set `skipped`
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Record why a case has no timing, for any reason."""
    report = yield
    benchmarks = item.config.stash.get(BENCHMARKS, None)
    if benchmarks is not None and item.nodeid in benchmarks.plan.cases:
        if report.outcome != "passed":
            benchmarks.record_report(item.nodeid, report.outcome, report.longrepr)
        if report.when == "call":
            report.duration += benchmarks.measured_s(item.nodeid)
        benchmark = getattr(item, "funcargs", {}).get("benchmark")
        if benchmark is not None:
            # Else pytest-benchmark warns that it was not used, and -W error fails it.
            benchmark.skipped = True
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Add the machine's facts."""
    benchmarks = config.stash.get(BENCHMARKS, None)
    if benchmarks is not None and benchmarks.has_begun and (facts := benchmarks.machine()):
        machine_info["breakeven"] = facts


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_benchmark_compare_machine_info(compared_benchmark: dict[str, Any]) -> None:
    """Hide breakeven's facts from pytest-benchmark's comparison, which runs before this run has any."""
    compared_benchmark["machine_info"].pop("breakeven", None)


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Add the outcomes of cases without a timing."""
    benchmarks = config.stash.get(BENCHMARKS, None)
    if benchmarks is not None and benchmarks.has_begun:
        benchmarks.complete(output_json)


@pytest.hookimpl(optionalhook=True, hookwrapper=True)
def pytest_benchmark_group_stats(config: pytest.Config, benchmarks: list[dict[str, Any]]) -> Iterator[None]:
    """Keep breakeven's cases out of pytest-benchmark's wide table, unless an option asks for that table.

    Cases that ended during their rounds are never in that table.
    """
    ours = config.stash.get(BENCHMARKS, None)
    if ours is not None:
        hidden = ours.outcomes if ours.options.wants_table else ours.plan.cases
        shown = [item for item in benchmarks if item["fullname"] not in hidden]
        # The last attempt at each, and what --benchmark-compare adds of the same name.
        benchmarks[:] = {(item["fullname"], item.get("source")): item for item in shown}.values()
    yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """Write the run file also if nothing was timed, and report it if it cannot be written."""
    config = session.config
    benchmarks = config.stash.get(BENCHMARKS, None)
    if benchmarks is None:
        return (yield)
    discard_unread_output()
    with closing(benchmarks):
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Not saving anything, no benchmarks have been run")
                yield
        except OSError as error:
            if not benchmarks.has_begun:
                raise
            benchmarks.run_file.save_elsewhere(error)
            _repeat_terminal_summary(session)
        try:
            if benchmarks.has_begun and benchmarks.is_kept:
                benchmarks.run_file.write_without_timings(config)
        except OSError as error:
            benchmarks.run_file.save_elsewhere(error)
            write_line(config, f"breakeven: {benchmarks.run_file.problem}")
    if benchmarks.run_file.problem is not None:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the short table, the cases without a timing, and how the time was spent."""
    benchmarks = config.stash.get(BENCHMARKS, None)
    if benchmarks is not None and benchmarks.has_begun and not config.pluginmanager.has_plugin(WORKER):
        from breakeven.render.terminal import WIDTH

        # A pipe has no width.
        columns = config.get_terminal_writer().fullwidth if terminalreporter.isatty else WIDTH
        for line in benchmarks.summary(columns):
            terminalreporter.write_line(printable(line))


def _repeat_terminal_summary(session: pytest.Session) -> None:
    """Print the summary if pytest's reporter did not, because of an error."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        session.config.hook.pytest_terminal_summary(
            terminalreporter=reporter, exitstatus=session.exitstatus, config=session.config
        )
