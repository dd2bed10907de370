"""Break-even of every workload, axes, phase and pair of devices: which estimates belong on one line.

Owns the gathering of batch sizes and of holes between them; the crossing itself is
`breakeven.stats.crossing`. Opens no file and draws no conclusion beyond one line.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from breakeven.report.estimates import Estimate
from breakeven.report.speedup import Speedup
from breakeven.stats.crossing import Crossing, find_crossing

MAX_BETWEEN = 12
"""A line through so many points between two measured ones looks as smooth as it is."""

MODEL = ["workload", "axes", "phase"]

_Model = tuple[str, str, str]
_Place = tuple[str, str]
"""A machine class and a device."""


@dataclass(frozen=True)
class BreakEven:
    """The batch size from which `candidate` beats `baseline`, there and at every larger measured one.

    `batches` are those at which both have an interval, `holes` those at which only something is known,
    `crossing` is where the two lines meet, `rows` are the speedups by ascending batch size, `between` are
    (batch size, speedup) between neighboring ones, as the crossing is interpolated, for whoever draws the
    line. `class_id` is the machine class of the candidate, `baseline_class_id` that of the baseline.
    """

    class_id: str
    workload: str
    axes: str
    phase: str
    baseline_class_id: str
    baseline: str
    candidate: str
    batches: tuple[int, ...]
    holes: tuple[int, ...]
    crossing: Crossing
    rows: tuple[Speedup, ...]
    between: tuple[tuple[float, float], ...] = ()


def break_evens(
    cases: Sequence[Estimate], speedups: Iterable[Speedup], outcomes: pd.DataFrame
) -> list[BreakEven]:
    """Return a break-even for every line that has a speedup, in the order the speedups first stand in.

    A batch size is a hole where one of the two devices was timed, or ended without a timing, and not both
    have an interval.

    Args:
        cases: the estimates behind the speedups.
        speedups: as `breakeven.report.speedup.speedups` returns them.
        outcomes: needs the columns of `MODEL`, ``class_id``, ``batch_size`` and ``device``; None where
            unknown.
    """
    table: dict[tuple[_Model, _Place], dict[int, Estimate | None]] = {}
    known = outcomes[[*MODEL, "class_id", "device", "batch_size"]].dropna()
    for workload, axes, phase, class_id, device, batch in known.itertuples(index=False, name=None):
        table.setdefault(((workload, axes, phase), (class_id, device)), {})[batch] = None
    for case in cases:
        key = ((case.workload, case.axes, case.phase), (case.class_id, case.device))
        table.setdefault(key, {})[case.batch_size] = case if case.judged else None
    rows: dict[tuple[_Model, _Place, _Place], dict[int, Speedup]] = {}
    for row in speedups:
        model = (row.workload, row.axes, row.phase)
        places = (row.baseline_class_id, row.baseline), (row.class_id, row.candidate)
        rows.setdefault((model, *places), {})[row.batch_size] = row
    return [
        _break_even(model, base, cand, table[model, base], table[model, cand], found)
        for (model, base, cand), found in rows.items()
    ]


def sign_of(row: Speedup) -> int:
    """Return 1 when the candidate is shown to be faster, -1 when slower, 0 when neither is shown.

    The ``same`` within 2% is neither, however sure its sign: no status then rests on a difference that the
    cell beside it denies.

    >>> from dataclasses import replace
    >>> row = Speedup("id", "mlp", "", 64, "train", "id", "cpu", "cuda", 2.0, 1.9, 2.1, "faster", ())
    >>> [sign_of(replace(row, verdict=verdict)) for verdict in ("faster", "slower", "same", "undecided")]
    [1, -1, 0, 0]
    """
    return {"faster": 1, "slower": -1}.get(row.verdict, 0)


def between(
    batches: Sequence[int],
    baseline: NDArray[np.float64],
    candidate: NDArray[np.float64],
    holes: Collection[int] = (),
) -> tuple[tuple[float, float], ...]:
    """Return (batch size, speedup) between the measured ones, each device's time being a straight line there.

    Evenly spread over the logarithm of the batch size, the more the wider a gap; none across a hole.

    >>> [(round(x, 2), round(y, 2)) for x, y in between([1, 4], np.array([1.0, 4.0]), np.array([2.0, 2.0]))]
    [(1.26, 0.63), (1.59, 0.79), (2.0, 1.0), (2.52, 1.26), (3.17, 1.59)]
    """
    found: list[tuple[float, float]] = []
    for (low, high), base, cand in zip(
        pairwise(batches), pairwise(baseline), pairwise(candidate), strict=True
    ):
        if any(low < hole < high for hole in holes):
            continue
        count = min(MAX_BETWEEN, round(3 * math.log2(high / low)))
        x = np.geomspace(low, high, count + 1)[1:-1]
        speedup = np.interp(x, (low, high), base) / np.interp(x, (low, high), cand)
        found += zip(x.tolist(), speedup.tolist(), strict=True)
    return tuple(found)


def _break_even(
    model: _Model,
    baseline: _Place,
    candidate: _Place,
    base: dict[int, Estimate | None],
    cand: dict[int, Estimate | None],
    rows: dict[int, Speedup],
) -> BreakEven:
    pairs = {batch: (base.get(batch), cand.get(batch)) for batch in sorted(base.keys() | cand.keys())}
    both = [(batch, b, c) for batch, (b, c) in pairs.items() if b is not None and c is not None]
    batches = tuple(batch for batch, _, _ in both)
    signs = [sign_of(rows[batch]) for batch in batches]
    holes = tuple(batch for batch in pairs if batch not in batches)
    base_medians, cand_medians = _medians([b for _, b, _ in both]), _medians([c for _, _, c in both])
    crossing = find_crossing(batches, base_medians, cand_medians, signs, holes)
    workload, axes, phase = model
    return BreakEven(
        class_id=candidate[0],
        workload=workload,
        axes=axes,
        phase=phase,
        baseline_class_id=baseline[0],
        baseline=baseline[1],
        candidate=candidate[1],
        batches=batches,
        holes=holes,
        crossing=crossing,
        rows=tuple(rows[batch] for batch in sorted(rows)),
        between=between(batches, base_medians[0], cand_medians[0], holes),
    )


def _medians(cases: list[Estimate]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    medians = np.array([case.median_s for case in cases])
    return medians, np.stack([case.draws for case in cases], axis=1) if cases else np.empty((0, 0))
