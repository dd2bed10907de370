"""``summary.md``: the report for a pull request. Every string from a file is escaped here."""

from __future__ import annotations

from breakeven.render.escaping import markdown_text
from breakeven.render.how_made import how_made, outcome_lines
from breakeven.render.markdown import markdown_table, section
from breakeven.render.report_tables import (
    bottleneck_tables,
    machine_tables,
    payback_table,
    variant_tables,
)
from breakeven.render.summary_tables import tables
from breakeven.report.report import Report
from breakeven.report.text import Conclusion


def to_markdown(report: Report, version: str) -> str:
    """Return verdict, tables, warnings, outcomes and methods as GitHub-flavored markdown."""
    reasons = tuple(f"{reason.level}: {reason.text}" for reason in report.comparability.reasons)
    paid_back = payback_table(report)
    found = [*machine_tables(report), *tables(report), *([paid_back] if paid_back else [])]
    found += [*bottleneck_tables(report), *variant_tables(report)]
    parts = [
        "# Break-even report",
        *map(_conclusion, report.conclusions),
        *section("What would change this", report.what_if_sentences),
        *section(f"Comparability: {report.comparability.level}", reasons),
        *map(markdown_table, found),
        *section("What helps against each bound", report.bottleneck_sentences),
        *section("Where each variant pays", report.variant_sentences),
        *section("Burst and sustained", report.sustained_sentences),
        *section("Warnings", report.warnings),
        *section("Not timed", outcome_lines(report)),
        *section("How made", how_made(report, version)),
    ]
    return "\n\n".join(parts) + "\n"


def _conclusion(conclusion: Conclusion) -> str:
    return f"**{markdown_text(conclusion.headline)}** {markdown_text(' '.join(conclusion.details))}".strip()
