"""What terminal faces are made of: rich tables and lists within 100 columns.

No string is read as markup, and no control character passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from breakeven.render.escaping import terminal_text
from breakeven.render.table import Table

WIDTH = 100
"""Columns that everything fits into."""

MAX_LINES = 12
"""Longer lists are cut, and say so; ``summary.md`` is never cut."""

_STYLES = {"faster": "green", "slower": "yellow", "undecided": "dim", "same": "dim"}


def section(title: str, lines: Sequence[str], rest: str = "all in summary.md") -> Iterator[RenderableType]:
    """Yield a heading and its lines; what is cut is counted, and `rest` says where it stands."""
    if lines:
        yield Text(f"\n{title}", style="bold")
        for line in lines[:MAX_LINES]:
            yield Padding(Text(f"- {terminal_text(line)}"), (0, 0, 0, 1))
        if len(lines) > MAX_LINES:
            yield Text(f" - and {len(lines) - MAX_LINES} more, {rest}")


def rich_table(table: Table) -> RichTable:
    """Return the table as rich prints it; a first column that repeats itself is said once."""
    shown = RichTable(
        title=Text(terminal_text(table.title), style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for name, right in table.aligned:
        shown.add_column(
            Text(terminal_text(name)), justify="right" if right else "left", overflow="fold", no_wrap=False
        )
    before = None
    for first, *others in table.rows:
        # The model's name stands once above its rows: repeated it would only be read again and again.
        cells = [Text("" if first == before else terminal_text(first)), *map(_cell, others)]
        shown.add_row(*cells)
        before = first
    return shown


def _cell(text: str) -> Text:
    return Text(terminal_text(text), style=_STYLES.get(text, ""))
