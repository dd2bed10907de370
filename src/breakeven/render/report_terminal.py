"""The report in a terminal: summary tables, then the verdict, within 100 columns.

No string is read as markup, and no control character passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce

from rich.console import RenderableType
from rich.text import Text

from breakeven.render.escaping import terminal_text
from breakeven.render.how_made import outcome_lines
from breakeven.render.report_tables import NARROW, bottleneck_tables, variant_tables
from breakeven.render.summary_tables import tables
from breakeven.render.table import Table
from breakeven.render.terminal import section, table_section
from breakeven.report.comparability import ComparabilityLevel
from breakeven.report.report import Report


def renderables(report: Report) -> Iterator[RenderableType]:
    """Yield tables, advice, untimed cases, warnings, what-ifs and the verdict."""
    for table in [*tables(report), *bottleneck_tables(report), *variant_tables(report)]:
        yield from table_section(reduce(Table.without, NARROW, table), "all in summary.csv")
    yield from section("What helps against each bound", report.bottleneck_sentences)
    yield from section("Where each variant pays", report.variant_sentences)
    yield from section("Burst and sustained", report.sustained_sentences)
    yield from section("Not timed", outcome_lines(report))
    yield from section("Warnings", report.warnings)
    yield from section("What would change this", report.what_if_sentences)
    yield Text()
    if report.comparability.level is not ComparabilityLevel.GREEN:
        yield Text(f"Comparability: {report.comparability.level}; see the warnings", style="yellow")
    for conclusion in report.conclusions:
        yield Text(terminal_text(conclusion.headline), style="bold")
        if conclusion.details:
            yield Text(terminal_text(" ".join(conclusion.details)))
