"""Break-even of every workload, axes, phase and pair of devices: which estimates belong on one line.

Owns the gathering of batch sizes and of holes between them; the crossing itself is
`breakeven.analysing.crossing`. Opens no file and draws no conclusion beyond one line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from breakeven.analysing.crossing import Crossing, find_crossing
from breakeven.analysing.estimates import Estimate
from breakeven.analysing.speedup import Speedup

LINE = ["class_id", "workload", "axes", "phase"]

_Line = tuple[str, str, str, str]


@dataclass(frozen=True)
class BreakEven:
    """The batch size from which `candidate` beats `baseline`, there and at every larger measured one.

    `batches` are those at which both have an interval, `holes` those at which only something is known,
    `crossing` is where the two lines meet.
    """

    class_id: str
    workload: str
    axes: str
    phase: str
    baseline: str
    candidate: str
    batches: tuple[int, ...]
    holes: tuple[int, ...]
    crossing: Crossing


def break_evens(
    cases: Sequence[Estimate], speedups: Iterable[Speedup], outcomes: pd.DataFrame
) -> list[BreakEven]:
    """Return a break-even for every line that has a speedup, in the order the speedups first stand in.

    A batch size is a hole where one of the two devices was timed, or ended without a timing, and not both
    have an interval.

    Args:
        cases: the estimates behind the speedups.
        speedups: as `breakeven.analysing.speedup.speedups` returns them.
        outcomes: needs the columns of `LINE`, ``batch_size`` and ``device``; None where unknown.
    """
    table: dict[tuple[_Line, str], dict[int, Estimate | None]] = {}
    known = outcomes[[*LINE, "device", "batch_size"]].dropna()
    for *line, device, batch in known.itertuples(index=False, name=None):
        table.setdefault(((line[0], line[1], line[2], line[3]), device), {})[batch] = None
    for case in cases:
        line_of = (case.class_id, case.workload, case.axes, case.phase)
        table.setdefault((line_of, case.device), {})[case.batch_size] = case if case.judged else None
    rows: dict[tuple[_Line, str, str], dict[int, Speedup]] = {}
    for row in speedups:
        key = ((row.class_id, row.workload, row.axes, row.phase), row.baseline, row.candidate)
        rows.setdefault(key, {})[row.batch_size] = row
    return [
        _break_even(line, base, cand, table[line, base], table[line, cand], found)
        for (line, base, cand), found in rows.items()
    ]


def sign_of(row: Speedup) -> int:
    """Return 1 when the candidate is shown to be faster, -1 when slower, 0 when neither is shown.

    >>> from dataclasses import replace
    >>> row = Speedup("id", "mlp", "", 64, "train", "cpu", "cuda", 2.0, 1.9, 2.1, "faster", ())
    >>> sign_of(row), sign_of(replace(row, low=0.9)), sign_of(replace(row, low=None, high=None))
    (1, 0, 0)
    """
    if row.low is None or row.high is None:
        return 0
    return (row.low > 1) - (row.high < 1)


def _break_even(
    line: _Line,
    baseline: str,
    candidate: str,
    base: dict[int, Estimate | None],
    cand: dict[int, Estimate | None],
    rows: dict[int, Speedup],
) -> BreakEven:
    pairs = {batch: (base.get(batch), cand.get(batch)) for batch in sorted(base.keys() | cand.keys())}
    both = [(batch, b, c) for batch, (b, c) in pairs.items() if b is not None and c is not None]
    batches = tuple(batch for batch, _, _ in both)
    if batches and all(rows[batch].verdict == "same" for batch in batches):
        signs = [0] * len(batches)  # within 2% everywhere is no difference, however sure its sign
    else:
        signs = [sign_of(rows[batch]) for batch in batches]
    holes = tuple(batch for batch in pairs if batch not in batches)
    base_medians, cand_medians = _medians([b for _, b, _ in both]), _medians([c for _, _, c in both])
    crossing = find_crossing(batches, base_medians, cand_medians, signs, holes)
    return BreakEven(*line, baseline, candidate, batches, holes, crossing)


def _medians(cases: list[Estimate]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    medians = np.array([case.median_s for case in cases])
    return medians, np.stack([case.draws for case in cases], axis=1) if cases else np.empty((0, 0))
