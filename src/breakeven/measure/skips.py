"""Skips cases that take too long, or that would end like earlier ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from breakeven.case import Budget, CaseKey, Model, OutcomeKind
from breakeven.format import batch_size, duration
from breakeven.measure.outcomes import CaseSkipped, CaseTimeout
from breakeven.phases import Phase, parse_phase

MAX_OVERRUN = 5.0
"""A case may take this many times its `max_time_s` for its minimum number of rounds. If that is not enough,
it is skipped; a phase that is always timed has fewer rounds instead."""

MIN_OVERRUN_S = 0.25
"""The seconds that they may take at least: a case costs that much with its model and its warm-up alone."""

APART_S = 30.0
"""The seconds between the first and the last slow case from which others are not tried: a machine may be
stalled for less."""

CONFIRMING_S = 10.0
"""The seconds after a slow case from which one call of another case of its cell confirms it."""

NEAR = 1.5
"""Times up to this factor from each other are at one level."""

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
class SlowStep:
    """A case whose fastest step was too slow: when that was known, in seconds, the reason, and the step.

    `step_s` is in seconds, NaN if it is unknown.
    """

    case: CaseKey
    at_s: float
    reason: str
    step_s: float = math.nan

    def is_near(self, step_s: float) -> bool:
        """Return whether a step takes about as long."""
        return self.step_s / NEAR <= step_s <= self.step_s * NEAR


class SlowSteps:
    """The whole steps of one model on one device: whether a quiet machine would also be too slow.

    A step at one batch size takes at least as long as at a smaller one. So one that was fast enough shows
    that the slow ones of smaller batches were the fault of other programs.
    """

    def __init__(self) -> None:
        self._fast_batch = 0
        self._slow: list[SlowStep] = []

    def add_fast(self, batch_size: int) -> None:
        """Remember a step that was fast enough."""
        self._fast_batch = max(self._fast_batch, batch_size)
        self._slow = [slow for slow in self._slow if slow.case.batch_size > self._fast_batch]

    def add_slow(self, slow: SlowStep) -> None:
        """Remember a step that was not, unless a larger batch shows that this was not its own fault."""
        if not self.was_fast(slow.case.batch_size):
            self._slow.append(slow)

    def was_fast(self, batch_size: int) -> bool:
        """Return whether a step of that batch size, or of a larger one, was fast enough."""
        return batch_size <= self._fast_batch

    def proof(self, batch_size: int) -> SlowStep | None:
        """Return the last slow step, if several cases of that batch size or smaller ones had such, far apart.

        The machine may have been stalled in one case, or in all cases of a short time.
        """
        slow = [one for one in self._slow if one.case.batch_size <= batch_size]
        return slow[-1] if slow and slow[-1].at_s - slow[0].at_s >= APART_S else None

    def are_confirmed(self, batch_size: int, step_s: float, at_s: float) -> bool:
        """Return whether a call takes as long as the fastest step of an earlier case of its batch size."""
        return any(
            slow.case.batch_size == batch_size and slow.is_near(step_s) and at_s - slow.at_s >= CONFIRMING_S
            for slow in self._slow
        )


class SkippedByRule(CaseSkipped):
    """Skipped because of earlier cases, without an attempt."""


class SkipPolicy:
    """What the cases so far imply for those that were not tried yet. A device in `crashed` is lost.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._out_of_memory: dict[tuple[Model, str], list[CaseKey]] = {}
        self._steps: dict[tuple[Model, str], SlowSteps] = {}
        self._timed: set[tuple[Model, str]] = set()
        self.crashed: dict[str, str] = {}

    def may_be_skipped(self, case: CaseKey) -> bool:
        """Return whether a case may be skipped to save time.

        Not one with an answer of its own, nor the first of its model, nor one whose step was fast enough in
        another case.
        """
        place = case.model, case.device
        phase = parse_phase(case.phase)
        if phase.is_always_timed or place not in self._timed:
            return False
        return not (phase.takes_steps and self._steps_of(case).was_fast(case.batch_size))

    def observe(self, case: CaseKey, fastest_s: float, budget: Budget) -> None:
        """Remember the fastest round of a case, its preparation included, in seconds."""
        if not _has_own_steps(case):
            return
        reason = why_over_budget(fastest_s, budget)
        if reason is None:
            self._steps_of(case).add_fast(case.batch_size)
        else:
            self._steps_of(case).add_slow(SlowStep(case, self._clock(), reason, fastest_s))

    def is_expected(self, case: CaseKey, call_s: float) -> bool:
        """Return whether a call, its preparation included, takes as long as earlier slow ones of its cell."""
        return _has_own_steps(case) and self._steps_of(case).are_confirmed(
            case.batch_size, call_s, self._clock()
        )

    def add_timed(self, case: CaseKey) -> None:
        """Remember that a case is timed."""
        self._timed.add((case.model, case.device))

    def add_failure(self, case: CaseKey, error: BaseException, kind: OutcomeKind, reason: str) -> None:
        """Remember how a case ended without a timing, if that implies something for others."""
        if kind == OutcomeKind.OOM:
            self._out_of_memory.setdefault((case.model, case.device), []).append(case)
        if isinstance(error, CaseTimeout) and _has_own_steps(case):
            self._steps_of(case).add_slow(SlowStep(case, self._clock(), reason))
        if kind == OutcomeKind.CRASHED:
            self.crashed[case.device] = f"{case.device} was lost in {case}: {reason}"

    def refuse(self, case: CaseKey, *, was_timed: bool = False) -> None:
        """Reject a case that would end like earlier ones.

        A case that an earlier process of the run timed is only rejected if its device is lost.

        Raises:
            SkippedByRule: with the reason.
        """
        if case.device in self.crashed:
            raise SkippedByRule(f"not tried: {self.crashed[case.device]}; the process needs a restart")
        if was_timed:
            return
        for ended in self._out_of_memory.get((case.model, case.device), []):
            if _needs_its_memory(case, ended):
                raise SkippedByRule(f"not tried: {_place(ended)}: out of memory")
        if self.may_be_skipped(case) and _has_own_steps(case):
            slow = self._steps_of(case).proof(case.batch_size)
            if slow is not None:
                raise SkippedByRule(f"not tried: {_place(slow.case)}: {slow.reason}")

    def _steps_of(self, case: CaseKey) -> SlowSteps:
        return self._steps.setdefault((case.model, case.device), SlowSteps())


def _has_own_steps(case: CaseKey) -> bool:
    """Return whether a round is a whole step, its preparation included, that waits for no loader."""
    phase = parse_phase(case.phase)
    return phase.takes_steps and not phase.needs_loader


def _needs_its_memory(case: CaseKey, ended: CaseKey) -> bool:
    """Return whether a case needs the memory that another one of its model and device did not get.

    Training is counted as one. Inference needs less, and loading happens on the host alone.
    """
    phase, other = parse_phase(case.phase), parse_phase(ended.phase)
    if case.batch_size <= ended.batch_size:
        return False
    if Phase.LOAD in (phase, other):
        return other is Phase.LOAD and phase.needs_loader
    return phase is not Phase.INFER or other in (Phase.INFER, Phase.TRANSFER)


def _place(case: CaseKey) -> str:
    return f"{case.phase} at batch {batch_size(case.batch_size)}"


def max_rounds_s(budget: Budget) -> float:
    """Return the seconds that the minimum number of rounds may take, before their case is skipped."""
    return max(MAX_OVERRUN * budget.max_time_s, MIN_OVERRUN_S)


def max_round_s(budget: Budget) -> float:
    """Return the seconds that a round may take, its preparation included, before its case is skipped."""
    return max_rounds_s(budget) / budget.min_rounds


def why_over_budget(round_s: float, budget: Budget) -> str | None:
    """Return why a case whose rounds take `round_s` is not timed, None if it is."""
    needed_s = budget.min_rounds * round_s
    if needed_s <= max_rounds_s(budget):
        return None
    return (
        f"would take too long: {budget.min_rounds} rounds of about {duration(round_s)}, {duration(needed_s)} "
        f"in all; --benchmark-max-time={math.ceil(needed_s / MAX_OVERRUN)} or more is enough"
    )


def raise_if_over_budget(round_s: float, budget: Budget) -> None:
    """Skip a case whose minimum number of rounds would far exceed its budget.

    Args:
        round_s: the fastest round so far, its preparation included, in seconds: that of a quiet machine.
        budget: what may be spent on its rounds.

    Raises:
        CaseSkipped: with the reason.
    """
    reason = why_over_budget(round_s, budget)
    if reason is not None:
        raise CaseSkipped(reason, round_s)
