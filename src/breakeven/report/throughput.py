"""How much work a second: samples, floating point operations, bytes.

Owns which phase has which rate: FLOP/s where arithmetic is counted, B/s where bytes are moved. No percentage
of a peak that nobody measured. A rate's interval is the median's, turned around.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from breakeven.device_names import is_cpu
from breakeven.report.estimates import KEY, Estimate

FLOPS, BYTES = "FLOP/s", "B/s"

WORK = {"forward": FLOPS, "backward": FLOPS, "train": FLOPS, "transfer": BYTES, "step": BYTES}
"""What is counted in each phase."""

_COLUMN = {FLOPS: "flops", BYTES: "moved_bytes"}


@dataclass(frozen=True)
class Rate:
    """Work a second with its 95% interval; an end is None where the median has none."""

    value: float
    low: float | None
    high: float | None
    unit: str


def rate_of(case: Estimate, work: float, unit: str) -> Rate | None:
    """Return `work` a second in one case, or None where the case takes no time.

    >>> from breakeven.report.estimates import Estimate
    >>> case = Estimate("id", "mlp", "", 8, "train", "cpu", 9, 1, 2.0, 1.0, 4.0, (), np.array([]))
    >>> rate_of(case, 8, "samples/s")
    Rate(value=4.0, low=2.0, high=8.0, unit='samples/s')
    """
    if case.median_s <= 0:
        return None
    return Rate(
        work / case.median_s,
        None if not case.high_s else work / case.high_s,
        None if not case.low_s else work / case.low_s,
        unit,
    )


def case_facts(facts: pd.DataFrame, names: Iterable[str]) -> dict[tuple[object, ...], dict[str, float]]:
    """Return for each case the median over its runs of every fact of those names that is known.

    Args:
        facts: needs the columns of `breakeven.report.estimates.KEY` and `names`; None where unknown.
        names: of `breakeven.runs.schema.AMOUNTS`.
    """
    columns = list(names)
    seen: dict[tuple[object, ...], dict[str, list[float]]] = {}
    for row in facts[[*KEY, *columns]].itertuples(index=False, name=None):
        of_case = seen.setdefault(row[: len(KEY)], {})
        for name, value in zip(columns, row[len(KEY) :], strict=True):
            if value is not None:
                of_case.setdefault(name, []).append(value)
    return {
        key: {name: float(np.median(values)) for name, values in of_case.items()}
        for key, of_case in seen.items()
    }


def efficiency(case: Estimate, facts: Mapping[str, float]) -> Rate | None:
    """Return the achieved FLOP/s or B/s of a case, None where its work is not known or nothing is counted."""
    if case.phase == "transfer" and is_cpu(case.device):
        return None  # the data is there already: nothing moves, whatever a file says
    unit = WORK.get(case.phase)
    work = None if unit is None else facts.get(_COLUMN[unit])
    return rate_of(case, work, unit) if work and unit is not None else None


def throughput(case: Estimate) -> Rate | None:
    """Return the samples a second of a whole training step, None for other phases."""
    return rate_of(case, case.batch_size, "samples/s") if case.phase == "train" else None
