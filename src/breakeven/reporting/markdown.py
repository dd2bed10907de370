"""``summary.md``: the record for a pull request or a page of notes.

Owns the markdown. Opens no file; every string that came from one is escaped here.
"""

from __future__ import annotations

from breakeven.analysing.record import Report
from breakeven.analysing.sentence import Conclusion
from breakeven.reporting.escaping import markdown_text
from breakeven.reporting.tables import Table, how_made, machine_tables, outcome_lines, repay_table, tables


def to_markdown(report: Report, version: str) -> str:
    """Return verdict, tables, warnings, outcomes and how it was made, as GitHub-flavoured markdown."""
    parts = ["# Break-even report", *map(_conclusion, report.conclusions)]
    parts += _section("What would flip this", report.flip_sentences)
    parts += _section(
        f"Comparability: {report.comparability.level}",
        tuple(f"{reason.level}: {reason.text}" for reason in report.comparability.reasons),
    )
    repaid = repay_table(report)
    found = [*machine_tables(report), *tables(report), *([repaid] if repaid else [])]
    parts += [_table(table) for table in found]
    parts += _section("Warnings", report.warnings)
    parts += _section("Not timed", outcome_lines(report))
    parts += _section("How made", how_made(report, version))
    return "\n\n".join(parts) + "\n"


def _conclusion(conclusion: Conclusion) -> str:
    return f"**{markdown_text(conclusion.headline)}** {markdown_text(' '.join(conclusion.details))}".strip()


def _section(title: str, lines: tuple[str, ...] | list[str]) -> list[str]:
    return [f"## {title}\n\n" + "\n".join(f"- {markdown_text(line)}" for line in lines)] if lines else []


def _table(table: Table) -> str:
    rows = [
        f"## {markdown_text(_capital(table.title))}",
        "",
        _row(table.columns),
        "|" + "|".join(" ---: " if right else " --- " for _, right in table.aligned) + "|",
        *[_row(row) for row in table.rows],
    ]
    if table.cut:
        rows += ["", f"{table.cut} more rows are in summary.csv."]
    return "\n".join(rows)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(markdown_text(cell) for cell in cells) + " |"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
