"""Door 1: the pytest plugin. ``pytest bench --benchmark-json=run.json`` times every swept case.

Owns pytest's hooks, the options' names and the ``train_benchmark`` fixture. Refuses to do the work of a hook:
`collecting` finds the cases, `options` reads what was asked, `running` times. Without a collected sweep it
changes nothing and imports nothing heavy.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from breakeven.errors import BreakevenError, UsageError
from breakeven.plugin.collection import (
    BenchModule,
    WrongMark,
    case_of,
    is_bench_file,
    is_case,
    is_ours,
    keep_listed,
    parametrize,
)
from breakeven.plugin.selection import Selection, selection_in
from breakeven.plugin.sweeps import is_swept, sweeps_of

if TYPE_CHECKING:
    from breakeven.plugin.session import BenchmarkSession

RUN = pytest.StashKey["BenchmarkSession"]()
SELECTION = pytest.StashKey[Selection]()
MISSING = pytest.StashKey[str]()
"""The line on listed cases that were not collected."""
CALLED = pytest.StashKey[bool]()
"""Of an item: whether its function has called `train_benchmark`."""

MARKER = (
    "sweep(name=None, /, batch_size, **axes): time every phase of a training step for the product of these "
    "values; a sweep with a name is chosen by --breakeven-sweep=NAME"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options, and ini keys of the same names."""
    group = parser.getgroup("breakeven", "breakeven: CPU against accelerator, for training")
    for name, metavar, text in (
        ("devices", "NAMES", "comma-separated: cpu, cpu@4 (that many threads), cuda, cuda:1, mps, xpu. "
         "Default: cpu and the accelerator; cpu@1,cpu where there is none."),
        ("phases", "NAMES", "comma-separated: transfer, forward, backward, step, train. Default: all."),
        ("sweep", "NAME|KEY=VALUES", "a sweep's name (functions without it run their default one), or other "
         "values for its arguments, as in 'batch_size=1,64 width=128'."),
    ):  # fmt: skip
        group.addoption(f"--breakeven-{name}", metavar=metavar, help=text)
        parser.addini(f"breakeven_{name}", help=text, default="")


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", MARKER)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Read the list of wanted cases before anything is collected: a dead file must cost nobody a run."""
    try:
        selection = selection_in(os.environ)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    if selection is not None:
        session.config.stash[SELECTION] = selection


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(
    file_path: Path, parent: pytest.Collector
) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Collect a ``bench_*.py`` that pytest itself leaves out."""
    found = yield
    if not is_bench_file(file_path, parent.session) or any(isinstance(item, BenchModule) for item in found):
        return found
    return [*found, BenchModule.from_parent(parent, path=file_path)]


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Find the swept functions too in a ``bench_*.py`` that pytest collects itself."""
    if not is_bench_file(module_path, parent.session):
        return None
    module = BenchModule.from_parent(parent, path=module_path)
    module.is_the_projects_too = True
    return module


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> pytest.Item | list[pytest.Item] | None:
    """Put one failing item in the place of a function whose sweep is wrong; leave the others to pytest."""
    if not is_ours(collector, name, obj):
        return None
    run = _run_of(collector.config)
    assert callable(obj)
    try:
        sweeps = sweeps_of(obj)
    except UsageError as error:
        item: WrongMark = WrongMark.from_parent(collector, name=name, complaint=f"{name}: {error}")
        return item
    return [] if run.options.sweep_for(sweeps) is None else None


@pytest.hookimpl(trylast=True)  # after the user's own parametrize, so that a cell's phases stay together
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Turn a function's sweep into cases."""
    if not is_swept(metafunc.function) or "train_benchmark" not in metafunc.fixturenames:
        return
    run = _run_of(metafunc.config)
    sweep = run.options.sweep_for(sweeps_of(metafunc.function))
    if sweep is not None:
        parametrize(metafunc, sweep, run.options.devices, run.options.phases)


@pytest.hookimpl(trylast=True)  # after -k and -m have deselected
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Refuse options that cannot be used: here pytest turns that into one line and exit code 4.

    Of the benchmarks only the wanted ones stay.
    """
    run = config.stash.get(RUN, None)
    try:
        if run is not None:
            if not config.pluginmanager.hasplugin("benchmark"):
                raise UsageError(
                    "a sweep needs pytest-benchmark, which is turned off; leave out -p no:benchmark"
                )
            run.options.check()
        if SELECTION in config.stash:
            missing = keep_listed(session, items, config.stash[SELECTION])
            if missing is not None:
                config.stash[MISSING] = missing
        if run is None:
            return
        for item in items:
            if is_case(item):
                run.plan.add(item.nodeid, case_of(item))
            elif isinstance(item, WrongMark):
                run.plan.add(item.nodeid, None)
    except BreakevenError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Say how many of the wanted cases are not here."""
    return [f"breakeven: {config.stash[MISSING]}"] if MISSING in config.stash else []


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Say what will be measured, and make sure that the results can be written."""
    run = session.config.stash.get(RUN, None)
    option = session.config.option
    if run is None or option.collectonly or not run.plan.cases:
        return
    if session.testsfailed and not option.continue_on_collection_errors:
        return
    try:
        run.begin()
    except BreakevenError as error:
        raise pytest.UsageError(str(error)) from None
    _say(session.config, run.plan.told())
    progress = run.plan.progress()
    if progress is not None:
        from breakeven.plugin.progress_display import show

        show(session, progress, run.last)


@pytest.fixture
def breakeven_device(request: pytest.FixtureRequest) -> Any:
    """Return the device of the case; parametrized by the sweep."""
    pytest.fail(
        f"train_benchmark needs @pytest.mark.sweep(batch_size=[...]) on {request.node.name}", pytrace=False
    )


@pytest.fixture
def breakeven_phase() -> Any:
    """Return the phase of the case; parametrized by the sweep, as the device is."""


@pytest.fixture
def train_benchmark(
    request: pytest.FixtureRequest,
    breakeven_device: Any,
    breakeven_phase: Any,  # noqa: ARG001 - requested so that the sweep can parametrize it
    benchmark: Any,
) -> Callable[[Callable[[], Any]], None]:
    """Return a function that takes a recipe, ``() -> Workload``, and times the case's phase of it."""
    run, item = _run_of(request.config), request.node
    case = case_of(item)
    item.stash[CALLED] = False
    # Plain words in the run file, and names for --benchmark-group-by=param:phase.
    benchmark.params = {
        "batch_size": case.batch_size, **dict(case.axes), "device": case.device, "phase": case.phase
    }  # fmt: skip

    def train(recipe: Callable[[], Any]) -> None:
        __tracebackhide__ = True
        again, item.stash[CALLED] = item.stash[CALLED], True
        ending = (
            run.retract(item.nodeid, benchmark)
            if again
            else run.measure(item, case, breakeven_device, recipe, benchmark)
        )
        if ending is None:
            return
        if ending.outcome in ("skipped", "oom"):
            pytest.skip(ending.reason)
        if ending.error is not None:
            raise ending.error
        pytest.fail(f"{case}: {ending.reason}{ending.hint}", pytrace=False)

    return train


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Fail a benchmark function that returned without calling `train_benchmark`."""
    yield
    if not item.stash.get(CALLED, True):
        pytest.fail(f"{item.name} never called train_benchmark(recipe); call it once", pytrace=False)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # after pytest-benchmark has set `skipped`
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep why a case gave no timing, whoever decided that."""
    report = yield
    run = item.config.stash.get(RUN, None)
    if run is not None and item.nodeid in run.plan.cases:
        if report.outcome != "passed":
            run.note_report(item.nodeid, report.outcome, report.longrepr)
        benchmark = getattr(item, "funcargs", {}).get("benchmark")
        if benchmark is not None:
            benchmark.skipped = True  # we say ourselves why it was not used; its warning could be an error
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Add the machine's facts."""
    run = config.stash.get(RUN, None)
    if run is not None and run.begun:
        machine_info["breakeven"] = run.machine()


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_benchmark_compare_machine_info(compared_benchmark: dict[str, Any]) -> None:
    """Leave our facts out of pytest-benchmark's comparison, which is made before this run has any."""
    compared_benchmark["machine_info"].pop("breakeven", None)


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Add the outcomes of the cases that gave no timing."""
    run = config.stash.get(RUN, None)
    if run is not None and run.begun:
        run.complete(output_json)


@pytest.hookimpl(optionalhook=True, hookwrapper=True)
def pytest_benchmark_group_stats(config: pytest.Config, benchmarks: list[dict[str, Any]]) -> Iterator[None]:
    """Keep our cases out of pytest-benchmark's wide table, unless something was asked of that table.

    A case that ended in its seventh round never stands there.
    """
    run = config.stash.get(RUN, None)
    if run is not None:
        hidden = run.outcomes if run.options.wants_wide_table else run.plan.cases
        benchmarks[:] = [item for item in benchmarks if item["fullname"] not in hidden]
    yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """Write the file that pytest-benchmark does not write when nothing was timed, and warns about.

    Where pytest-benchmark could not write its own, tell so in a line, below what else there is to tell.
    """
    run, config = session.config.stash.get(RUN, None), session.config
    if run is None:
        return (yield)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Not saving anything, no benchmarks have been run")
            yield
    except OSError as error:
        if not run.begun:
            raise
        run.lose(error)
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:  # its own turn was skipped over the error
            code = session.exitstatus
            config.hook.pytest_terminal_summary(terminalreporter=reporter, exitstatus=code, config=config)
    if run.begun:
        try:
            run.end()
        except OSError as error:
            run.lose(error)
            _say(config, f"breakeven: {run.lost}")
    if run.lost is not None:
        session.exitstatus = pytest.ExitCode.USAGE_ERROR


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Show the short table, what gave no timing, and where the time went."""
    run = config.stash.get(RUN, None)
    if run is not None and run.begun:
        for line in run.summary():
            terminalreporter.write_line(line)


def _run_of(config: pytest.Config) -> BenchmarkSession:
    """Return the run of this pytest session; the first call loads torch."""
    if RUN not in config.stash:
        from breakeven.plugin.session import BenchmarkSession

        config.stash[RUN] = BenchmarkSession(config)
    return config.stash[RUN]


def _say(config: pytest.Config, line: str) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.ensure_newline()
        reporter.write_line(line)
        reporter.flush()
