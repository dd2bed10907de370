"""How ``bench_*.py`` files become test items: which files, which functions, with which parameters.

Owns the collectors and items that pytest sees. Imports neither torch nor pandas: devices and phases are
handed in once a sweep is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from breakeven.sweeps import Sweep, is_swept


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


def parametrize(
    metafunc: pytest.Metafunc, sweep: Sweep, devices: Sequence[Any], phases: Sequence[Any]
) -> None:
    """Give a function its cases: the sweep's arguments, then the device, then the phase."""
    for name, values in sweep.arguments:
        metafunc.parametrize(name, values)
    metafunc.parametrize("breakeven_device", devices, ids=[device.name for device in devices])
    metafunc.parametrize("breakeven_phase", phases, ids=[phase.name for phase in phases])
