"""``summary.md``: the record for a pull request or a page of notes.

Owns the markdown. Opens no file; every string that came from one is escaped here.
"""

from __future__ import annotations

from breakeven.render.escaping import markdown_text
from breakeven.render.markdown import markdown_table, section
from breakeven.render.report_tables import (
    bound_tables,
    how_made,
    machine_tables,
    outcome_lines,
    repay_table,
    tables,
)
from breakeven.render.report_variants import variant_tables
from breakeven.report.report import Report
from breakeven.report.text import Conclusion


def to_markdown(report: Report, version: str) -> str:
    """Return verdict, tables, warnings, outcomes and how it was made, as GitHub-flavoured markdown."""
    parts = ["# Break-even report", *map(_conclusion, report.conclusions)]
    parts += section("What would flip this", report.flip_sentences)
    parts += section(
        f"Comparability: {report.comparability.level}",
        tuple(f"{reason.level}: {reason.text}" for reason in report.comparability.reasons),
    )
    repaid = repay_table(report)
    found = [*machine_tables(report), *tables(report), *([repaid] if repaid else [])]
    parts += [markdown_table(table) for table in [*found, *bound_tables(report), *variant_tables(report)]]
    parts += section("What helps against each bound", report.bound_sentences)
    parts += section("Where each variant pays", report.variant_sentences)
    parts += section("Warnings", report.warnings)
    parts += section("Not timed", outcome_lines(report))
    parts += section("How made", how_made(report, version))
    return "\n\n".join(parts) + "\n"


def _conclusion(conclusion: Conclusion) -> str:
    return f"**{markdown_text(conclusion.headline)}** {markdown_text(' '.join(conclusion.details))}".strip()
