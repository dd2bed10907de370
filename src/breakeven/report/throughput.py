"""Work per second: samples, floating point operations, bytes.

A rate's interval is the median's, inverted.
"""

from __future__ import annotations

from dataclasses import dataclass

from breakeven.device_names import is_cpu
from breakeven.phases import FLOPS, WHOLE_STEPS, Phase, find_phase
from breakeven.report.estimates import Estimate


@dataclass(frozen=True)
class Rate:
    """Work per second with its 95% interval; an end is None if the median's is."""

    value: float
    low: float | None
    high: float | None
    unit: str


def rate_of(case: Estimate, work: float, unit: str) -> Rate | None:
    """Return `work` per second in one case, None if the case takes no time.

    >>> import numpy as np
    >>> from breakeven.case import CaseKey
    >>> case = Estimate(CaseKey.of("mlp", 8, "train", "cpu"), 9, 1, 2.0, 1.0, 4.0, np.array([]))
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


def efficiency(case: Estimate) -> Rate | None:
    """Return the achieved FLOP/s or B/s of a case, None if its work is unknown or not counted."""
    phase = find_phase(case.key.phase)
    if phase is None or (phase is Phase.TRANSFER and is_cpu(case.key.device)):
        return None  # on a CPU nothing moves, even if a file records a number
    work = case.facts.flops if phase.rate == FLOPS else case.facts.moved_bytes
    return rate_of(case, work, phase.rate) if work else None


def sample_count(case: Estimate) -> int:
    """Return the samples of what is timed: a training step may take several batches."""
    passes = round(case.facts.passes) if case.key.phase in WHOLE_STEPS else 1
    return passes * case.key.batch_size


def throughput(case: Estimate) -> Rate | None:
    """Return the samples per second of training, inference or loading, None for parts of a step."""
    phase = find_phase(case.key.phase)
    if phase is None or not (phase.is_answer or phase.needs_loader):
        return None
    return rate_of(case, sample_count(case), "samples/s")
