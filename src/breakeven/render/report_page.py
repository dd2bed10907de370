"""``index.html``: the record as one page that needs nothing else.

Owns what the page shows and in which order; how it looks is in ``templates``. No network, no fonts, readable
with scripts off. Every string of a record passes `breakeven.render.escaping.html_text` or the template's
own escaping; only our own style, script and figures enter as they are. Opens no file of the user's.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup, escape

from breakeven import format as fmt
from breakeven.render.escaping import html_text
from breakeven.render.figures import FIGURES
from breakeven.render.html import render, template
from breakeven.render.inline_svg import inlined
from breakeven.render.machine_cards import cards
from breakeven.render.report_tables import (
    bound_tables,
    break_even_tables,
    how_made,
    machine_tables,
    outcome_lines,
    rate_words,
    repay_table,
)
from breakeven.render.report_variants import variant_tables
from breakeven.report.report import Report

COLUMNS = {
    "workload": 8,
    "axes": 11,
    "batch": 5,
    "phase": 6,
    "device": 5.5,
    "median": 5.5,
    "95% interval": 10,
    "n": 4,
    "speedup": 5.5,
    "95% interval of the speedup": 8,
    "verdict": 5.5,
    "flags": 9,
    "rate": 10.5,
    "machine": 12,
}
"""The columns of the table of cases, and how wide each is, in rem."""

NUMERIC = {"batch", "median", "95% interval", "n", "rate", "speedup", "95% interval of the speedup"}
MAX_NAME = 200
"""Longer names are cut in the table, where they stand in every row."""


@dataclass(frozen=True)
class _Shown:
    """A figure as the page shows it; `svg` is empty where there is nothing to draw."""

    name: str
    title: str
    caption: str
    description: str
    svg: Markup


@dataclass(frozen=True)
class _Link:
    href: str
    text: str


def to_html(
    report: Report, version: str, svgs: Mapping[str, bytes], directory: str | os.PathLike[str] = "."
) -> str:
    """Return the page.

    Args:
        report: what to show.
        version: our own.
        svgs: the figures of `breakeven.render.figures.FIGURES` that could be drawn, by name.
        directory: where the page will lie; links to the raw files are relative to it.
    """
    script = template("page.js")
    return render(
        "page.html",
        version=version,
        title=f"Break-even: {fmt.joined([machine.label for machine in report.machines])}",
        subtitle=_subtitle(report),
        question=_question(report),
        css=Markup(template("page.css")),
        js=Markup(script),
        # The script stands between two line breaks, which count.
        script_hash=_hash(f"\n{script}\n"),
        forced=report.forced,
        conclusions=report.conclusions,
        break_even_tables=break_even_tables(report),
        flip_sentences=report.flip_sentences,
        repay_table=repay_table(report),
        bound_tables=bound_tables(report),
        bound_sentences=report.bound_sentences,
        variant_tables=variant_tables(report),
        variant_sentences=report.variant_sentences,
        comparability=report.comparability,
        machine_tables=machine_tables(report),
        cards=cards(report),
        figures=_figures(report, svgs),
        columns=COLUMNS,
        numeric=NUMERIC,
        rows=_rows(report.cases.to_dict("records")),
        outcomes=outcome_lines(report),
        warnings=report.warnings,
        how_made=how_made(report, version),
        commands=_commands(report),
        links=[_link(source.path, directory) for source in report.sources],
    )


def _hash(script: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _subtitle(report: Report) -> str:
    dates = sorted(source.datetime[:10] for source in report.sources if source.datetime)
    when = "" if not dates else dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    counted = f"{fmt.plural(len(report.cases), 'case')}, {fmt.plural(len(report.sources), 'run')}"
    return " · ".join(filter(None, (fmt.joined([m.label for m in report.machines]), counted, when)))


def _question(report: Report) -> str:
    candidates = {row.candidate for row in report.speedups}
    if any(not name.startswith("cpu") for name in candidates):
        return "When does the accelerator pay?"
    return "When do more CPU threads pay?" if candidates else "Verdict"


def _figures(report: Report, svgs: Mapping[str, bytes]) -> list[_Shown]:
    shown = []
    for name, drawing in FIGURES.items():
        description = html_text(drawing.describe(report))
        svg = inlined(svgs[name], name, drawing.title, description) if name in svgs else ""
        shown.append(
            _Shown(name, drawing.title, f"{drawing.caption} {description}", description, Markup(svg))
        )
    return shown


def _rows(records: Iterable[Mapping[Any, Any]]) -> Markup:
    """Return the table's rows.

    Built here and not by the template, which takes seconds for thousands of rows.
    """
    return Markup("\n".join(f"<tr>{''.join(_cells(row))}" for row in records))


def _cells(row: Mapping[Any, Any]) -> Iterable[str]:
    """Yield the cells of a case; end tags are left out, as HTML allows, since rows are most of the page."""
    for name in ("workload", "axes"):
        yield f"<td><bdi>{_escaped(row[name])}</bdi>"
    yield f"<td class=r>{row['batch_size']}"
    yield f"<td>{_escaped(row['phase'])}<td>{_escaped(row['device'])}"
    yield _number(fmt.seconds(row["median_s"]), row["median_s"])
    yield _number(_between(row["low_s"], row["high_s"]), row["low_s"])
    yield f"<td class=r>{row['n']}"
    yield _number(fmt.ratio(row["speedup"]), row["speedup"])
    yield _number(fmt.ratio_between(row["speedup_low"], row["speedup_high"]), row["speedup_low"])
    verdict = row["verdict"] or ""
    yield f"<td class={verdict}>{verdict}" if verdict else "<td>"
    yield f"<td>{_escaped(' '.join(row['flags']))}"
    rate = row["rate"] or row["samples"]
    yield _number(rate_words(rate), None if rate is None else rate.value)
    yield f"<td><bdi>{_escaped(row['machine'])}</bdi>"


def _number(text: str, value: float | None) -> str:
    """Return a cell that is sorted by its exact value."""
    return "<td class=r>" if value is None else f"<td class=r data-v={value:.6g}>{escape(text)}"


def _between(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{fmt.seconds(low)} – {fmt.seconds(high)}"


def _escaped(name: object) -> Markup:
    return escape(html_text(name, MAX_NAME))


def _commands(report: Report) -> list[str]:
    """Return the shell lines that made the runs, as far as the files tell them, and this report."""
    measured = dict.fromkeys(source.command for source in report.sources if source.command)
    return [*measured, shlex.join(["breakeven", "report", *(source.run for source in report.sources)])]


def _link(path: str, directory: str | os.PathLike[str]) -> _Link:
    try:
        relative = os.path.relpath(path, directory)
    except ValueError:  # another drive
        relative = path
    return _Link(quote(Path(relative).as_posix(), errors="replace"), path)
