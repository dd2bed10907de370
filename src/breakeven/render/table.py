"""A table of short strings, as every face lays it out. Knows no record, so that it costs nothing to load."""

from __future__ import annotations

from dataclasses import dataclass, replace

MAX_ROWS = 120
"""Longer tables of cases are cut, and say so; ``summary.csv`` is never cut."""


@dataclass(frozen=True)
class Table:
    """A titled table of strings.

    `cut` counts the rows left out, `words` names the columns that hold no numbers.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    cut: int = 0
    words: tuple[str, ...] = ("model", "verdict", "status", "machine", "device", "phase", "cell")

    @property
    def aligned(self) -> tuple[tuple[str, bool], ...]:
        """Each column's name, and whether it stands to the right, as numbers do."""
        return tuple((name, name not in self.words) for name in self.columns)

    def without(self, column: str) -> Table:
        """Return the table without a column; itself where there is none of that name."""
        if column not in self.columns:
            return self
        at = self.columns.index(column)
        rows = tuple((*row[:at], *row[at + 1 :]) for row in self.rows)
        return replace(self, columns=(*self.columns[:at], *self.columns[at + 1 :]), rows=rows)
