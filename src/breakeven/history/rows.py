"""What a store keeps of one case in one run: a reading, or how it ended, as plain values by column.

Owns what becomes of text that Parquet cannot hold. Knows no file.
"""

from __future__ import annotations

import json
from typing import Any

from breakeven.runs.readings import Reading
from breakeven.runs.schema import Ended


def read_row(reading: Reading) -> dict[str, Any]:
    """Return the row of a case that was timed; its rounds go beside it."""
    row: dict[str, Any] = {"case": storable(reading.case), "flags": "[]"}
    if not len(reading.times_s):
        row["median_s"] = reading.median_s
    sample = reading.sample
    if sample is not None:
        row |= {
            "workload": storable(sample.workload),
            "phase": storable(sample.phase),
            "device": storable(sample.device),
            "batch_size": sample.batch_size,
            "axes": json.dumps(dict(sample.axes), sort_keys=True),
            "flags": json.dumps([storable(flag) for flag in sample.flags]),
            "peak_memory_bytes": sample.facts.get("peak_memory_bytes"),
        }
    return row


def ended_row(case: str, ended: Ended) -> dict[str, Any]:
    """Return the row of a case that gave no timing."""
    return {
        "case": storable(case),
        "workload": None if ended.workload is None else storable(ended.workload),
        "phase": None if ended.phase is None else storable(ended.phase),
        "device": None if ended.device is None else storable(ended.device),
        "batch_size": ended.batch_size,
        "axes": None if ended.axes is None else json.dumps(dict(ended.axes), sort_keys=True),
        "flags": "[]",
        "outcome": storable(ended.outcome),
        "reason": storable(ended.reason),
    }


def storable(text: str) -> str:
    """Return text that Parquet can hold: half a surrogate pair and a NUL are shown as their numbers."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
