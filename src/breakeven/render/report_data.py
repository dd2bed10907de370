"""The report as CSV and JSON, in full precision and base units; unknown values are empty or null."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from breakeven.case import SCHEMA, Outcome
from breakeven.render.escaping import csv_text
from breakeven.render.json_schemas import schema_of
from breakeven.report.bottleneck import Bottleneck, Bound, BoundCell
from breakeven.report.break_even import BreakEven
from breakeven.report.frame import SUMMARY
from breakeven.report.report import Report
from breakeven.report.speedup import Speedup
from breakeven.report.startup_cost import Payback
from breakeven.report.variants import Variant


def to_csv(report: Report) -> str:
    """Return a row a case with the columns of `SUMMARY`, seconds in full precision, flags space-separated."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(SUMMARY)
    for row in report.cases[list(SUMMARY)].itertuples(index=False, name=None):
        writer.writerow([_csv_cell(value) for value in row])
    return stream.getvalue()


def to_json(report: Report) -> str:
    """Return the report as JSON: finite numbers or null, strings as the run file has them."""
    content = {
        "schema": SCHEMA,
        "verdict": report.verdict,
        "break_even": [_break_even(report, row) for row in report.break_evens],
        "speedup": [_speedup(report, row) for row in report.speedups],
        "bounds": [_bottleneck(report, row) for row in report.bottlenecks],
        "variants": [_variant(report, row) for row in report.variants],
        "repay": [_payback(report, row) for row in report.paybacks],
        "outcomes": [_outcome(outcome) for outcome in report.outcomes],
        "warnings": list(report.warnings),
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema that `to_json` fulfills."""
    return schema_of("report")


def _csv_cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, tuple):
        return csv_text(" ".join(map(str, value)))
    return value if isinstance(value, int) else csv_text(value)


def _pair(report: Report, row: BreakEven | Speedup) -> dict[str, Any]:
    return {
        "workload": row.model.workload,
        "phase": row.phase,
        "axes": dict(row.model.axes),
        "baseline": row.baseline.device,
        "candidate": row.candidate.device,
        "baseline_machine": report.labels[row.baseline.machine],
        "candidate_machine": report.labels[row.candidate.machine],
    }


def _break_even(report: Report, row: BreakEven) -> dict[str, Any]:
    found = row.crossing
    return {
        **_pair(report, row),
        "status": found.status,
        "batch_size": found.batch_size,
        "low": found.low,
        "high": found.high,
        "bracket": list(found.bracket),
    }


def _speedup(report: Report, row: Speedup) -> dict[str, Any]:
    return {**_pair(report, row), "batch_size": row.batch_size, **_ratio(row)}


def _ratio(row: Speedup) -> dict[str, Any]:
    return {
        "speedup": row.speedup,
        "low": row.low,
        "high": row.high,
        "verdict": row.verdict,
        "flags": list(row.flags),
    }


def _bottleneck(report: Report, row: Bottleneck) -> dict[str, Any]:
    return {
        "workload": row.line.model.workload,
        "axes": dict(row.line.model.axes),
        "device": row.line.device,
        "machine": report.labels[row.line.machine],
        "flat_to": row.flat_to,
        "grows": row.grows,
        "cells": [_bound_cell(cell) for cell in row.cells],
    }


def _bound_cell(cell: BoundCell) -> dict[str, Any]:
    return {
        "batch_size": cell.batch_size,
        "kind": None if cell.kind is Bound.UNMEASURED else cell.kind,
        "host_share": cell.share,
        "low": cell.low,
        "high": cell.high,
        "train_s": cell.train_s,
        "enqueue_s": cell.facts.enqueue_s,
        "device_time_s": cell.facts.device_time_s,
    }


def _variant(report: Report, variant: Variant) -> dict[str, Any]:
    key = variant.row.candidate
    return {
        "workload": key.workload,
        "axes": dict(key.axes),
        "plain_axes": dict(variant.row.baseline.axes),
        "change": dict(variant.change),
        "batch_size": key.batch_size,
        "device": key.device,
        "machine": report.labels[key.machine],
        **_ratio(variant.row),
        "compile_s": variant.compile_s,
        "capture_s": variant.capture_s,
        "repaid_after": None if variant.paid_back is None else _steps(variant.paid_back),
    }


def _payback(report: Report, payback: Payback) -> dict[str, Any]:
    pair = _pair(report, payback.row)
    return {**pair, "batch_size": payback.row.batch_size, "start_s": payback.start_s, **_steps(payback)}


def _steps(payback: Payback) -> dict[str, Any]:
    return {"steps": payback.steps, "low": payback.low, "high": payback.high}


def _outcome(outcome: Outcome) -> dict[str, Any]:
    """Return a case without a timing; its identity is null where the run file does not have it."""
    key = outcome.key
    return {
        "fullname": outcome.fullname,
        "outcome": outcome.outcome,
        "reason": outcome.reason,
        "workload": None if key is None else key.workload,
        "phase": None if key is None else key.phase,
        "device": None if key is None else key.device,
        "batch_size": None if key is None else key.batch_size,
        "axes": None if key is None else dict(key.axes),
    }
