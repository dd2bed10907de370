"""Which phase caused a change: "train +8%, all of it transfer".

A changed training step is compared with the changed phases of its cell, in seconds. Nothing is tested here:
only cases that themselves changed are named.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from breakeven.case import CaseKey
from breakeven.compare.comparison import CaseComparison
from breakeven.grouping import grouped
from breakeven.phases import HEADLINE, WHOLE_STEPS
from breakeven.stats.verdict import Verdict

CHANGED = (Verdict.REGRESSED, Verdict.IMPROVED)


@dataclass(frozen=True)
class PhaseAttribution:
    """A changed step, or a changed phase whose step did not change, of one cell on one device.

    `phases` are those that changed in the same direction, each with its share of the step's change (1 is all
    of it), the largest first. `has_phases` is False where nothing but the step was timed.
    """

    case: CaseComparison
    key: CaseKey
    ratio: float
    phases: tuple[tuple[str, float], ...] = ()
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
    if step is None or step.verdict not in CHANGED:
        return [_attribution(case) for case in changed.values()]
    shares = [
        (phase, _change_s(case) / _change_s(step))
        for phase, case in changed.items()
        if case.verdict == step.verdict and phase not in WHOLE_STEPS
    ]
    shares.sort(key=lambda share: share[1], reverse=True)
    return [_attribution(step, tuple(shares), any(phase not in WHOLE_STEPS for phase in phases))]


def _attribution(
    case: CaseComparison, shares: tuple[tuple[str, float], ...] = (), has_phases: bool = True
) -> PhaseAttribution:
    assert case.key is not None
    assert case.ratio is not None
    return PhaseAttribution(case, case.key, case.ratio, shares, has_phases)


def _change_s(case: CaseComparison) -> float:
    assert case.ratio is not None
    assert case.baseline_s is not None
    return case.baseline_s * (case.ratio - 1)
