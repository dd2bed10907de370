"""What a pytest process is asked to count, and its answers: two files in one directory.

The environment of the process has the path of the directory. It writes an answer for each cell as soon as it
has one: those before a crash count. Imports nothing heavy, since each pytest session reads the variable.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from breakeven.case import Axes, Cell

VARIABLE = "BREAKEVEN_COUNT"


@dataclass(frozen=True)
class CountRequest:
    """The cells to count, and an answer for each by its index: facts of its step, or why there are none."""

    directory: Path

    @property
    def answers(self) -> Path:
        """The file of the answers, one JSON object a line, in any order."""
        return self.directory / "answers"

    @property
    def _cells(self) -> Path:
        return self.directory / "cells"

    def write(self, cells: Iterable[Cell]) -> None:
        """Write the cells to count."""
        listed = [[cell.workload, dict(cell.axes), cell.batch_size] for cell in cells]
        self._cells.write_text(json.dumps(listed))
        self.answers.touch()

    def cells(self) -> list[Cell]:
        """Return the cells to count."""
        listed = json.loads(self._cells.read_text())
        return [Cell(workload, Axes(axes), batch_size) for workload, axes, batch_size in listed]

    def answer(self, index: int, answer: Mapping[str, Any] | str) -> None:
        """Write the facts of a cell, or why it has none."""
        kind = "unknown" if isinstance(answer, str) else "facts"
        with self.answers.open("a") as file:
            file.write(json.dumps({"cell": index, kind: answer}) + "\n")


def take_request(environment: MutableMapping[str, str]) -> CountRequest | None:
    """Return what this process is asked to count, None if it is not.

    It is removed from the environment, which programs of the benchmarks inherit.
    """
    directory = environment.pop(VARIABLE, None)
    return None if directory is None else CountRequest(Path(directory))
