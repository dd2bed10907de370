"""The cells to count: as arguments of the benchmark functions, and why some of them are not collected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from breakeven.case import Cell, axes_text
from breakeven.errors import UsageError
from breakeven.format import joined, one_line
from breakeven.grouping import grouped
from breakeven.plugin.sweeps import Sweep, axis_value

Values = tuple[Any, ...]


class Wanted:
    """The cells to count, and what was found of their functions; a workload is named like its function."""

    def __init__(self, cells: Iterable[Cell]) -> None:
        self._of = grouped((cell.workload, cell) for cell in cells)
        self._refused: dict[str, str] = {}
        self._without_value: dict[Cell, str] = {}
        self._axes: dict[str, tuple[str, ...]] = {}
        self._broken: dict[str, str] = {}

    def arguments(self, workload: str, sweeps: Mapping[str | None, Sweep]) -> tuple[list[str], list[Values]]:
        """Return the names that a function's sweeps have, and their values in the wanted cells, each once.

        Values that are not plain are found by their labels in any of the sweeps.
        """
        known: dict[str, dict[str, Any]] = {}
        for sweep in sweeps.values():
            for name, values in sweep.items():
                known.setdefault(name, {}).update((_label(name, value), value) for value in values)
        rows: dict[tuple[str, ...], Values] = {}
        for cell in self._of.get(workload, ()):
            given = {**cell.axes, "batch_size": cell.batch_size}
            if not known.keys() <= given.keys():
                continue  # `why_not` names both sets of axes
            try:
                row = tuple(_value(name, given[name], of) for name, of in known.items())
            except UsageError as error:
                self._without_value[cell] = f"bench_{workload}: {error}"
                continue
            rows[tuple(_label(name, given[name]) for name in known)] = row
        return list(known), list(rows.values())

    def refuse(self, workload: str, problem: str) -> None:
        """Note why no cell of a function can be counted."""
        self._refused.setdefault(workload, problem)

    def note_function(self, workload: str, axes: Iterable[str]) -> None:
        """Note a function that was collected, and the names of its axes."""
        self._axes.setdefault(workload, tuple(sorted(axes)))

    def note_broken(self, file: str, problem: str) -> None:
        """Note a file that could not be collected."""
        self._broken[file] = problem

    def why_not(self, cell: Cell) -> str:
        """Return in one line why a cell was not collected."""
        name = f"bench_{cell.workload}"
        if cell.workload in self._refused:
            return self._refused[cell.workload]
        if cell.workload not in self._axes:
            files = "; ".join(f"{file}: {problem}" for file, problem in self._broken.items())
            return one_line(f"no function {name} was collected{f' ({files})' if files else ''}", 300)
        ours, theirs = tuple(sorted(cell.axes)), self._axes[cell.workload]
        if ours != theirs:
            return (
                f"the run has {_names(ours)}, and {name} has {_names(theirs)}; give the benchmarks that were "
                "measured by --bench, or measure again"
            )
        return self._without_value.get(cell, f"{name} has no case {one_line(cell.label(), 200)}")


def _label(name: str, value: object) -> str:
    return axes_text({name: axis_value(value)})


def _value(name: str, wanted: Any, known: Mapping[str, Any]) -> Any:
    """Return the value that a label of the run file is of.

    Where all values of the sweeps are plain, the run may have had others from the command line.

    Raises:
        UsageError: none of the values has this label.
    """
    label = _label(name, wanted)
    if label in known:
        return known[label]
    if all(value is None or type(value) in (bool, int, float, str) for value in known.values()):
        return wanted
    listed = joined([str(axis_value(value)) for value in known.values()], 6)
    raise UsageError(one_line(f"no sweep has the run's {label}, but {listed}", 300))


def _names(axes: tuple[str, ...]) -> str:
    return f"the axes {', '.join(axes)}" if axes else "no axes"
