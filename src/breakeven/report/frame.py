"""The cases of a report as a pandas frame, for ``summary.csv`` and the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

    from breakeven.report.case_rows import CaseRow

SUMMARY = (
    "machine",
    "workload",
    "axes",
    "batch_size",
    "phase",
    "device",
    "n",
    "median_s",
    "low_s",
    "high_s",
    "speedup",
    "speedup_low",
    "speedup_high",
    "verdict",
    "flags",
)
"""The columns of ``summary.csv``."""

COLUMNS = (*SUMMARY, "class_id", "runs", "rate", "samples", "peak_memory_bytes")
"""Those of the frame: ``flags`` is a tuple, ``rate`` and ``samples`` are
`breakeven.report.throughput.Rate`."""


def cases(rows: Iterable[CaseRow], labels: Mapping[str, str]) -> pd.DataFrame:
    """Return one row per case with the columns of `COLUMNS`, None for unknown values.

    Args:
        rows: the cases, in order.
        labels: the readable label of each machine class, by class id.
    """
    import pandas as pd

    return pd.DataFrame([values_of(row, labels) for row in rows], columns=list(COLUMNS), dtype=object)


def values_of(row: CaseRow, labels: Mapping[str, str]) -> tuple[object, ...]:
    """Return the values of `COLUMNS` for one case; `labels` are by class id."""
    key, case, speedup = row.key, row.estimate, row.speedup
    ratio = (
        (None,) * 4 if speedup is None else (speedup.speedup, speedup.low, speedup.high, str(speedup.verdict))
    )
    peak = case.facts.peak_memory_bytes
    return (
        labels[key.machine],
        key.workload,
        key.axes.text,
        key.batch_size,
        key.phase,
        key.device,
        case.n,
        case.median_s,
        case.low_s,
        case.high_s,
        *ratio,
        row.flags,
        key.machine,
        case.runs,
        row.rate,
        row.samples,
        None if peak is None else int(peak),
    )
