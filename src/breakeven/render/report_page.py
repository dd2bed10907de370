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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from breakeven import format as fmt
from breakeven.case import Model
from breakeven.device_names import is_cpu, processes_of
from breakeven.render import break_even_text
from breakeven.render.case_table import NUMERIC, anchors, columns, rows_of
from breakeven.render.escaping import html_text
from breakeven.render.figures import FIGURES, Drawing
from breakeven.render.figures.break_even import folded_title
from breakeven.render.glossary import GLOSSARY
from breakeven.render.how_made import how_made, outcome_lines
from breakeven.render.html import render, template
from breakeven.render.inline_svg import inlined
from breakeven.render.loading_table import loading_table
from breakeven.render.machine_cards import cards
from breakeven.render.report_tables import bottleneck_tables, machine_tables, payback_table, variant_tables
from breakeven.render.scaling_table import scaling_tables
from breakeven.render.what_if_table import change_tables, cost_table, model_change_tables
from breakeven.report.report import Report

CHART, AGAINST_ONE = "break_even", "against_one"
"""The break-even charts; their further parts, whose names begin with these, are folded below them."""

NARROW = "_narrow"
"""At the end of a figure's name: its form for a phone."""

IDS = ("answer", "break-even", "several", "changes", "speedup", "phases", "variants", "map", "machines",
       "quantities", "all-cases", "cases", "about-cases", "filter", "order", "more", "count",
       "lines")  # fmt: skip
"""The ids of the template without an underscore, which no anchor of a model repeats."""


@dataclass(frozen=True)
class ShownFigure:
    """A figure on the page; `narrow` is the form for a phone, empty where it has none of its own."""

    title: str
    caption: str
    svg: Markup
    narrow: Markup


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
    figures = _figures(report, svgs)
    of_models = anchors(report.names, IDS)
    return render(
        "page.html",
        version=version,
        title=f"Break-even: {fmt.joined([machine.label for machine in report.machines])}",
        subtitle=_subtitle(report),
        words=GLOSSARY.items(),
        question=_question(report),
        css=Markup(template("page.css")),
        js=Markup(script),
        # The line breaks around the script are part of its hash.
        script_hash=_hash(f"\n{script}\n"),
        scope=report.interval_scope(),
        forced=report.forced,
        answer=report.answer,
        csv="summary.csv",
        judged=report.judged,
        charts=_parts(figures, CHART),
        more_charts=folded_title(report.chart),
        against_one=_parts(figures, AGAINST_ONE),
        more_against_one=folded_title(report.scaling.chart),
        figures=figures,
        anchors=_by_name(report, of_models),
        chart_table=break_even_text.table(report.chart) if report.chart else None,
        scaling_tables=scaling_tables(report),
        scaling_sentences=report.scaling.sentences,
        changes=change_tables(report),
        model_changes=[*model_change_tables(report), *([costs] if costs else [])],
        payback_table=payback_table(report),
        loading_table=loading_table(report),
        loading_sentences=report.loading_sentences,
        step_sentences=report.step_sentences,
        bottleneck_tables=bottleneck_tables(report),
        bottleneck_sentences=report.bottleneck_sentences,
        variant_tables=variant_tables(report),
        variant_sentences=report.variant_sentences,
        sustained_sentences=report.sustained_sentences,
        comparability=report.comparability,
        machine_tables=machine_tables(report),
        cards=cards(report),
        columns=columns(report),
        numeric=NUMERIC,
        rows=rows_of(report, of_models),
        outcomes=outcome_lines(report),
        warnings=_warnings(report),
        how_made=how_made(report, version),
        commands=_commands(report),
        links=[("summary.csv", "summary.csv"), *(_link(run.path, directory) for run in report.runs)],
    )


def _hash(script: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _subtitle(report: Report) -> str:
    dates = sorted(run.datetime[:10] for run in report.runs if run.datetime)
    when = "" if not dates else dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    most = max((row.estimate.processes for row in report.rows), default=0)
    processes = "" if most < 2 else f", {most} processes"
    if len(report.runs) > 1:
        processes = f"{processes or ', one process'} each"
    counted = f"{fmt.plural(len(report.rows), 'case')}, {fmt.plural(len(report.runs), 'run')}{processes}"
    return " · ".join(filter(None, (fmt.joined([m.label for m in report.machines]), counted, when)))


def _question(report: Report) -> str:
    candidates = {row.candidate.device for row in report.break_evens}
    if any(not is_cpu(name) for name in candidates):
        return "When does the accelerator pay?"
    if any(processes_of(name) for name in candidates):
        return "When do more processes pay?"
    return "When do more CPU threads pay?" if candidates else "Verdict"


def _figures(report: Report, svgs: Mapping[str, bytes]) -> dict[str, ShownFigure]:
    """Return the figures, by name, each with its form for a phone; parts of the chart are figures too."""
    shown = {}
    for name in svgs:
        if not name.endswith(NARROW):
            drawing = FIGURES[next(known for known in FIGURES if name.startswith(known))]
            forms = [_inlined(report, svgs, form, drawing) for form in (name, name + NARROW)]
            shown[name] = ShownFigure(drawing.title, drawing.full_caption(report), *forms)
    return shown


def _parts(figures: Mapping[str, ShownFigure], chart: str) -> list[ShownFigure]:
    return [figure for name, figure in figures.items() if name.startswith(chart)]


def _inlined(report: Report, svgs: Mapping[str, bytes], name: str, drawing: Drawing[Any]) -> Markup:
    if name not in svgs:
        return Markup()
    description = html_text(drawing.describe(report))
    return Markup(inlined(svgs[name], name, drawing.title, description, drawing.column))


def _by_name(report: Report, of_models: Mapping[Model, str]) -> dict[str, str]:
    """Return the anchors of the models with a timed case, by each of their names in tables."""
    timed = {row.key.model for row in report.rows}
    found = [(model, anchor) for model, anchor in of_models.items() if model in timed]
    return {name: anchor for model, anchor in found for name in (model.label(), report.names[model])}


def _warnings(report: Report) -> list[str]:
    """Return the warnings but the reasons of the comparability, which are beside them."""
    reasons = {f"comparability {reason.level}: {reason.text}" for reason in report.comparability.reasons}
    return [line for line in report.warnings if line not in reasons]


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
