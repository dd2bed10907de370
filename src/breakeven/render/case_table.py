"""Every case as the rows of a table in HTML, with the rounds of each and an anchor for each model.

The rows are not built by the template, which would take seconds for thousands of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from markupsafe import Markup, escape

from breakeven import format as fmt
from breakeven.case import Model
from breakeven.device_names import device_order
from breakeven.phases import HEADLINE, Phase
from breakeven.render.distributions import samples_of, strip
from breakeven.render.escaping import html_text
from breakeven.render.report_tables import rate_text
from breakeven.render.summary_tables import SAMPLES
from breakeven.report.case_rows import CaseRow
from breakeven.report.report import Report
from breakeven.report.text import speedup_text, time_text
from breakeven.report.throughput import sample_count

MACHINE = "machine"
COLUMNS = {
    "model": 11.75,
    "batch": 4.5,
    SAMPLES: 4.5,
    "phase": 5,
    "device": 4.75,
    "time": 9.25,
    "rounds": 5.25,
    "speedup": 9.25,
    "verdict": 5.5,
    "flags": 5.5,
    "rate": 9.5,
    MACHINE: 9,
}
"""The columns of the table of cases, with their minimum widths on a screen, in rem."""

NUMERIC = {"batch", SAMPLES, "time", "rounds", "rate", "speedup"}
MAX_NAME = 200
"""Longer names are cut in the table, where they are repeated in every row."""

_PHASES = (HEADLINE, *(phase for phase in Phase if phase is not HEADLINE))


def columns(report: Report) -> dict[str, float]:
    """Return the columns with their widths; two of them only where they differ from the others."""
    needed = {MACHINE: len(report.machines) > 1, SAMPLES: _accumulates(report)}
    return {name: width for name, width in COLUMNS.items() if needed.get(name, True)}


def anchors(models: Mapping[Model, str], taken: Collection[str]) -> dict[Model, str]:
    """Return the anchor of each model, such as ``mlp-width-64``.

    Args:
        models: their names.
        taken: the ids that the page has already.
    """
    found: dict[Model, str] = {}
    used = set(taken)
    for model, name in models.items():
        words = re.sub(r"[^a-z0-9]+", "-", name.replace(" at ", " ", 1).lower()[:80]).strip("-") or "model"
        unique = words if words not in used else f"{words}-{len(used)}"
        used.add(unique)
        found[model] = unique
    return found


def rows_of(report: Report, model_anchors: Mapping[Model, str]) -> Markup:
    """Return the rows, by model and batch size, the headline phase first."""
    samples = samples_of(report)
    labels = {machine.class_id: _escaped(machine.label) for machine in report.machines}
    place = {machine: index for index, machine in enumerate(labels)}
    names = {model: _name(model) for model in model_anchors}
    seen: set[Model] = set()
    has_samples = _accumulates(report)
    lines = []
    for row in sorted(report.rows, key=lambda row: _order(row, place)):
        model = row.key.model
        anchor = f" id={model_anchors[model]}" if model not in seen else ""
        seen.add(model)
        cells = "".join(_cells(row, names[model], strip(samples[row.key]), has_samples))
        machine = f"<td>{labels[row.key.machine]}" if len(labels) > 1 else ""
        lines.append(f"<tr{anchor}>{cells}{machine}")
    return Markup("".join(lines))  # a line break would be in the last cell of a row


def _accumulates(report: Report) -> bool:
    """Return whether a training step takes several batches in any case."""
    return any(sample_count(row.estimate) != row.key.batch_size for row in report.rows)


def _order(row: CaseRow, place: Mapping[str, int]) -> tuple[object, ...]:
    key = row.key
    rank = _PHASES.index(key.phase) if key.phase in _PHASES else len(_PHASES)
    model = (key.workload, key.axes.sort_key)
    return (*model, rank, key.phase, key.batch_size, place[key.machine], device_order(key.device))


def _name(model: Model) -> Markup:
    return Markup("<b>{}</b> {}").format(_escaped(model.workload), _escaped(model.axes.text))


def _cells(row: CaseRow, name: Markup, rounds: Markup, has_samples: bool) -> Iterator[str]:
    """Yield the cells of a case; end tags are omitted, as HTML allows, because rows are most of the page."""
    key, case, speedup = row.key, row.estimate, row.speedup
    yield f"<td>{name}<td class=r data-v={key.batch_size}>{fmt.batch_size(key.batch_size)}"
    if has_samples:
        samples = sample_count(case)
        yield _number(fmt.batch_size(samples), samples)
    yield f"<td>{_escaped(key.phase)}<td>{_escaped(key.device)}"
    time = time_text(case)
    yield f"<td class=r data-v={case.median_s:.6g}>"
    yield f"<details><summary>{time}</summary>{rounds}</details>" if rounds else time
    yield _number(str(case.n) if case.processes == 1 else f"{case.n} in {case.processes}", case.n)
    if speedup is None:
        yield "<td class=r><td>"
    else:
        yield _number(speedup_text(speedup), speedup.speedup)
        yield f"<td class={speedup.verdict}>{speedup.verdict}"
    yield f"<td>{_escaped(' '.join(row.flags))}"
    rate = row.rate or row.samples
    yield _number(rate_text(rate), None if rate is None else rate.value)


def _number(text: str, value: float | None) -> str:
    """Return a cell with its exact value for sorting."""
    return "<td class=r>" if value is None else f"<td class=r data-v={value:.6g}>{escape(text)}"


def _escaped(name: object) -> Markup:
    return escape(html_text(name, MAX_NAME))
