"""One cell on one predicted machine: its step, and how it compares with the measured baseline."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from breakeven.case import Cell
from breakeven.predict.cards import Card
from breakeven.predict.formula import Step, predict_step
from breakeven.predict.work import Work
from breakeven.report.estimates import Estimate
from breakeven.report.speedup import DeviceVerdict, verdict_of
from breakeven.stats.intervals import MAX_LOG_WIDTH, RatioInterval

OF_95 = 1.645 / 1.960
"""The width of a normal 90% interval, as a part of that of its 95% interval."""


@dataclass(frozen=True)
class PredictedCell:
    """The training step of a cell on a machine that is not here, with its 90% band, in seconds.

    `machine` is the name of the card, `baseline` the measured device, `baseline_s` its median with the 90%
    interval. `speedup` is baseline over predicted; its band combines both. `verdict` is undecided where the
    band includes 1.
    """

    cell: Cell
    machine: str
    baseline: str
    baseline_s: float
    baseline_low_s: float
    baseline_high_s: float
    step: Step
    speedup: float
    low: float
    high: float
    verdict: DeviceVerdict

    @property
    def batch_size(self) -> int:
        """The number of samples in a batch."""
        return self.cell.batch_size

    @property
    def predicted_s(self) -> float:
        """The predicted step in seconds."""
        return self.step.seconds

    @property
    def low_s(self) -> float:
        """The lower end of its band."""
        return self.step.low_s

    @property
    def high_s(self) -> float:
        """The upper end of its band."""
        return self.step.high_s

    @property
    def widened(self) -> tuple[str, ...]:
        """Why its band is wider than usual, as phrases."""
        return self.step.widened


def predict_cell(card: Card, work: Work, base: Estimate) -> PredictedCell:
    """Return the step that `base` measured on a CPU, as the card predicts it.

    Raises:
        NotPredictedError: as `predict_step`.
    """
    step = predict_step(card, work, base.key.batch_size)
    if not base.judged:
        step = replace(step, widened=(*step.widened, f"{base.key.device}'s own time has no interval"))
    low_s, high_s = _interval(base)
    speedup = base.median_s / step.seconds
    # Independent errors, in logarithms: the ends farthest from each other would be too far apart.
    up = math.hypot(math.log(step.seconds / step.low_s), math.log(high_s / base.median_s))
    down = math.hypot(math.log(step.high_s / step.seconds), math.log(base.median_s / low_s))
    low, high = speedup * math.exp(-down), speedup * math.exp(up)
    return PredictedCell(
        cell=base.key.cell,
        machine=card.name,
        baseline=base.key.device,
        baseline_s=base.median_s,
        baseline_low_s=low_s,
        baseline_high_s=high_s,
        step=step,
        speedup=speedup,
        low=low,
        high=high,
        verdict=verdict_of(RatioInterval(low, speedup, high)),
    )


def _interval(base: Estimate) -> tuple[float, float]:
    """Return the 90% interval of a measured time, whose own one is of 95%; a wide one where it has none."""
    factor = math.exp(MAX_LOG_WIDTH)
    ends = (base.low_s or base.median_s / factor, base.high_s or base.median_s * factor)
    low_s, high_s = (base.median_s * (end_s / base.median_s) ** OF_95 for end_s in ends)
    return low_s, high_s
