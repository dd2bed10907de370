"""``summary.md``: the report for a pull request. Every string from a file is escaped here."""

from __future__ import annotations

from collections.abc import Iterator

from breakeven import format as fmt
from breakeven.render import break_even_text
from breakeven.render.how_made import how_made, outcome_lines
from breakeven.render.loading_table import loading_table
from breakeven.render.markdown import bullets, document, folded, markdown_table, verdict
from breakeven.render.report_tables import (
    bottleneck_tables,
    machine_tables,
    payback_table,
    variant_tables,
)
from breakeven.render.scaling_table import scaling_tables
from breakeven.render.summary_tables import tables
from breakeven.render.table import Table
from breakeven.render.what_if_table import change_tables, cost_table, model_change_tables
from breakeven.report.answer import Trust
from breakeven.report.report import Report

_REST = "on the page"
_AGAINST_ONE = "Break-even of several devices against one"
_FEWEST = 4
_LIMITS = (
    *((limit, None) for limit in (None, 120, 60, 30, 12)),
    *((_FEWEST, rows) for rows in (None, 300, 100, 30)),
)
"""Of the rows of what is folded, and then of those of what is not."""


def to_markdown(report: Report, version: str) -> str:
    """Return the verdict, the break-even of every model and what would change it; the rest is folded.

    Tables and lists are cut as far as its length requires.
    """
    return document([*_main(report, rows), *_folds(report, version, limit, rows)] for limit, rows in _LIMITS)


def _main(report: Report, rows: int | None) -> list[str]:
    """Return what is not folded: only the answer, where the run cannot be trusted."""
    answer = verdict(report.answer.lines)
    if report.answer.trust is Trust.UNFIT:
        return [*answer, *([bullets(report.answer.notes)] if report.answer.notes else [])]
    return [*answer, *_results(report, rows)]


def _results(report: Report, rows: int | None) -> list[str]:
    charts = ((report.chart, "Break-even"), (report.scaling.chart, _AGAINST_ONE))
    found = [break_even_text.table(chart, title) for chart, title in charts if chart]
    return [_cut(table, rows) for table in (*found, *change_tables(report))]


def _cut(table: Table, limit: int | None) -> str:
    return markdown_table(table.first(limit), 3, f"more rows are {_REST}")


def _folds(report: Report, version: str, limit: int | None, rows: int | None) -> Iterator[str]:
    """Yield the folded sections, in the order of need, with tables and lists of at most `limit` rows."""

    def fold(title: str, found: list[Table], *lists: tuple[str, ...]) -> Iterator[str]:
        parts = [_cut(table, limit) for table in found]
        parts += [bullets(lines, limit, _REST) for lines in lists if lines]
        if parts:
            yield folded(title, "\n\n".join(parts))

    is_unfit = report.answer.trust is Trust.UNFIT
    if is_unfit and (results := _results(report, rows)):
        yield folded("Break-even: not to be trusted", "\n\n".join(results))
    yield from () if is_unfit else fold("More about the answer", [], report.answer.notes)
    level = report.comparability.level
    reasons = tuple(f"{reason.level}: {reason.text}" for reason in report.comparability.reasons)
    yield from fold(f"Comparability: {level}", [], reasons)
    yield from fold(fmt.plural(len(report.warnings), "warning"), [], report.warnings)
    yield from fold("Not timed", [], tuple(outcome_lines(report)))
    paid_back = payback_table(report)
    yield from fold("Break-even of each model in each scenario", model_change_tables(report))
    yield from fold("Several devices", scaling_tables(report), report.scaling.sentences)
    costs = cost_table(report)
    yield from fold("Dollars", [costs] if costs else [])
    yield from fold("Speedups", tables(report))
    yield from fold("Machines", machine_tables(report))
    yield from fold("Start-up time", [paid_back] if paid_back else [])
    loading = loading_table(report)
    yield from fold("What a training step does", [], report.step_sentences)
    yield from fold("What bounds an epoch", [loading] if loading else [], report.loading_sentences)
    yield from fold("What bounds each model", bottleneck_tables(report), report.bottleneck_sentences)
    yield from fold("Variants", variant_tables(report), report.variant_sentences)
    yield from fold("Burst and sustained", [], report.sustained_sentences)
    yield from fold("How made", [], tuple(how_made(report, version)))
