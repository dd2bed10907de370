"""Collects the test items of ``bench_*.py`` files: files, functions, cases, and the selected ones.

Devices and phases are arguments, determined once a sweep is found, so that this module does not need torch.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from breakeven.case import Axes, CaseKey, Cell
from breakeven.device_names import processes_of
from breakeven.format import printable, without_commands
from breakeven.plugin.selection import Selection
from breakeven.plugin.sweeps import OF_RANK, WEAK_AXIS, Sweep, axis_value, is_swept

OURS = "breakeven.plugin.hooks"
"""The module of the fixture `train_benchmark`."""


class BenchModule(pytest.Module):
    """A ``bench_*.py`` file: its functions with a sweep, and those that match the project's patterns."""

    uses_project_patterns = False

    def matches_project_patterns(self, obj: object, name: str) -> bool:
        """Return whether pytest collects the function without this plugin."""
        return self.uses_project_patterns and super().istestfunction(obj, name)

    def istestfunction(self, obj: object, name: str) -> bool:
        """Collect every function with a sweep mark."""
        return is_swept(obj) or self.matches_project_patterns(obj, name)

    def istestclass(self, obj: object, name: str) -> bool:
        """Leave classes to the project's patterns."""
        return self.uses_project_patterns and super().istestclass(obj, name)


class InvalidSweep(pytest.Item):
    """Replaces a function with an invalid sweep mark, and fails with one line."""

    def __init__(self, *, problem: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.problem = problem
        self.fixturenames = ["benchmark"]  # so that --benchmark-only does not skip the message
        self.funcargs: dict[str, Any] = {}  # pytest-benchmark before 5.3 reads it from every item

    def runtest(self) -> None:
        """Fail with the problem."""
        pytest.fail(printable(self.problem), pytrace=False)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return the file and the function."""
        return self.path, None, self.name


def is_bench_file(path: Path, session: pytest.Session) -> bool:
    """Return whether a path is a requested ``bench_*.py`` whose text mentions a sweep."""
    typed = session.config.args_source is pytest.Config.ArgsSource.ARGS
    if not (typed and fnmatch(path.name, "bench_*.py")):
        return False
    if not any(session.isinitpath(parent) for parent in (path, *path.parents)):
        return False
    try:
        return "sweep" in path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def is_benchmark(collector: pytest.Module | pytest.Class, name: str, obj: object) -> bool:
    """Return whether a function has breakeven's sweep mark, not another project's mark of that name."""
    if not is_swept(obj):
        return False
    assert callable(obj)
    has_fixture = "train_benchmark" in inspect.signature(obj).parameters
    if isinstance(collector, BenchModule):
        return has_fixture or not collector.matches_project_patterns(obj, name)
    return has_fixture and collector.istestfunction(obj, name)


def is_collected_for_us(collector: pytest.Module | pytest.Class, name: str, obj: object) -> bool:
    """Return whether pytest would not collect a benchmark without this plugin."""
    return isinstance(collector, BenchModule) and not collector.matches_project_patterns(obj, name)


def other_fixture(collector: pytest.Module | pytest.Class) -> str | None:
    """Return the module of a fixture that replaces breakeven's `train_benchmark`; None without one.

    A fixture that requests `train_benchmark` extends it.
    """
    # Private: what pytest publishes, `metafunc.fixturenames`, comes after the decision that is made here.
    found = collector.session._fixturemanager.getfixturedefs("train_benchmark", collector) or ()
    for definition in reversed(found):
        module = str(definition.func.__module__)
        if module == OURS:
            return None
        if "train_benchmark" not in definition.argnames:
            return module
    return None


def parametrize(
    metafunc: pytest.Metafunc,
    sweep: Sweep,
    devices: Sequence[Any],
    phases_of: Callable[[Any], Sequence[str]],
    *,
    is_weak: bool = False,
) -> None:
    """Parametrize a function: the sweep's arguments, then the device, then the phase.

    The batch sizes of a weak sweep are those of each process, and depend on the device: they come after the
    other arguments.
    """
    for name, values in sweep.items():
        if not (is_weak and name == "batch_size"):
            metafunc.parametrize(name, values, ids=_printable_id)
    places = [(device, phase) for device in devices for phase in phases_of(device)]
    names, ids = ["breakeven_device", "breakeven_phase"], [f"{one.name}-{phase}" for one, phase in places]
    if not is_weak:
        metafunc.parametrize(names, places, ids=ids)
        return
    cases = [
        (size * (processes_of(device.name) or 1), OF_RANK, device, phase)
        for size in sweep["batch_size"]
        for device, phase in places
    ]
    ids = [f"{size}-{batch}-{device.name}-{phase}" for size, batch, device, phase in cases]
    metafunc.parametrize(["batch_size", "breakeven_batch", *names], cases, ids=ids)


def _printable_id(value: object) -> str | None:
    """Return the id of a text that the log of a CI job takes for a command; pytest escapes all else."""
    return shown if isinstance(value, str) and (shown := without_commands(value)) != value else None


def is_case(item: pytest.Item) -> bool:
    """Return whether a sweep made the item."""
    return "breakeven_phase" in getattr(getattr(item, "callspec", None), "params", {})


def case_of(item: Any) -> CaseKey:
    """Return the case of an item that a sweep made.

    Raises:
        UsageError: `parametrize` gave a batch size that is not a positive integer.
    """
    params = item.callspec.params
    return CaseKey(cell_of(item), params["breakeven_phase"], params["breakeven_device"].name)


def cell_of(item: Any) -> Cell:
    """Return the cell of an item that a sweep made.

    Raises:
        UsageError: `parametrize` gave a batch size that is not a positive integer.
    """
    axes = {
        WEAK_AXIS if name == "breakeven_batch" else name: axis_value(value)
        for name, value in item.callspec.params.items()
        if name not in ("breakeven_device", "breakeven_phase", "batch_size")
    }
    return Cell(workload_of(item.originalname), Axes(axes), item.callspec.params["batch_size"])


def keep_selected(session: pytest.Session, items: list[pytest.Item], selection: Selection) -> str | None:
    """Deselect the benchmarks that are not listed; return a warning about listed ones that do not exist.

    Raises:
        UsageError: none of the listed cases was collected, and no test failure explains why.
    """
    names = {item: _listed_name(item, selection) for item in items}
    collected = [name for name in names.values() if name is not None]
    may_be_hidden = any(isinstance(item, InvalidSweep) and name is None for item, name in names.items())
    has_failed = session.testsfailed and not session.config.option.continue_on_collection_errors
    if not (may_be_hidden or has_failed):
        selection.check(collected)
    kept = {None, *selection.names}
    deselected = [item for item, name in names.items() if name not in kept]
    if deselected:
        session.config.hook.pytest_deselected(items=deselected)
        items[:] = [item for item, name in names.items() if name in kept]
    return selection.missing_warning(collected)


def _listed_name(item: Any, selection: Selection) -> str | None:
    """Return the name by which a selection lists a benchmark.

    None for other tests, and for an invalid sweep that may hide listed cases.
    """
    if isinstance(item, InvalidSweep):
        prefix = f"{workload_of(item.name)} "
        return None if any(name.startswith(prefix) for name in selection.names) else item.nodeid
    if is_case(item):
        return case_of(item).label()
    return item.nodeid if "benchmark" in getattr(item, "fixturenames", ()) else None


def workload_of(function: str) -> str:
    """Return the name of the workload of a benchmark function."""
    return function.removeprefix("bench_")
