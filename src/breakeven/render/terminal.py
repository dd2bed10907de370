"""The parts of every terminal output: rich tables and lists within 100 columns.

No string is interpreted as markup, and control characters are escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich import box
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from breakeven.render.dot_plot import Dot, plot_lines
from breakeven.render.escaping import terminal_text
from breakeven.render.markdown import more
from breakeven.render.table import Table

WIDTH = 100
"""The width of every output, in columns."""

MAX_LINES = 12
"""Longer lists are cut, with a note."""

_STYLES = {"faster": "green", "slower": "yellow", "undecided": "dim", "same": "dim"}


def verdict(lines: Sequence[str]) -> Iterator[RenderableType]:
    """Yield the lines of a verdict, the first of them bold."""
    for i, line in enumerate(lines):
        yield Text(terminal_text(line), style="" if i else "bold")


def plot(
    title: str, dots: Sequence[Dot], headings: Mapping[int, str] | None = None
) -> Iterator[RenderableType]:
    """Yield the dot plot of ratios under its title, or nothing without a ratio.

    Args:
        title: what the ratios are.
        dots: in their order.
        headings: lines before the dots of these indices.
    """
    for i, line in enumerate(plot_lines(title, dots, headings or {})):
        yield Text(line if i else f"\n{line}", style="" if i else "bold", no_wrap=True, overflow="ignore")


def section(
    title: str, lines: Sequence[str], rest: str = "all in summary.md", limit: int = MAX_LINES
) -> Iterator[RenderableType]:
    """Yield a heading and its lines, or nothing without lines.

    Args:
        title: the heading.
        lines: not escaped.
        rest: where the omitted lines are.
        limit: the maximum number of lines.
    """
    if not lines:
        return
    yield Text(f"\n{title}", style="bold")
    for line in lines[:limit]:
        yield Padding(Text(f"- {terminal_text(line)}"), (0, 0, 0, 1))
    for line in more(len(lines), limit, rest):
        yield Text(f" - {line}")


def table_section(table: Table, rest: str) -> Iterator[RenderableType]:
    """Yield a table, and how many of its rows were cut; `rest` describes where they are."""
    yield rich_table(table)
    if table.cut:
        yield Text(f"... and {table.cut} more rows, {rest}")


def rich_table(table: Table) -> RichTable:
    """Return the table for rich; a first cell that repeats the one above is left empty."""
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
        cells = [Text("" if first == before else terminal_text(first)), *map(_cell, others)]
        shown.add_row(*cells)
        before = first
    return shown


def _cell(text: str) -> Text:
    return Text(terminal_text(text), style=_STYLES.get(text, ""))
