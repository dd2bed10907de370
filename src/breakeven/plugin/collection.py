"""How ``bench_*.py`` files become test items: which files, which functions, which cases, which of them stay.

Owns the collectors and items that pytest sees, and the case that an item stands for. Imports neither torch
nor pandas: devices and phases are handed in once a sweep is found.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from breakeven.case import CaseKey
from breakeven.plugin.selection import Selection
from breakeven.plugin.sweeps import Sweep, axis_value, is_swept


class BenchModule(pytest.Module):
    """A ``bench_*.py``: its functions with a sweep, and whatever the project's own patterns match."""

    is_the_projects_too = False

    def is_the_projects(self, obj: object, name: str) -> bool:
        """Tell whether pytest takes the function without us."""
        return self.is_the_projects_too and super().istestfunction(obj, name)

    def istestfunction(self, obj: object, name: str) -> bool:
        """Take every function that carries a sweep mark."""
        return is_swept(obj) or self.is_the_projects(obj, name)

    def istestclass(self, obj: object, name: str) -> bool:
        """Leave classes to the project's own patterns."""
        return self.is_the_projects_too and super().istestclass(obj, name)


class WrongMark(pytest.Item):
    """Stands for a function whose sweep mark cannot be used: it fails with one line, the others run."""

    def __init__(self, *, complaint: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.complaint = complaint
        self.fixturenames = ["benchmark"]  # so that --benchmark-only does not skip the complaint
        self.funcargs: dict[str, Any] = {}  # where pytest-benchmark before 5.3 looks without asking

    def runtest(self) -> None:
        """Fail with the complaint."""
        pytest.fail(self.complaint, pytrace=False)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Name the file and the function."""
        return self.path, None, self.name


def is_bench_file(path: Path, session: pytest.Session) -> bool:
    """Tell whether a path is a ``bench_*.py`` that was asked for and mentions a sweep."""
    if not (fnmatch(path.name, "bench_*.py") and is_typed(path, session)):
        return False
    try:
        return "sweep" in path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def is_typed(path: Path, session: pytest.Session) -> bool:
    """Tell whether a path lies under one that was typed on the command line."""
    if session.config.args_source is not pytest.Config.ArgsSource.ARGS:
        return False
    return any(session.isinitpath(place) for place in (path, *path.parents))


def is_ours(collector: pytest.Module | pytest.Class, name: str, obj: object) -> bool:
    """Tell whether a function is swept, and not some other project's idea of a sweep."""
    if not is_swept(obj):
        return False
    assert callable(obj)
    takes = "train_benchmark" in inspect.signature(obj).parameters
    if isinstance(collector, BenchModule):
        return takes or not collector.is_the_projects(obj, name)
    return takes and collector.istestfunction(obj, name)


def parametrize(
    metafunc: pytest.Metafunc, sweep: Sweep, devices: Sequence[Any], phases: Sequence[Any]
) -> None:
    """Give a function its cases: the sweep's arguments, then the device, then the phase."""
    for name, values in sweep.arguments:
        metafunc.parametrize(name, values)
    metafunc.parametrize("breakeven_device", devices, ids=[device.name for device in devices])
    metafunc.parametrize("breakeven_phase", phases, ids=[phase.value for phase in phases])


def is_case(item: pytest.Item) -> bool:
    """Tell whether a sweep made the item."""
    return "breakeven_phase" in getattr(getattr(item, "callspec", None), "params", {})


def case_of(item: Any) -> CaseKey:
    """Return the case of an item that a sweep made.

    Raises:
        UsageError: a batch size that came through `parametrize` is none.
    """
    axes = dict(item.callspec.params)
    device, phase, batch_size = (
        axes.pop(key) for key in ("breakeven_device", "breakeven_phase", "batch_size")
    )
    return CaseKey.of(
        workload=_workload_of(item.originalname),
        batch_size=batch_size,
        phase=phase.value,
        device=device.name,
        axes={name: axis_value(value) for name, value in axes.items()},
    )


def keep_listed(session: pytest.Session, items: list[pytest.Item], selection: Selection) -> str | None:
    """Deselect the benchmarks that are not listed; return the line on listed ones that are not here, if any.

    Raises:
        UsageError: none of the listed cases was collected, and no failure is going to say why.
    """
    names = {item: _listed_as(item, selection) for item in items}
    collected = [name for name in names.values() if name is not None]
    hidden = any(isinstance(item, WrongMark) and name is None for item, name in names.items())
    broken = session.testsfailed and not session.config.option.continue_on_collection_errors
    if not (hidden or broken):
        selection.check(collected)
    wanted = {None, *selection.names}
    unwanted = [item for item, name in names.items() if name not in wanted]
    if unwanted:
        session.config.hook.pytest_deselected(items=unwanted)
        items[:] = [item for item, name in names.items() if name in wanted]
    return selection.note_missing(collected)


def _listed_as(item: Any, selection: Selection) -> str | None:
    """Return the name by which a file lists a benchmark.

    None for what is no benchmark, and for a wrong mark in whose place listed cases might stand.
    """
    if isinstance(item, WrongMark):
        return None if selection.speaks_of(_workload_of(item.name)) else item.nodeid
    if is_case(item):
        return case_of(item).label()
    return item.nodeid if "benchmark" in getattr(item, "fixturenames", ()) else None


def _workload_of(function: str) -> str:
    return function.removeprefix("bench_")
