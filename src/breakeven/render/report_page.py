"""``index.html``: the report as one self-contained page, which needs no network access.

The content is here, the layout in ``templates``. Every string of a report is escaped, by
`breakeven.render.escaping.html_text` or by the template; only breakeven's style, script and figures are
inserted unescaped.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup, escape

from breakeven import format as fmt
from breakeven.device_names import is_cpu
from breakeven.render.escaping import html_text
from breakeven.render.figures import FIGURES
from breakeven.render.html import render, template
from breakeven.render.inline_svg import inlined
from breakeven.render.machine_cards import cards
from breakeven.render.report_tables import (
    bottleneck_tables,
    break_even_tables,
    how_made,
    machine_tables,
    outcome_lines,
    payback_table,
    rate_text,
    variant_tables,
)
from breakeven.render.what_if_table import change_tables, cost_table, model_change_tables
from breakeven.report.case_rows import CaseRow
from breakeven.report.report import Report
from breakeven.report.text import speedup_between, time_between

COLUMNS = {
    "workload": 6.5,
    "axes": 10,
    "batch": 4.5,
    "phase": 6,
    "device": 5,
    "median": 5,
    "95% interval": 9,
    "n": 5,
    "speedup": 5.5,
    "95% interval of the speedup": 7.5,
    "verdict": 5.5,
    "flags": 9,
    "rate": 10.5,
    "machine": 12,
}
"""The columns of the table of cases, with their widths in rem."""

NUMERIC = {"batch", "median", "95% interval", "n", "rate", "speedup", "95% interval of the speedup"}
MAX_NAME = 200
"""Longer names are cut in the table, where they are repeated in every row."""


@dataclass(frozen=True)
class _ShownFigure:
    """A figure on the page."""

    name: str
    title: str
    caption: str
    svg: Markup


def to_html(
    report: Report, version: str, svgs: Mapping[str, bytes], directory: str | os.PathLike[str] = "."
) -> str:
    """Return the page.

    Args:
        report: what to show.
        version: our own.
        svgs: the figures of `breakeven.render.figures.FIGURES` that could be drawn, by name.
        directory: the page's own; links to the raw files are relative to it.
    """
    costs = cost_table(report)
    script = template("page.js")
    return render(
        "page.html",
        version=version,
        title=f"Break-even: {fmt.joined([machine.label for machine in report.machines])}",
        subtitle=_subtitle(report),
        question=_question(report),
        css=Markup(template("page.css")),
        js=Markup(script),
        # The line breaks around the script are part of its hash.
        script_hash=_hash(f"\n{script}\n"),
        scope=report.interval_scope(),
        forced=report.forced,
        answer=report.answer,
        break_even_tables=break_even_tables(report),
        change_tables=change_tables(report),
        model_change_tables=[*model_change_tables(report), *([costs] if costs else [])],
        payback_table=payback_table(report),
        bottleneck_tables=bottleneck_tables(report),
        bottleneck_sentences=report.bottleneck_sentences,
        variant_tables=variant_tables(report),
        variant_sentences=report.variant_sentences,
        sustained_sentences=report.sustained_sentences,
        comparability=report.comparability,
        machine_tables=machine_tables(report),
        cards=cards(report),
        figures=_figures(report, svgs),
        columns=COLUMNS,
        numeric=NUMERIC,
        rows=_rows(report),
        outcomes=outcome_lines(report),
        warnings=report.warnings,
        how_made=how_made(report, version),
        commands=_commands(report),
        links=[_link(run.path, directory) for run in report.runs],
    )


def _hash(script: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _subtitle(report: Report) -> str:
    dates = sorted(run.datetime[:10] for run in report.runs if run.datetime)
    when = "" if not dates else dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    most = max((row.estimate.processes for row in report.rows), default=0)
    processes = f", {most} processes" if most > 1 else ""
    counted = f"{fmt.plural(len(report.rows), 'case')}, {fmt.plural(len(report.runs), 'run')}{processes}"
    return " · ".join(filter(None, (fmt.joined([m.label for m in report.machines]), counted, when)))


def _question(report: Report) -> str:
    candidates = {row.candidate.device for row in report.speedups}
    if any(not is_cpu(name) for name in candidates):
        return "When does the accelerator pay?"
    return "When do more CPU threads pay?" if candidates else "Verdict"


def _figures(report: Report, svgs: Mapping[str, bytes]) -> list[_ShownFigure]:
    shown = []
    for name in svgs:
        drawing = FIGURES[name]
        description = html_text(drawing.describe(report))
        svg = Markup(inlined(svgs[name], name, drawing.title, description, drawing.column))
        shown.append(_ShownFigure(name, drawing.title, drawing.caption, svg))
    return shown


def _rows(report: Report) -> Markup:
    """Return the table's rows.

    Not built by the template, which would take seconds for thousands of rows.
    """
    labels = {machine: _escaped(label) for machine, label in report.labels.items()}
    return Markup("\n".join(f"<tr>{''.join(_cells(row, labels[row.key.machine]))}" for row in report.rows))


def _cells(row: CaseRow, machine: Markup) -> Iterable[str]:
    """Yield the cells of a case; end tags are omitted, as HTML allows, because rows are most of the page."""
    key, case, speedup = row.key, row.estimate, row.speedup
    for text in (key.workload, key.axes.text):
        yield f"<td><bdi>{_escaped(text)}</bdi>"
    yield f"<td class=r>{key.batch_size}"
    yield f"<td>{_escaped(key.phase)}<td>{_escaped(key.device)}"
    yield _number(fmt.seconds(case.median_s), case.median_s)
    yield _number(time_between(case), case.low_s or case.median_s)
    if case.processes == 1:
        yield f"<td class=r>{case.n}"
    else:
        yield _number(f"{case.n} in {case.processes}", case.n)
    if speedup is None:
        yield "<td class=r><td class=r><td>"
    else:
        yield _number(fmt.ratio(speedup.speedup), speedup.speedup)
        yield _number(speedup_between(speedup), speedup.low or speedup.speedup)
        yield f"<td class={speedup.verdict}>{speedup.verdict}"
    yield f"<td>{_escaped(' '.join(row.flags))}"
    rate = row.rate or row.samples
    yield _number(rate_text(rate), None if rate is None else rate.value)
    yield f"<td><bdi>{machine}</bdi>"


def _number(text: str, value: float | None) -> str:
    """Return a cell with its exact value for sorting."""
    return "<td class=r>" if value is None else f"<td class=r data-v={value:.6g}>{escape(text)}"


def _escaped(name: object) -> Markup:
    return escape(html_text(name, MAX_NAME))


def _commands(report: Report) -> list[str]:
    """Return the shell lines that produced the runs, if recorded, and this report."""
    measured = dict.fromkeys(run.command for run in report.runs if run.command)
    return [*measured, shlex.join(["breakeven", "report", *(run.name for run in report.runs)])]


def _link(path: str, directory: str | os.PathLike[str]) -> tuple[str, str]:
    try:
        relative = os.path.relpath(path, directory)
    except ValueError:  # another drive
        relative = path
    return quote(Path(relative).as_posix(), errors="replace"), path
