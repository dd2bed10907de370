"""The record for machines: ``summary.csv`` and the JSON of Contract 2.

Owns their bytes. Full precision, base units, null or an empty cell for what is unknown. Opens no file.
"""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from breakeven.analysing.break_even import BreakEven
from breakeven.analysing.record import COLUMNS, Report
from breakeven.analysing.speedup import Speedup
from breakeven.cases import SCHEMA
from breakeven.reporting.escaping import csv_text
from breakeven.reporting.schema_files import schema_of


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
