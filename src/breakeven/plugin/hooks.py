"""The plugin: options, fixtures, and the hooks of a run; `collecting` and `reporting` have the others.

Every pytest session loads this module, so it imports `session`, and with it torch, only once a
sweep is collected.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import breakeven.hardware.cpus  # noqa: F401 - reads the affinity before torch is loaded
from breakeven.experiment.count_request import take_request
from breakeven.plugin import collecting, reporting
from breakeven.plugin.assignment import Assignment, take_assignment
from breakeven.plugin.collection import case_of, is_case, parametrize
from breakeven.plugin.option_texts import add_options
from breakeven.plugin.selection import read_selection
from breakeven.plugin.stash import (
    BENCHMARKS,
    COUNTER,
    SELECTION,
    WORKER,
    benchmarks_of,
    usage_errors,
    write_line,
)
from breakeven.plugin.sweeps import is_swept, sweeps_of
from breakeven.plugin.unforeseen import UnforeseenErrors

if TYPE_CHECKING:
    from breakeven.plugin.worker import Worker

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
    """Add the options and the other hooks; let a process that measures or counts do so."""
    add_options(parser)
    for module in (collecting, reporting):
        pluginmanager.register(module, module.__name__)
    assignment, request = take_assignment(os.environ), take_request(os.environ)
    if request is not None:
        from breakeven.plugin.counting import Counter

        with usage_errors():
            pluginmanager.register(Counter(request), COUNTER)
    if assignment is not None:
        pluginmanager.register(_worker_of(assignment), WORKER)


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark, and the plugin around all others."""
    config.addinivalue_line("markers", MARKER)
    config.pluginmanager.register(UnforeseenErrors(partial(_kept, config)), "breakeven_unforeseen_errors")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Read the list of cases before anything is collected, so that an invalid one ends the run at once."""
    with usage_errors():
        selection = read_selection(os.environ)
    if selection is not None:
        session.config.stash[SELECTION] = selection


@pytest.hookimpl(trylast=True)  # after the user's own parametrize, so that a cell's phases stay together
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Turn a function's sweep into cases."""
    # A project's own fixture of the name `train_benchmark` does not request a device.
    if not is_swept(metafunc.function) or "breakeven_device" not in metafunc.fixturenames:
        return
    options = benchmarks_of(metafunc.config).options
    sweep = options.sweep_for(sweeps_of(metafunc.function))
    if sweep is not None:
        parametrize(metafunc, sweep, options.devices, options.phases_of, is_weak=options.is_weak)


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
    with usage_errors():
        benchmarks.begin(session, lambda line: write_line(session.config, line))
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
    benchmarks, item = benchmarks_of(request.config), request.node
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
