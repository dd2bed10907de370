"""The history for machines: what `history check` and `history show` say as JSON.

Owns their keys. Full precision, base units, null for what is unknown or unbounded. Opens no file.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from breakeven.case import SCHEMA
from breakeven.history.check import ChangePoint, History, Newest, TrackedSeries
from breakeven.history.query import StoredRun
from breakeven.render.json_schemas import schema_of


def check_json(history: History) -> str:
    """Return changes, the newest runs and warnings, as the schema of `json_schema` has them."""
    content = {
        "schema": SCHEMA,
        "changes": [_change(found) for found in history.changes],
        "newest": [_newest(found) for found in history.newest],
        "warnings": list(history.warnings),
    }
    return _text(content)


def show_json(history: History) -> str:
    """Return every series as data: its runs, values, levels and changes."""
    content = {
        "schema": SCHEMA,
        "runs": [_run(run) for run in history.runs],
        "series": [_series(watched) for watched in history.watched],
        "changes": [_change(found) for found in history.changes],
        "warnings": list(history.warnings),
    }
    return _text(content)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema that `check_json` fulfils."""
    return schema_of("history")


def _text(content: object) -> str:
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _change(found: ChangePoint) -> dict[str, Any]:
    change = found.change
    return {
        "case": found.watched.name,
        **_when(found.after),
        "ratio": change.ratio,
        "low": change.low,
        "high": change.high,
        "accepted": found.accepted,
    }


def _newest(found: Newest) -> dict[str, Any]:
    verdict = found.verdict
    return {
        "case": found.watched.name,
        **_when(found.run),
        "ratio": verdict.ratio if verdict else None,
        "low": verdict.low if verdict else None,
        "high": verdict.high if verdict else None,
        "accepted": found.accepted,
        "verdict": verdict.verdict if verdict else "inconclusive",
    }


def _when(run: StoredRun) -> dict[str, Any]:
    return {"commit": run.commit or None, "date": run.moment.isoformat()}


def _run(run: StoredRun) -> dict[str, Any]:
    return {
        **_when(run),
        "branch": run.branch or None,
        "dirty": run.dirty,
        "class_id": run.class_id,
        "machine": run.label,
        "digest": run.digest,
    }


def _series(watched: TrackedSeries) -> dict[str, Any]:
    levels = watched.findings.levels if watched.findings else ()
    return {
        "case": watched.name,
        "quantity": watched.series.quantity,
        "class_id": watched.series.class_id,
        "runs": watched.series.run.tolist(),
        "values": watched.series.values.tolist(),
        "levels": [
            {"from": level.start, "to": level.stop - 1, "value": float(np.exp(level.mean))}
            for level in levels
        ],
    }
