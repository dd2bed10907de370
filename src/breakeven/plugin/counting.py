"""A pytest process that counts what the steps of benchmarks do, instead of timing them.

Files, functions, fixtures and conftest files are collected as for a run, with one item for each wanted cell.
Nothing is timed, no device is started, and no other test runs.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from breakeven.case import Cell
from breakeven.errors import UsageError
from breakeven.experiment.count_request import CountRequest
from breakeven.format import one_line
from breakeven.grouping import grouped
from breakeven.phases import Phase
from breakeven.plugin.collection import cell_of, workload_of
from breakeven.plugin.sweeps import is_swept, sweeps_of
from breakeven.plugin.wanted import Wanted
from breakeven.plugin.worker import RESELECTING, UNSET

if TYPE_CHECKING:
    from breakeven.measure.counts import CountedModels

NOTHING_CALLED = "it never called train_benchmark(recipe); call it once"
TWICE = "train_benchmark was called twice; call it once, and sweep or parametrize the differences"


class Counter:
    """The plugin of a process that counts."""

    def __init__(self, request: CountRequest) -> None:
        self._request = request
        self._indices = {cell: index for index, cell in enumerate(request.cells())}
        self._wanted = Wanted(self._indices)
        self._cells: dict[pytest.Item, Cell] = {}
        self._models: CountedModels | None = None
        self._answered: set[Cell] = set()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_load_initial_conftests(self, early_config: pytest.Config) -> Generator[None, object, object]:
        """Write no results; pytest-cov begins here."""
        _unset(early_config.known_args_namespace)
        return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> None:
        """Write no results."""
        _unset(config.option)

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Replace the fixture, and leave alone which tests have failed last."""
        for name in RESELECTING:
            config.pluginmanager.unregister(name=name)
        config.pluginmanager.register(_Fixtures(self), "breakeven_counting_fixtures")

    @pytest.hookimpl(trylast=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Turn a function into the wanted cells."""
        if not _is_ours(metafunc):
            return
        workload = workload_of(metafunc.function.__name__)
        try:
            sweeps = sweeps_of(metafunc.function)
        except UsageError as error:
            self._wanted.refuse(workload, f"{metafunc.function.__name__}: {error}")
            return
        names, rows = self._wanted.arguments(workload, sweeps)
        metafunc.parametrize(names, rows, ids=list(map(str, range(len(rows)))))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a file that cannot be imported, or that skips itself."""
        from breakeven.plugin.session import reason_of

        if report.outcome != "passed":
            self._wanted.note_broken(report.nodeid, _last_error(report) or reason_of(report.longrepr))

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # around -k, which deselects, and plugins that reorder
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, object, object]:
        """Keep the wanted cells, model by model: first those that show whether its counts are on a line."""
        found = {item: cell for item in items if (cell := self._cell(item)) is not None}
        of_cell = grouped((cell, item) for item, cell in found.items())
        for cell, same in of_cell.items():
            if len(same) > 1:
                listed = " and ".join(one_line(item.nodeid, 100) for item in same)
                self._answer(cell, f"{listed} are the same case; give one of the files by --bench")
        for cell in self._indices.keys() - of_cell.keys():
            self._answer(cell, self._wanted.why_not(cell))
        items[:] = [item for item, cell in found.items() if cell not in self._answered]
        result = yield
        of_model = grouped((found[item].model, item) for item in items if item in found)
        items[:] = [item for of in of_model.values() for item in _outline_first(of, found)]
        self._cells = found
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection(self) -> Generator[None, object, object]:
        """Limit the time that the files take to import."""
        with self._request.current():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Note what is counted, in case that it ends the process, and limit its time."""
        with self._request.current(self._indices[self._cells[item]]):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, None, None]:
        """Restore what the function changes of torch's settings."""
        from breakeven.measure.settings import settings_kept

        with settings_kept():
            yield

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note why a cell was not counted."""
        from breakeven.plugin.session import reason_of

        report = yield
        cell = self._cells[item]
        if cell not in self._answered:
            if report.outcome != "passed":
                self._answer(cell, reason_of(report.longrepr))
            elif report.when == "call":
                self._answer(cell, NOTHING_CALLED)
        if (benchmark := getattr(item, "funcargs", {}).get("benchmark")) is not None:
            benchmark.skipped = True  # else pytest-benchmark warns that it was not used
        return report

    def count(self, item: pytest.Item, recipe: Callable[[], Any]) -> None:
        """Count a step of the workload that a recipe returns."""
        from breakeven.measure.counts import CountedModels
        from breakeven.measure.outcomes import reason_for
        from breakeven.measure.workload import batch_facts, build

        cell = self._cells[item]
        if cell in self._answered:
            self._answer(cell, TWICE)
            return
        self._models = self._models or CountedModels()
        try:
            workload = build(recipe)
            facts = self._models.facts(cell, Phase.TRAIN, workload)
            self._answer(cell, batch_facts(workload) | facts)
        except Exception as error:
            self._answer(cell, reason_for(error))

    def _cell(self, item: pytest.Item) -> Cell | None:
        """Return the wanted cell that an item is of."""
        if not isinstance(item, pytest.Function) or not _is_ours(item) or not hasattr(item, "callspec"):
            return None
        axes = item.callspec.params.keys() - {"batch_size"}
        self._wanted.note_function(workload_of(item.originalname), axes)
        if not isinstance(item.callspec.params.get("batch_size"), int):
            return None  # the mark of an item without values
        cell = cell_of(item)
        return cell if cell in self._indices else None

    def _answer(self, cell: Cell, answer: Mapping[str, Any] | str) -> None:
        self._answered.add(cell)
        self._request.answer(
            self._indices[cell], one_line(answer, 400) if isinstance(answer, str) else answer
        )


class _Fixtures:
    """What replaces the plugin's fixture; registered after it, and so before it for pytest."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter

    @pytest.fixture
    def train_benchmark(
        self,
        request: pytest.FixtureRequest,
        benchmark: Any,  # noqa: ARG002 - requested so that --benchmark-only does not skip the function
    ) -> Callable[..., None]:
        """Return a function that takes a recipe, and counts a step of its workload."""
        return partial(self._counter.count, request.node)


def _is_ours(item: Any) -> bool:
    return is_swept(item.function) and "train_benchmark" in item.fixturenames


def _outline_first(items: list[pytest.Item], cells: Mapping[pytest.Item, Cell]) -> list[pytest.Item]:
    """Return the items of one model: the two smallest and the largest, which show whether its counts are on a
    line, and then the others.
    """
    ordered = sorted(items, key=lambda item: cells[item].batch_size)
    return [*ordered[:2], *ordered[:1:-1]]


def _last_error(report: pytest.CollectReport) -> str:
    """Return the last error that a traceback of pytest shows, empty where there is none."""
    lines = [line[1:].strip() for line in str(report.longreprtext).splitlines() if line.startswith("E  ")]
    return lines[-1] if lines else ""


def _unset(option: Any) -> None:
    for name, value in UNSET.items():
        if hasattr(option, name):
            setattr(option, name, value)
