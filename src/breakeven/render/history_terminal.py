"""The history in a terminal: tables, objections as sentences, warnings and, last, the verdict.

Owns the layout, within 100 columns; hands out what rich can print and prints nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from breakeven.history.check import History
from breakeven.history.text import change_sentence, coverage, headline, newest_sentence
from breakeven.render.escaping import terminal_text
from breakeven.render.history_tables import history_tables
from breakeven.render.terminal import MAX_LINES, rich_table


def check_renderables(history: History) -> Iterator[RenderableType]:
    """Yield what `history check` shows."""
    for table in history_tables(history, objections=False):
        yield rich_table(table)
        if table.cut:
            yield Text(f"... and {table.cut} more rows, all in --format json")
    changes = [found for found in history.changes if found.is_objection]
    newest = [found for found in history.newest if found.is_objection]
    yield from _section("Objections", [*map(change_sentence, changes), *map(newest_sentence, newest)])
    yield from _section("Warnings", history.warnings)
    yield Text()
    if history.newest:
        yield Text(terminal_text(coverage(history)))
    yield Text(terminal_text(headline(history)), style="bold")
    for run in [*(found.after for found in changes), *(found.run for found in newest)][:1]:
        place = run.commit[:7] or f'"{run.moment:%Y-%m-%d %H:%M}"'
        yield Text(f'A change that is meant: breakeven history accept {place} --reason "why"', style="dim")


def _section(title: str, lines: Sequence[str]) -> Iterator[RenderableType]:
    if lines:
        yield Text(f"\n{title}", style="bold")
        for line in lines[:MAX_LINES]:
            yield Padding(Text(f"- {terminal_text(line)}"), (0, 0, 0, 1))
        if len(lines) > MAX_LINES:
            yield Text(f" - and {len(lines) - MAX_LINES} more, all in --format json")
