"""Skips cases without trying them: those similar to a failed one, or predicted to take too long."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from breakeven.case import Budget, CaseKey, Model, OutcomeKind
from breakeven.format import batch_size, duration
from breakeven.measure.outcomes import CaseSkipped, CaseTimeout, UnsupportedError
from breakeven.phases import HEADLINE, Phase, parse_phase

MAX_OVERRUN = 5.0
"""A case may take this many times its `max_time_s` for its minimum number of rounds. If that is not enough,
it is skipped; a phase that is always timed has fewer rounds instead."""

CONTENDED_FACTOR = 4.0
"""Rounds that take this many times as long as the fastest one were slowed by other programs."""


class Deadline:
    """The end of a case: it may take `timeout_s` seconds from now on."""

    def __init__(self, timeout_s: float, clock: Callable[[], float]) -> None:
        self._timeout_s, self._clock, self._began_s = timeout_s, clock, clock()

    @property
    def left_s(self) -> float:
        """The seconds left."""
        return self._began_s + self._timeout_s - self._clock()

    def check(self, needed_s: float = 0.0) -> None:
        """Check that there is time left, and at least `needed_s`.

        Raises:
            CaseTimeout: there is not.
        """
        if self.left_s > needed_s:
            return
        spent_s = self._timeout_s - self.left_s
        needs = f", and {duration(needed_s)} more are needed" if needed_s else ""
        raise CaseTimeout(
            f"took {duration(spent_s)}{needs}; a case may take {duration(self._timeout_s)}; measure "
            f"smaller batches, or use --breakeven-timeout={2 * math.ceil(spent_s + needed_s)}"
        )


@dataclass(frozen=True)
class SkipRule:
    """The batch size and phase from which the cases of a model on a device are skipped.

    A phase with an answer of its own is only skipped after out of memory, never to save time.
    """

    case: CaseKey
    kind: OutcomeKind
    reason: str

    def covers(self, case: CaseKey) -> bool:
        """Return whether `case`, of the same model and device, would end the same way."""
        ended, other = parse_phase(self.case.phase), parse_phase(case.phase)
        if not _needs_as_much(other, ended):
            return False
        if self.kind == OutcomeKind.OOM:
            return case.batch_size > self.case.batch_size
        order = list(Phase)
        is_later = order.index(other) >= order.index(ended)
        return not other.is_answer and is_later and case.batch_size >= self.case.batch_size


def _needs_as_much(phase: Phase, ended: Phase) -> bool:
    """Return whether a phase does what another one does, in memory and time; training is counted as one.

    Inference does less than training, and loading happens on the host alone.
    """
    if Phase.LOAD in (phase, ended):
        return ended is Phase.LOAD and phase.needs_loader
    return phase is not Phase.INFER or ended in (Phase.INFER, Phase.TRANSFER)


class SkippedByRule(CaseSkipped):
    """Skipped because of an earlier case; it does not create another rule."""


class SlowedDown(CaseSkipped):
    """Skipped because other programs slowed it down, which implies nothing for other cases."""


class SkipPolicy:
    """What the cases so far imply for those that were not tried yet. A device in `crashed` is lost."""

    def __init__(self) -> None:
        self._rules: dict[tuple[Model, str], list[SkipRule]] = {}
        self.crashed: dict[str, str] = {}
        self._forecast = Forecast()

    def observe(self, case: CaseKey, seconds: float) -> None:
        """Remember the time of a round of a case."""
        self._forecast.observe((case.model, case.device, case.phase), case.batch_size, seconds)

    def add_rule(self, case: CaseKey, error: BaseException, kind: OutcomeKind, reason: str) -> None:
        """Remember how a case ended without a timing, if that implies something for others."""
        without_rule = SkippedByRule | SlowedDown | UnsupportedError
        is_new = isinstance(error, CaseSkipped) and not isinstance(error, without_rule)
        if kind == OutcomeKind.OOM or is_new:
            rule = SkipRule(case, kind, reason)
            self._rules.setdefault((case.model, case.device), []).append(rule)
        if kind == OutcomeKind.CRASHED:
            self.crashed[case.device] = f"{case.device} was lost in {case}: {reason}"

    def refuse(self, case: CaseKey, budget: Budget, *, was_timed: bool = False) -> None:
        """Reject a case that would end like an earlier one, or is predicted to take too long.

        A case that an earlier process of the run timed is only rejected if its device is lost.

        Raises:
            CaseSkipped: with the reason.
        """
        if case.device in self.crashed:
            raise SkippedByRule(f"not tried: {self.crashed[case.device]}; the process needs a restart")
        if was_timed:
            return
        for rule in self._rules.get((case.model, case.device), []):
            if rule.covers(case):
                what = "out of memory" if rule.kind == OutcomeKind.OOM else rule.reason
                raise SkippedByRule(
                    f"not tried: {rule.case.phase} at batch {batch_size(rule.case.batch_size)}: {what}"
                )
        if parse_phase(case.phase).is_always_timed:
            return
        if parse_phase(case.phase).takes_steps:
            step_s = self._forecast.seen((case.model, case.device, HEADLINE), case.batch_size)
            reason = why_over_budget(step_s, budget) if step_s is not None else None
            if reason is not None:
                raise CaseSkipped(reason, step_s)
        predicted = self._forecast.predict((case.model, case.device, case.phase), case.batch_size)
        reason = why_over_budget(predicted, budget) if predicted is not None else None
        if reason is not None:
            raise CaseSkipped(f"predicted from smaller batches: {reason}")


def max_round_s(budget: Budget) -> float:
    """Return the seconds that a round may take, its preparation included, before its case is skipped."""
    return MAX_OVERRUN * budget.max_time_s / budget.min_rounds


def why_over_budget(round_s: float, budget: Budget) -> str | None:
    """Return why a case whose rounds take `round_s` is not timed, None if it is."""
    needed_s = budget.min_rounds * round_s
    if needed_s <= MAX_OVERRUN * budget.max_time_s:
        return None
    return (
        f"would take too long: {budget.min_rounds} rounds of about {duration(round_s)}, {duration(needed_s)} "
        f"in all; --benchmark-max-time={math.ceil(needed_s / MAX_OVERRUN)} or more is enough"
    )


def raise_if_over_budget(round_s: float, budget: Budget, fastest_s: float = math.inf) -> None:
    """Skip a case whose minimum number of rounds would far exceed its budget.

    Args:
        round_s: a round of it, its preparation included, in seconds.
        budget: what may be spent on its rounds.
        fastest_s: the fastest round so far; if it is far faster, other programs slow the case down.

    Raises:
        CaseSkipped: with the reason.
    """
    reason = why_over_budget(round_s, budget)
    if reason is None:
        return
    if round_s > CONTENDED_FACTOR * fastest_s:
        raise SlowedDown(
            f"{reason}; the fastest took {duration(fastest_s)}, so other programs use the same cores: close "
            "them, or set OMP_WAIT_POLICY=passive",
            fastest_s,
        )
    raise CaseSkipped(reason, round_s)


class Forecast:
    """Predicts a case's round from the same case at smaller batches: time grows linearly with the batch."""

    def __init__(self) -> None:
        self._seen: dict[object, dict[int, float]] = {}

    def observe(self, key: object, batch_size: int, seconds: float) -> None:
        """Remember the time of a round of `key` at a batch size."""
        self._seen.setdefault(key, {})[batch_size] = seconds

    def seen(self, key: object, batch_size: int) -> float | None:
        """Return the time of a round of `key` at a batch size, None if it was not observed."""
        return self._seen.get(key, {}).get(batch_size)

    def predict(self, key: object, batch_size: int) -> float | None:
        """Return the line through the two largest smaller batches, in seconds; None without two."""
        smaller = sorted(item for item in self._seen.get(key, {}).items() if item[0] < batch_size)[-2:]
        if len(smaller) < 2:
            return None
        (low_batch, low), (high_batch, high) = smaller
        slope = max(0.0, (high - low) / (high_batch - low_batch))
        return high + slope * (batch_size - high_batch)
