"""pytest's hooks, and the options and the `train_benchmark` fixture of the plugin.

Every pytest session loads this module, so it imports `session`, and with it torch, only once a
sweep is collected.
"""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import breakeven.hardware.cpus  # noqa: F401 - reads the affinity before torch is loaded
from breakeven.errors import BreakevenError, UsageError
from breakeven.files import discard_unread_output
from breakeven.format import printable
from breakeven.plugin.assignment import Assignment, take_assignment
from breakeven.plugin.case_clock import add_case_clock
from breakeven.plugin.collection import (
    BenchModule,
    InvalidSweep,
    case_of,
    is_bench_file,
    is_benchmark,
    is_case,
    is_collected_for_us,
    keep_selected,
    other_fixture,
    parametrize,
)
from breakeven.plugin.selection import Selection, read_selection
from breakeven.plugin.sharding import empty_text, keep_shard
from breakeven.plugin.surroundings import is_xdist_worker, refusal, report_refusal, reported_refusal
from breakeven.plugin.sweeps import is_swept, sweeps_of
from breakeven.plugin.terminal import PrintableReports, outlive_readers
from breakeven.plugin.unforeseen import UnforeseenErrors

if TYPE_CHECKING:
    from breakeven.plugin.session import BenchmarkSession
    from breakeven.plugin.worker import Worker

BENCHMARKS = pytest.StashKey["BenchmarkSession"]()
SELECTION = pytest.StashKey[Selection]()
MISSING = pytest.StashKey[str]()
"""The warning about listed cases that were not collected."""
WORKER = "breakeven_worker"
"""The name of the plugin of a measuring process."""
COLLECTED = pytest.StashKey[list[pytest.Item]]()
"""The selected items in the order in which they were collected."""
CALLED = pytest.StashKey[bool]()
"""Stored in an item: whether its function called `train_benchmark`."""
USED = pytest.StashKey[Any]()
"""Stored in an item: the ``benchmark`` fixture of its last attempt."""

MARKER = (
    "sweep(name=None, /, batch_size, **axes): time every phase of a training step for the product of these "
    "values; --breakeven-sweep=NAME selects a sweep that has a name; the batch sizes of one named 'weak' are "
    "those of each process"
)


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the options, and ini keys of the same names; make a measuring process of this one if it is one."""
    group = parser.getgroup("breakeven", "breakeven: CPU against accelerator, for training")
    for name, metavar, text in (
        ("devices", "NAMES", "comma-separated: cpu (torch's default number of threads), cpu@4 (4 threads), "
         "cpu@best (the fastest number for each cell), cuda, cuda:1, mps, xpu; 2xcuda: that many processes, "
         "started by torchrun, train together under DistributedDataParallel, each on a GPU of its own and "
         "on its part of the batch, which their number must divide; 2xcpu likewise. "
         "Default: cpu and the accelerator; cpu@1,cpu where there is none."),
        ("phases", "NAMES", "comma-separated: transfer, forward, backward, step, train; train_sync: a step "
         "that waits for the device, as loss.item() does; train_no_sync, only on devices of several "
         "processes: training without their communication; infer: the model in eval mode, with the copy of "
         "its inputs; load: the next batch of the loader; epoch: load and train. Default: transfer, forward, "
         "backward, step, train; on devices of several processes also train_no_sync."),
        ("sweep", "NAME|KEY=VALUES", "the sweep of this name (functions without it run their default), or "
         "other values for its arguments, as in 'batch_size=1,64 width=128'. Every function has 'short': the "
         "smallest and the largest values of its sweep 'full', else of its default; and 'weak': its sweep of "
         "that name, else its default, with batch sizes per process (64 is a batch of 128 on 2xcuda)."),
        ("shard", "K/N", "measure only the K-th of N shards of the sweep, K from 1: a hash assigns each cell "
         "to one, with all its devices and phases. `breakeven merge` joins their run files; its --help has "
         "recipes for clusters. An empty shard exits with 5. Default: every cell."),
        ("timeout", "SECONDS", "end a case that takes longer in a process, all included; it keeps the rounds "
         "that it has, if enough. In pytest's own process (--breakeven-processes=0) nothing ends a hanging "
         "round. Default: 600."),
        ("seed", "N", "the seed of the order in which cells are timed. Default: 0."),
        ("processes", "N", "measure in N fresh processes, one after another, each with 1/N of the time: how "
         "much a time differs from process to process decides how well it is known. 0: in pytest's own "
         "process, as with --pdb. Default: BREAKEVEN_PROCESSES, or 5."),
        ("wait_idle", "DURATION", "before the first case, wait up to this long, as in 5m, until other "
         "programs leave the CPUs alone. Default: measure at once, with a warning on a busy machine."),
    ):  # fmt: skip
        group.addoption(f"--breakeven-{name.replace('_', '-')}", metavar=metavar, help=text)
        parser.addini(f"breakeven_{name}", help=text, default="")
    group.addoption(
        "--breakeven-resume", action="store_true",
        help="go on with a run that died or was stopped: its finished cases are in RUN.json.journal.",
    )  # fmt: skip
    assignment = take_assignment(os.environ)
    if assignment is not None:
        pluginmanager.register(_worker_of(assignment), WORKER)


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark, and the plugin around all others."""
    config.addinivalue_line("markers", MARKER)
    config.pluginmanager.register(UnforeseenErrors(partial(_kept, config)), "breakeven_unforeseen_errors")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Read the list of cases before anything is collected, so that an invalid one ends the run at once."""
    with _usage_errors():
        selection = read_selection(os.environ)
    if selection is not None:
        session.config.stash[SELECTION] = selection


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(
    file_path: Path, parent: pytest.Collector
) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Collect a ``bench_*.py`` file that pytest itself would not collect."""
    found = yield
    if not is_bench_file(file_path, parent.session) or any(isinstance(item, BenchModule) for item in found):
        return found
    return [*found, BenchModule.from_parent(parent, path=file_path)]


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Collect the swept functions also in ``bench_*.py`` files that pytest collects itself."""
    if not is_bench_file(module_path, parent.session):
        return None
    module = BenchModule.from_parent(parent, path=module_path)
    module.uses_project_patterns = True
    return module


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> pytest.Item | list[pytest.Item] | None:
    """Replace a function with an invalid sweep by a failing item; leave the others to pytest."""
    if not is_benchmark(collector, name, obj):
        return None
    item: InvalidSweep
    if (other := other_fixture(collector)) is not None:
        if not is_collected_for_us(collector, name, obj):
            return None
        problem = (
            f"{name}: the fixture train_benchmark of {other} replaces breakeven's; rename it, or let it "
            "request train_benchmark"
        )
        item = InvalidSweep.from_parent(collector, name=name, problem=problem)
        return item
    benchmarks = _benchmarks_of(collector.config)
    assert callable(obj)
    try:
        sweeps = sweeps_of(obj)
    except UsageError as error:
        item = InvalidSweep.from_parent(collector, name=name, problem=f"{name}: {error}")
        return item
    return [] if benchmarks.options.sweep_for(sweeps) is None else None


@pytest.hookimpl(trylast=True)  # after the user's own parametrize, so that a cell's phases stay together
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Turn a function's sweep into cases."""
    # A project's own fixture of the name `train_benchmark` does not request a device.
    if not is_swept(metafunc.function) or "breakeven_device" not in metafunc.fixturenames:
        return
    options = _benchmarks_of(metafunc.config).options
    sweep = options.sweep_for(sweeps_of(metafunc.function))
    if sweep is not None:
        parametrize(metafunc, sweep, options.devices, options.phases_of, is_weak=options.is_weak)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # around -k and -m, which deselect, and plugins that reorder
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> Generator[None, object, object]:
    """Check the options, keep the selected benchmarks, and order them for the run.

    pytest turns an error here into one line and exit code 4.
    """
    places = {item: place for place, item in enumerate(items)}
    result = yield
    benchmarks, selection = config.stash.get(BENCHMARKS, None), config.stash.get(SELECTION, None)
    is_rank = bool(getattr(config.pluginmanager.get_plugin(WORKER), "is_rank", False))
    reason = None if benchmarks is None else refusal(config, os.environ, is_rank=is_rank)
    if reason is not None and is_xdist_worker(config):
        items.clear()
        report_refusal(config, reason)
        return result
    with _usage_errors():
        if reason is not None:
            raise UsageError(reason)
        if benchmarks is not None:
            benchmarks.options.check()
        if selection is not None and (warning := keep_selected(session, items, selection)) is not None:
            config.stash[MISSING] = warning
        if benchmarks is not None and benchmarks.options.shard is not None:
            benchmarks.shard = keep_shard(config, items, benchmarks.options.shard)
        collected = config.stash[COLLECTED] = sorted(items, key=lambda item: places.get(item, len(places)))
        if benchmarks is not None and not config.option.collectonly:  # which lists it as it was written
            benchmarks.arrange(items, collected)
    return result


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Plan the cases that are left after every plugin has deselected: --lf does so after all others."""
    config, items = session.config, session.items
    benchmarks, collected = config.stash.get(BENCHMARKS, None), config.stash.get(COLLECTED, None)
    if benchmarks is None or collected is None:  # there are none, or an error was raised
        return
    outlive_readers(config)
    config.pluginmanager.register(PrintableReports(config))
    worker = config.pluginmanager.get_plugin(WORKER)
    with _usage_errors():
        if worker is not None:
            worker.select(items)
        kept = set(items)
        for item in collected:
            if item in kept and (is_case(item) or isinstance(item, InvalidSweep)):
                case = case_of(item) if is_case(item) else None
                benchmarks.plan.add(item.nodeid, case)
                if case is not None:
                    add_case_clock(item)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """End a run of pytest-xdist whose workers collected a sweep: one line and exit code 4, as without it."""
    reason = reported_refusal(node)
    if reason is not None:
        raise pytest.UsageError(printable(reason))


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Warn about listed cases that were not collected, an empty shard, and functions without this sweep."""
    benchmarks = config.stash.get(BENCHMARKS, None)
    shard = None if benchmarks is None else benchmarks.shard
    lines = [
        config.stash.get(MISSING, None),
        None if shard is None else empty_text(shard),
        None if benchmarks is None else benchmarks.options.without_sweep(),
    ]
    return [f"breakeven: {line}" for line in lines if line is not None]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Print the plan, after checking that the results can be written; have the cases timed.

    A cell is timed again after the last case. Ctrl-C and -x leave the loop by an exception, so that nothing
    is timed after them.
    """
    benchmarks = session.config.stash.get(BENCHMARKS, None)
    option = session.config.option
    is_dry = option.collectonly or option.setupplan or option.setuponly
    if benchmarks is None or is_dry or not benchmarks.plan.cases:
        return (yield)
    if session.testsfailed and not option.continue_on_collection_errors:
        return (yield)
    with _usage_errors():
        benchmarks.begin(session, lambda line: _write_line(session.config, line))
    from breakeven.plugin.progress import show_progress

    show_progress(session, benchmarks, is_live=benchmarks.is_timing_here)
    result = yield
    benchmarks.finish()
    return result


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
def breakeven_batch() -> Any:
    """Return what the batch size counts; parametrized by a weak sweep."""


@pytest.fixture
def train_benchmark(
    request: pytest.FixtureRequest,
    breakeven_device: Any,
    breakeven_batch: Any,  # noqa: ARG001 - requested so that the sweep can parametrize it
    breakeven_phase: Any,  # noqa: ARG001 - likewise
    benchmark: Any,
) -> Callable[[Callable[[], Any]], None]:
    """Return a function that takes a recipe, ``() -> Workload``, and times the phase of the case."""
    benchmarks, item = _benchmarks_of(request.config), request.node
    case = case_of(item)
    item.stash[CALLED], item.stash[USED] = False, benchmark
    # Plain values in the run file, and names for --benchmark-group-by=param:phase.
    benchmark.params = {
        "batch_size": case.batch_size, **dict(case.axes), "device": case.device, "phase": case.phase
    }  # fmt: skip

    def train(recipe: Callable[[], Any]) -> None:
        __tracebackhide__ = True
        is_second, item.stash[CALLED] = item.stash[CALLED], True
        untimed = (
            benchmarks.retract(item.nodeid, benchmark)
            if is_second
            else benchmarks.measure(item, case, breakeven_device, recipe, benchmark)
        )
        if untimed is not None:
            untimed.end_test()

    return train


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Drop what an earlier attempt at a case has left, where a plugin runs a test that failed again."""
    benchmarks = item.config.stash.get(BENCHMARKS, None)
    if benchmarks is not None and item.nodeid in benchmarks.plan.cases:
        benchmarks.forget(item.nodeid)
        if (benchmark := item.stash.get(USED, None)) is not None:
            benchmark.has_error = True  # pytest-benchmark leaves out its rounds


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool | None:
    """Let pytest-timeout end a case by a signal: its thread would end the process with all results."""
    if not is_case(item) or settings.method != "thread" or not hasattr(signal, "SIGALRM"):
        return None
    by_signal = settings._replace(method="signal")
    return bool(item.config.hook.pytest_timeout_set_timer(item=item, settings=by_signal))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Replay a case that was timed elsewhere: what its function does besides, it has done there."""
    __tracebackhide__ = True
    benchmarks = pyfuncitem.config.stash.get(BENCHMARKS, None)
    if benchmarks is None or benchmarks.is_timing_here or not is_case(pyfuncitem):
        return None
    replay: Any = pyfuncitem.funcargs["train_benchmark"]
    replay(lambda: None)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Fail a benchmark function that returned without calling `train_benchmark`.

    What the function changes of torch's settings is restored after it, so that it changes no other case.
    """
    with _settings_kept() if is_case(item) else nullcontext():
        yield
    if not item.stash.get(CALLED, True):
        pytest.fail(f"{item.name} never called train_benchmark(recipe); call it once", pytrace=False)


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
            _write_line(config, f"breakeven: {benchmarks.run_file.problem}")
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


def _worker_of(assignment: Assignment) -> Worker:
    """Return the plugin of a measuring process, or of a process in a group, which loads torch."""
    if assignment.device:
        from breakeven.plugin.rank import rank_of

        return rank_of(assignment)
    from breakeven.plugin.worker import Worker

    return Worker(assignment)


def _kept(config: pytest.Config) -> str:
    benchmarks = config.stash.get(BENCHMARKS, None)
    return benchmarks.kept if benchmarks is not None and benchmarks.has_begun else ""


def _settings_kept() -> AbstractContextManager[object]:
    from breakeven.measure.settings import settings_kept

    return settings_kept()


@contextmanager
def _usage_errors() -> Iterator[None]:
    """Raise breakeven's errors as pytest's `UsageError`: one line, exit code 4."""
    try:
        yield
    except BreakevenError as error:
        raise pytest.UsageError(printable(error)) from None


def _benchmarks_of(config: pytest.Config) -> BenchmarkSession:
    """Return the benchmarks of this pytest session; the first call loads torch."""
    if BENCHMARKS not in config.stash:
        config.stash[BENCHMARKS] = _new_session(config)
    return config.stash[BENCHMARKS]


def _new_session(config: pytest.Config) -> BenchmarkSession:
    """Return the session of a measuring process, of their coordinator, or of a pytest that times itself."""
    from breakeven.measure.warnings_shown import warnings_shown
    from breakeven.plugin.measuring import FollowingSession, MeasuringSession
    from breakeven.plugin.options import Options
    from breakeven.plugin.rank import Follower
    from breakeven.plugin.replaying import ReplayingSession

    worker = config.pluginmanager.get_plugin(WORKER)
    with warnings_shown():
        options = Options(config, None if worker is None else worker.assignment)
    if options.processes:
        return ReplayingSession(config, options)
    session = FollowingSession if isinstance(worker, Follower) else MeasuringSession
    return session(config, options, worker)


def _repeat_terminal_summary(session: pytest.Session) -> None:
    """Print the summary if pytest's reporter did not, because of an error."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        session.config.hook.pytest_terminal_summary(
            terminalreporter=reporter, exitstatus=session.exitstatus, config=session.config
        )


def _write_line(config: pytest.Config, line: str) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.ensure_newline()
        reporter.write_line(printable(line))
        reporter.flush()
