"""The record in a terminal: summary tables, then the verdict, within 100 columns.

Owns the layout; hands out things that rich can print and prints nothing itself. No string is read as
markup, and no control character passes.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from breakeven.analysing.comparability import GREEN
from breakeven.analysing.record import Report
from breakeven.reporting.escaping import terminal_text
from breakeven.reporting.tables import AT_BEST, Table, outcome_lines, tables

WIDTH = 100
"""Columns that everything fits into."""

MAX_LINES = 12
"""Longer lists are cut, and say so; ``summary.md`` is never cut."""

_STYLES = {"faster": "green", "slower": "yellow", "undecided": "dim", "same": "dim"}


def renderables(report: Report) -> Iterator[RenderableType]:
    """Yield tables, what was not timed, warnings, what would flip the verdict and, last, the verdict."""
    for table in tables(report):
        yield rich_table(table.without(AT_BEST))
        if table.cut:
            yield Text(f"... and {table.cut} more rows, all in summary.csv")
    yield from _section("Not timed", outcome_lines(report))
    yield from _section("Warnings", report.warnings)
    yield from _section("What would flip this", report.flip_sentences)
    yield Text()
    if report.comparability.level != GREEN:
        yield Text(f"Comparability: {report.comparability.level}; see the warnings", style="yellow")
    for conclusion in report.conclusions:
        yield Text(terminal_text(conclusion.headline), style="bold")
        if conclusion.details:
            yield Text(terminal_text(" ".join(conclusion.details)))


def _section(title: str, lines: tuple[str, ...] | list[str]) -> Iterator[RenderableType]:
    if lines:
        yield Text(f"\n{title}", style="bold")
        for line in lines[:MAX_LINES]:
            yield Padding(Text(f"- {terminal_text(line)}"), (0, 0, 0, 1))
        if len(lines) > MAX_LINES:
            yield Text(f" - and {len(lines) - MAX_LINES} more, all in summary.md")


def rich_table(table: Table) -> RichTable:
    """Return a table as rich prints it; no string in it is read as markup."""
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
