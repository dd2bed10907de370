"""A table of short strings, which each renderer lays out in its format."""

from __future__ import annotations

from dataclasses import dataclass, replace

MAX_ROWS = 120
"""Longer tables of cases are cut, with a note; ``summary.csv`` has all rows."""


@dataclass(frozen=True)
class Table:
    """A titled table of strings.

    `cut` counts the omitted rows, `words` lists the columns that are not numeric.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    cut: int = 0
    words: tuple[str, ...] = ("model", "verdict", "status", "machine", "device", "phase", "cell")

    @property
    def aligned(self) -> tuple[tuple[str, bool], ...]:
        """Each column's name, and whether it is right-aligned, as numbers are."""
        return tuple((name, name not in self.words) for name in self.columns)

    def without(self, column: str) -> Table:
        """Return the table without a column, or itself if it has no column of that name."""
        if column not in self.columns:
            return self
        at = self.columns.index(column)
        rows = tuple((*row[:at], *row[at + 1 :]) for row in self.rows)
        return replace(self, columns=(*self.columns[:at], *self.columns[at + 1 :]), rows=rows)

    def first(self, limit: int | None) -> Table:
        """Return the table with at most this many rows, which counts those it leaves out; None for all."""
        if limit is None or len(self.rows) <= limit:
            return self
        return replace(self, rows=self.rows[:limit], cut=self.cut + len(self.rows) - limit)
