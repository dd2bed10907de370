"""What is not worth trying: cases that were given up, devices that were lost, times that are predicted.

Owns whether a case has hope, and what its end says of the next ones. Refuses to measure: it is told.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from breakeven.case import Budget, Case
from breakeven.measure.outcomes import CaseSkipped, UnsupportedError
from breakeven.measure.phases import PHASES
from breakeven.measure.timing import Forecast, hopeless

BUSY = 4.0
"""Rounds so many times slower than the fastest one are other programs' doing."""


@dataclass(frozen=True)
class SkipRule:
    """From which batch size on, and from which phase on, the cases of a workload are not tried."""

    case: Case
    outcome: str
    reason: str

    def covers(self, case: Case) -> bool:
        """Tell whether `case`, of the same workload, axes and device, would end the same way."""
        if self.outcome == "oom":
            return case.batch_size > self.case.batch_size
        order = list(PHASES)
        return case.batch_size >= self.case.batch_size and order.index(case.phase) >= order.index(
            self.case.phase
        )


class KnownError(CaseSkipped):
    """Not tried because of an earlier case; nothing new is learnt from it."""


class SkipPolicy:
    """What a run knows of the cases that it has not tried yet."""

    def __init__(self) -> None:
        self._given_up: dict[tuple[Any, ...], list[SkipRule]] = {}
        self._lost: dict[str, str] = {}
        self._forecast = Forecast()

    def has_lost(self, device: str) -> bool:
        """Tell whether a device of that name crashed, and needs a new process."""
        return device in self._lost

    def observe(self, case: Case, seconds: float) -> None:
        """Remember what a round of a case costs."""
        self._forecast.observe((*_model(case), case.phase), case.batch_size, seconds)

    def note(self, case: Case, error: BaseException, outcome: str, reason: str) -> None:
        """Remember how a case has ended without a timing."""
        new = isinstance(error, CaseSkipped) and not isinstance(error, KnownError | UnsupportedError)
        if outcome == "oom" or new:
            self._given_up.setdefault(_model(case), []).append(SkipRule(case, outcome, reason))
        if outcome == "crashed":
            self._lost[case.device] = f"{case.device} was lost in {case}: {reason}"

    def refuse(self, case: Case, budget: Budget) -> None:
        """Refuse a case that would end as an earlier one did.

        Raises:
            CaseSkipped: with what is known of it.
        """
        if case.device in self._lost:
            raise KnownError(f"not tried: {self._lost[case.device]}; the process needs a restart")
        for given_up in self._given_up.get(_model(case), []):
            if given_up.covers(case):
                what = "out of memory" if given_up.outcome == "oom" else given_up.reason
                raise KnownError(
                    f"not tried: {given_up.case.phase} at batch {given_up.case.batch_size}: {what}"
                )
        predicted = self._forecast.predict((*_model(case), case.phase), case.batch_size)
        reason = hopeless(predicted, budget) if predicted is not None else None
        if reason is not None:
            raise CaseSkipped(f"predicted from smaller batches: {reason}")


def raise_if_over_budget(round_s: float, budget: Budget, fastest_s: float = math.inf) -> None:
    """Give up a case whose fewest rounds would cost far more than its budget.

    Args:
        round_s: a round of it, its preparation included, in seconds.
        budget: what may be spent on its rounds.
        fastest_s: the fastest round that was seen; far faster, and the machine is to blame.

    Raises:
        CaseSkipped: with the reason.
    """
    reason = hopeless(round_s, budget)
    if reason is None:
        return
    if round_s > BUSY * fastest_s:
        reason += (
            f"; the fastest took {fastest_s:.2g} s, so other programs use the same cores: close them, or "
            "set OMP_WAIT_POLICY=passive"
        )
    raise CaseSkipped(reason)


def _model(case: Case) -> tuple[Any, ...]:
    return (*case.cell[:2], case.device)
