"""The history for a pull request: the verdict, the worst rows, coverage, warnings and the machines, folded.

Owns the markdown, which stays far under the 60,000 characters that GitHub shows. Opens no file; every string
that came from one is escaped here.
"""

from __future__ import annotations

from collections.abc import Sequence

from breakeven.history.check import History
from breakeven.history.text import coverage, headline
from breakeven.render.escaping import markdown_text
from breakeven.render.history_tables import history_tables
from breakeven.render.markdown import markdown_table

MAX_LINES = 12
"""Longer lists are cut, and say so."""

CUT = "more rows are left out, the largest changes first"

_LINE = 600


def check_markdown(history: History, version: str) -> str:
    """Return what `history check` says as GitHub-flavoured markdown."""
    parts = ["## breakeven history", f"**{markdown_text(headline(history))}**"]
    parts += [markdown_table(table, 3, CUT) for table in history_tables(history)]
    if history.newest:
        parts.append(markdown_text(coverage(history)))
    parts += _section("Warnings", history.warnings)
    classes = {run.class_id: run for run in history.runs}
    machines = [f"{run.label} (class {run.class_id})" for run in classes.values()]
    if machines:
        folded = "\n".join(_lines(machines))
        parts.append(f"<details><summary>Machines</summary>\n\n{folded}\n\n</details>")
    parts.append(f"breakeven {markdown_text(version)}")
    return "\n\n".join(parts) + "\n"


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [f"### {title}\n\n" + "\n".join(_lines(lines))] if lines else []


def _lines(lines: Sequence[str]) -> list[str]:
    shown = [f"- {markdown_text(line[:_LINE])}" for line in lines[:MAX_LINES]]
    rest = len(lines) - MAX_LINES
    return [*shown, f"- and {rest} more"] if rest > 0 else shown
