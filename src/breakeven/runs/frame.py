"""Runs as a pandas frame with one row per round, for further analysis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from breakeven.runs.schema import Run

COLUMNS = ("run", "machine", "class_id", "workload", "axes", "batch_size", "phase", "device")
"""The columns that identify a case; ``round`` and ``latency_s`` follow."""


def rounds(runs: Sequence[Run], labels: Mapping[str, str]) -> pd.DataFrame:
    """Return the frame that `breakeven.runs.reader.Runs.rounds` documents; `labels` are by class id."""
    cases = [(run, case.key, case) for run in runs for case in run.cases.values() if case.key is not None]
    heads = [
        (run.name, labels[k.machine], k.machine, k.workload, k.axes.text, k.batch_size, k.phase, k.device)
        for run, k, _ in cases
    ]
    times = [case.times_s for *_, case in cases]
    counts = np.array([len(each) for each in times], dtype=int)
    rows = pd.DataFrame(heads, columns=list(COLUMNS))
    columns: dict[str, Any] = {name: _repeated(rows[name], counts) for name in COLUMNS}
    columns["round"] = np.concatenate([np.arange(count) for count in counts] or [np.array([], dtype=int)])
    columns["latency_s"] = np.concatenate(times or [np.array([], dtype=float)])
    return pd.DataFrame(columns)


def _repeated(values: pd.Series[Any], counts: Any) -> Any:
    if values.name == "batch_size":
        return np.repeat(values.to_numpy(dtype=np.int64), counts)
    # One code per round instead of a string: a million rounds take tens of MB.
    codes, words = pd.factorize(values)
    return pd.Categorical.from_codes(np.repeat(codes, counts), categories=pd.Index(words, dtype=object))
