"""The record in a terminal: summary tables, then the verdict, within 100 columns.

Owns the layout; hands out things that rich can print and prints nothing itself. No string is read as
markup, and no control character passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce

from rich.console import RenderableType
from rich.text import Text

from breakeven.render.escaping import terminal_text
from breakeven.render.report_tables import AT_BEST, bound_tables, outcome_lines, tables
from breakeven.render.report_variants import PLAIN, REPAID, SO, variant_tables
from breakeven.render.table import Table
from breakeven.render.terminal import rich_table, section
from breakeven.report.comparability import GREEN
from breakeven.report.report import Report


def renderables(report: Report) -> Iterator[RenderableType]:
    """Yield tables, what helps, what was not timed, warnings, what would flip the verdict, the verdict."""
    for table in [*tables(report), *bound_tables(report), *variant_tables(report)]:
        yield rich_table(reduce(Table.without, (AT_BEST, PLAIN, SO, REPAID), table))
        if table.cut:
            yield Text(f"... and {table.cut} more rows, all in summary.csv")
    yield from section("What helps against each bound", report.bound_sentences)
    yield from section("Where each variant pays", report.variant_sentences)
    yield from section("Not timed", outcome_lines(report))
    yield from section("Warnings", report.warnings)
    yield from section("What would flip this", report.flip_sentences)
    yield Text()
    if report.comparability.level != GREEN:
        yield Text(f"Comparability: {report.comparability.level}; see the warnings", style="yellow")
    for conclusion in report.conclusions:
        yield Text(terminal_text(conclusion.headline), style="bold")
        if conclusion.details:
            yield Text(terminal_text(" ".join(conclusion.details)))
