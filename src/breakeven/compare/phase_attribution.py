"""Which phase caused a change: "train +8%, all of it transfer".

A changed training step is compared with the changed parts of it, in seconds; those of a pass count as often
as the step has passes. Inference, loading and an epoch are not parts of a step. A phase that runs after a
slower one is itself slower, because the caches are colder: where its change is small beside that of a phase
before it, it is attributed to that phase. Nothing is tested here: only cases that themselves changed are
named.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from breakeven.case import CaseKey
from breakeven.compare.comparison import CaseComparison
from breakeven.grouping import grouped
from breakeven.phases import HEADLINE, PASS_PARTS, STEP_PARTS, WHOLE_STEPS
from breakeven.stats.verdict import Verdict

CHANGED = (Verdict.REGRESSED, Verdict.IMPROVED)

AFTER_SHARE = 0.25
"""A phase that changed by at most this share of the seconds of an earlier one is attributed to that one."""


@dataclass(frozen=True)
class PhaseAttribution:
    """A changed step, or a changed phase whose step did not change, of one cell on one device.

    `phases` are those that changed in the same direction, each with its share of the step's change (1 is all
    of it), the largest first. `after` are those that changed as a phase before them did. `has_phases` is
    False where nothing but the step was timed.
    """

    case: CaseComparison
    key: CaseKey
    ratio: float
    phases: tuple[tuple[str, float], ...] = ()
    after: tuple[CaseComparison, ...] = ()
    has_phases: bool = True


def attribute_changes(cases: Iterable[CaseComparison]) -> list[PhaseAttribution]:
    """Return what changed, one entry for a cell and device, or several where the step did not change.

    The largest change is first.
    """
    cells = grouped(
        ((case.key.cell, case.key.device), (case.key.phase, case))
        for case in cases
        if case.key is not None and case.ratio is not None
    )
    found = [attribution for phases in cells.values() for attribution in _of_cell(dict(phases))]
    return sorted(found, key=lambda one: abs(math.log(one.ratio)), reverse=True)


def _of_cell(phases: Mapping[str, CaseComparison]) -> list[PhaseAttribution]:
    step = phases.get(HEADLINE)
    changed = {phase: case for phase, case in phases.items() if phase != HEADLINE and case.verdict in CHANGED}
    causes = _causes(changed)
    if step is None or step.verdict not in CHANGED:
        after = grouped((cause, changed[phase]) for phase, cause in causes.items())
        return [
            _attribution(case, after=after.get(phase, ()))
            for phase, case in changed.items()
            if phase not in causes
        ]
    parts = {p: case for p, case in changed.items() if case.verdict == step.verdict and p in STEP_PARTS}
    times = {p: step.passes if p in PASS_PARTS else 1.0 for p in parts}
    shares = [
        (p, times[p] * _change_s(case) / _change_s(step)) for p, case in parts.items() if p not in causes
    ]
    shares.sort(key=lambda share: share[1], reverse=True)
    has_phases = any(phase in STEP_PARTS for phase in phases)
    of_step = _attribution(step, shares, [case for p, case in parts.items() if p in causes], has_phases)
    others = (case for p, case in changed.items() if p not in (*STEP_PARTS, *WHOLE_STEPS))
    return [of_step, *map(_attribution, others)]


def _causes(changed: Mapping[str, CaseComparison]) -> dict[str, str]:
    """Return the phases that changed as one before them did, each with that one."""
    ordered = sorted((phase for phase in changed if phase in STEP_PARTS), key=STEP_PARTS.index)
    causes = {}
    for i, phase in enumerate(ordered):
        before = [p for p in ordered[:i] if changed[p].verdict == changed[phase].verdict]
        cause = max(before, key=lambda p: abs(_change_s(changed[p])), default=phase)
        if abs(_change_s(changed[phase])) <= AFTER_SHARE * abs(_change_s(changed[cause])):
            causes[phase] = cause
    return causes


def _attribution(
    case: CaseComparison,
    shares: Sequence[tuple[str, float]] = (),
    after: Sequence[CaseComparison] = (),
    has_phases: bool = True,
) -> PhaseAttribution:
    assert case.key is not None
    assert case.ratio is not None
    return PhaseAttribution(case, case.key, case.ratio, tuple(shares), tuple(after), has_phases)


def _change_s(case: CaseComparison) -> float:
    assert case.ratio is not None
    assert case.baseline_s is not None
    return case.baseline_s * (case.ratio - 1)
