"""The record for machines: ``summary.csv`` and the JSON of Contract 2.

Owns their bytes. Full precision, base units, null or an empty cell for what is unknown. Opens no file.
"""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from breakeven.case import SCHEMA
from breakeven.render.escaping import csv_text
from breakeven.render.json_schemas import schema_of
from breakeven.report.bottleneck import UNMEASURED, Bounds, Cell
from breakeven.report.break_even import BreakEven
from breakeven.report.report import COLUMNS, Report
from breakeven.report.speedup import Speedup
from breakeven.report.startup_cost import Payback
from breakeven.report.variants import Variant


def to_csv(report: Report) -> str:
    """Return a row a case with the columns of `COLUMNS`, seconds in full precision, flags space-separated."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in report.cases[COLUMNS].itertuples(index=False, name=None):
        writer.writerow([_csv_cell(value) for value in row])
    return stream.getvalue()


def to_json(report: Report) -> str:
    """Return the report as Contract 2 has it: finite numbers or null, strings as the run file gave them."""
    content = {
        "schema": SCHEMA,
        "verdict": report.verdict,
        "break_even": [_break_even(report, row) for row in report.break_evens],
        "speedup": [_speedup(report, row) for row in report.speedups],
        "bounds": [_bounds(report, row) for row in report.bounds],
        "variants": [_variant(report, row) for row in report.variants],
        "repay": [_payback(report, row) for row in report.paybacks],
        "outcomes": _outcomes(report),
        "warnings": list(report.warnings),
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema that `to_json` fulfils."""
    return schema_of("report")


def _csv_cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, tuple):
        return csv_text(" ".join(map(str, value)))
    return value if isinstance(value, int) else csv_text(value)


def _line(report: Report, row: BreakEven | Speedup) -> dict[str, Any]:
    return {
        "workload": row.workload,
        "phase": row.phase,
        "axes": dict(report.axes[row.axes]),
        "baseline": row.baseline,
        "candidate": row.candidate,
        "baseline_machine": report.label(row.baseline_class_id),
        "candidate_machine": report.label(row.class_id),
    }


def _break_even(report: Report, row: BreakEven) -> dict[str, Any]:
    found = row.crossing
    return {
        **_line(report, row),
        "status": found.status,
        "batch_size": found.batch_size,
        "low": found.low,
        "high": found.high,
        "bracket": list(found.bracket),
    }


def _speedup(report: Report, row: Speedup) -> dict[str, Any]:
    return {
        **_line(report, row),
        "batch_size": row.batch_size,
        "speedup": row.speedup,
        "low": row.low,
        "high": row.high,
        "verdict": row.verdict,
        "flags": list(row.flags),
    }


def _bounds(report: Report, row: Bounds) -> dict[str, Any]:
    return {
        "workload": row.workload,
        "axes": dict(report.axes[row.axes]),
        "device": row.device,
        "machine": report.label(row.class_id),
        "flat_to": row.flat_to,
        "grows": row.grows,
        "cells": [_bound_cell(cell) for cell in row.cells],
    }


def _bound_cell(cell: Cell) -> dict[str, Any]:
    return {
        "batch_size": cell.batch_size,
        "kind": None if cell.kind == UNMEASURED else cell.kind,
        "host_share": cell.share,
        "low": cell.low,
        "high": cell.high,
        "train_s": cell.train_s,
        "enqueue_s": cell.facts.get("enqueue_s"),
        "device_time_s": cell.facts.get("device_time_s"),
    }


def _variant(report: Report, variant: Variant) -> dict[str, Any]:
    row, steps = variant.row, variant.repaid
    return {
        "workload": row.workload,
        "axes": dict(report.axes[row.axes]),
        "plain_axes": dict(report.axes[variant.plain]),
        "change": dict(variant.change),
        "batch_size": row.batch_size,
        "device": row.candidate,
        "machine": report.label(row.class_id),
        "speedup": row.speedup,
        "low": row.low,
        "high": row.high,
        "verdict": row.verdict,
        "flags": list(row.flags),
        "compile_s": variant.compile_s,
        "capture_s": variant.capture_s,
        "repaid_after": None if steps is None else _steps(steps),
    }


def _payback(report: Report, steps: Payback) -> dict[str, Any]:
    row = _line(report, steps.row)
    return {**row, "batch_size": steps.row.batch_size, "start_s": steps.start_s, **_steps(steps)}


def _steps(steps: Payback) -> dict[str, Any]:
    return {"steps": steps.steps, "low": steps.low, "high": steps.high}


def _outcomes(report: Report) -> list[dict[str, Any]]:
    """Return the cases without a timing; what a run file does not tell of one is null."""
    names = ("fullname", "outcome", "reason", "workload", "phase", "device", "batch_size")
    axes: dict[str | None, Any] = {None: None, **{text: dict(values) for text, values in report.axes.items()}}
    return [
        {**{name: row[name] for name in names}, "axes": axes[row["axes"]]}
        for row in report.outcomes.to_dict("records")
    ]
