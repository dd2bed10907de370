"""What markdown faces are made of: tables and lists, with every string escaped."""

from __future__ import annotations

from collections.abc import Sequence

from breakeven.format import capital
from breakeven.render.escaping import markdown_text
from breakeven.render.table import Table


def section(title: str, lines: Sequence[str]) -> list[str]:
    """Return a heading with its list, or nothing where there are no lines."""
    return [f"## {title}\n\n" + "\n".join(f"- {markdown_text(line)}" for line in lines)] if lines else []


def markdown_table(table: Table, level: int = 2, rest: str = "more rows are in summary.csv") -> str:
    """Return a table under its title; of the rows that were cut, `rest` says what became of them."""
    rows = [
        f"{'#' * level} {markdown_text(capital(table.title))}",
        "",
        _row(table.columns),
        "|" + "|".join(" ---: " if right else " --- " for _, right in table.aligned) + "|",
        *[_row(row) for row in table.rows],
    ]
    if table.cut:
        rows += ["", f"{table.cut} {rest}."]
    return "\n".join(rows)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(markdown_text(cell) for cell in cells) + " |"
