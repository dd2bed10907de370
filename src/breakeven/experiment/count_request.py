"""What a pytest process is asked to count, and its answers: two files in one directory.

The environment of the process has the path of the directory. It writes an answer for each cell as soon as it
has one: those before a crash count. Imports nothing heavy, since each pytest session reads the variable.
"""

from __future__ import annotations

import faulthandler
import json
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from breakeven.case import Axes, Cell
from breakeven.errors import UsageError
from breakeven.files import MAX_SMALL_BYTES, read_file
from breakeven.format import one_line

VARIABLE = "BREAKEVEN_COUNT"

MAX_S = 300.0
"""How long a cell may take, or the collection of all files; most take a second."""


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

    @property
    def _current(self) -> Path:
        return self.directory / "current"

    @property
    def _late(self) -> Path:
        return self.directory / "late"

    def write(self, cells: Iterable[Cell]) -> None:
        """Write the cells to count."""
        listed = [[cell.workload, dict(cell.axes), cell.batch_size] for cell in cells]
        self._cells.write_text(json.dumps(listed))
        self.answers.touch()

    def cells(self) -> list[Cell]:
        """Return the cells to count.

        Raises:
            UsageError: there is no such file, or something else is in it.
        """
        try:
            listed = json.loads(read_file(self._cells, MAX_SMALL_BYTES))
            return [Cell(workload, Axes(axes), batch_size) for workload, axes, batch_size in listed]
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            raise UsageError(
                f"{VARIABLE}={one_line(self.directory, 100)} does not name a directory with cells to count; "
                "unset it: `breakeven predict` sets it for its own processes"
            ) from None

    def lines(self) -> list[bytes]:
        """Return the lines of the answers, empty where the benchmarks removed the file."""
        try:
            return read_file(self.answers, MAX_SMALL_BYTES).splitlines()
        except OSError:
            return []

    @contextmanager
    def current(self, index: int | None = None) -> Iterator[None]:
        """Note the cell that is counted in the block, which ends the process after `MAX_S`."""
        self._current.write_text("" if index is None else str(index))
        with self._late.open("w") as file:
            faulthandler.dump_traceback_later(MAX_S, exit=True, file=file)  # compiled code heeds no signal
            try:
                yield
            finally:
                faulthandler.cancel_dump_traceback_later()

    def interrupted(self) -> tuple[int | None, bool]:
        """Return the cell that the process counted when it ended, and whether it took too long."""
        try:
            is_late, number = self._late.stat().st_size > 0, read_file(self._current, 100)
        except OSError:
            return None, False
        return int(number) if number.isdigit() else None, is_late

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
