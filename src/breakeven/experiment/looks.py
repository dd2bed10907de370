"""Looks at the pairs of an `ab`: which cases are decided. The others are timed again.

A look judges all pairs so far, and its q-values are corrected for the number of looks. A decided case is not
timed again and keeps its verdict.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from breakeven.compare.comparison import JUDGED, UNLIKE_STEPS, CaseComparison, Comparison, whole_verdict
from breakeven.experiment.schedule import MIN_PAIRS
from breakeven.format import joined, one_line, percent
from breakeven.runs.schema import Run
from breakeven.stats.bimodality import are_apart, gap_between_groups
from breakeven.stats.regression import case_verdict
from breakeven.stats.verdict import Verdict

Array = NDArray[np.float64]
ExitCode = Callable[[Comparison], int]
"""Returns the exit code of a comparison."""

UNCHANGED_P = 0.3
"""An unchanged case is decided if its p-value (TREAT), not corrected for the number of cases, is above this.

In a seeded simulation of 5 runs per side with 2% run-to-run noise, a case that is 10% slower has such a
p-value in below 0.1% of suites, even when it is the only case, and one that is 5% slower in 4%; 3% of
unchanged cases are timed again needlessly.
"""

TOO_FEW_PAIRS = f"were timed in fewer than {MIN_PAIRS} pairs"
TWO_GROUPS = "have times in two groups"


def restrict(run: Run, cases: Collection[str]) -> Run:
    """Return the run with these cases only, as if BREAKEVEN_CASES had listed them."""
    return replace(
        run,
        cases={name: case for name, case in run.cases.items() if name in cases},
        outcomes=tuple(outcome for outcome in run.outcomes if outcome.name in cases),
    )


def judge(found: Comparison, penalty: int, decided: Mapping[str, CaseComparison]) -> Comparison:
    """Return the comparison of all pairs so far, as this look judges it.

    Args:
        found: the comparison, without a correction for looks.
        penalty: the factor of its q-values.
        decided: the verdicts of earlier looks, which stay.
    """
    return with_cases(
        found, [decided.get(case.case) or _judged(case, found, penalty) for case in found.cases]
    )


def with_cases(found: Comparison, cases: Sequence[CaseComparison]) -> Comparison:
    """Return the comparison with these cases, and their overall verdict."""
    return replace(found, verdict=whole_verdict(cases), cases=tuple(cases))


def is_decided(case: CaseComparison) -> bool:
    """Return whether more pairs could not change the verdict, or need not."""
    if case.verdict == Verdict.UNCHANGED:
        return case.p is None or case.p > UNCHANGED_P
    if case.verdict == Verdict.INCONCLUSIVE:
        return case.ratio is None or case.reason == UNLIKE_STEPS
    return True


def is_certain(found: Comparison, undecided: Collection[str], exit_code: ExitCode) -> bool:
    """Return whether the exit code is the same whatever becomes of the undecided cases."""
    codes = set()
    for verdict in JUDGED:
        cases = [
            _ended(case, verdict, found.threshold) if case.case in undecided else case for case in found.cases
        ]
        codes.add(exit_code(with_cases(found, cases)))
    return len(codes) == 1


def pairs_of(case: str, found: Comparison) -> int:
    """Return how many runs of each side timed the case, of the side with fewer."""
    return min(sum(case in run.cases for run in side) for side in (found.baseline, found.candidate))


def two_groups_warnings(found: Comparison) -> Iterator[str]:
    """Yield a warning for each side on which times of a case fall into two groups, if it is not unchanged."""
    for name, runs in (("baseline", found.baseline), ("candidate", found.candidate)):
        watched = [case.case for case in found.judged if case.verdict != Verdict.UNCHANGED]
        gaps = {case: gap_between_groups(process_logs(runs, case)) for case in watched}
        known = {case: gap for case, gap in gaps.items() if gap is not None}
        if known:
            apart = percent(math.expm1(min(known.values())))
            names = joined([one_line(case) for case in known])
            yield (
                f"times of the {name} fall into two groups at least {apart} apart: {names}; such a case is "
                "inconclusive unless all times of one side are above the other's; find what differs between "
                "the processes, or run more pairs"
            )


def process_logs(runs: Sequence[Run], case: str) -> Array:
    """Return the logarithms of the process medians of a case, shape (processes,), without zeros."""
    medians = [run.cases[case].process_medians_s for run in runs if case in run.cases]
    found = np.concatenate([np.empty(0), *medians])
    return np.asarray(np.log(found[found > 0]))


def _judged(case: CaseComparison, found: Comparison, penalty: int) -> CaseComparison:
    if case.verdict not in JUDGED or case.reason:
        return case
    if pairs_of(case.case, found) < MIN_PAIRS:
        return replace(case, verdict=Verdict.INCONCLUSIVE, reason=TOO_FEW_PAIRS)
    if case.ratio is None or case.q is None or case.low is None or case.high is None:
        return case
    q = min(1.0, penalty * case.q)
    verdict = case_verdict(q, math.log(case.ratio), (case.high - case.low) / 2, found.resolution)
    before, after = (process_logs(side, case.case) for side in (found.baseline, found.candidate))
    case = replace(case, q=q, verdict=verdict)
    if verdict == Verdict.UNCHANGED or are_apart(before, after, found.threshold):
        return case
    has_groups = any(gap_between_groups(side) is not None for side in (before, after))
    return replace(case, verdict=Verdict.INCONCLUSIVE, reason=TWO_GROUPS) if has_groups else case


def _ended(case: CaseComparison, verdict: Verdict, threshold: float) -> CaseComparison:
    """Return the undecided case with a verdict that it may get, unchanged if its interval excludes it."""
    is_excluded = (
        case.low is not None
        and case.high is not None
        and (
            (verdict == Verdict.REGRESSED and case.high <= 1 + threshold)
            or (verdict == Verdict.IMPROVED and case.low >= 1 / (1 + threshold))
        )
    )
    return replace(case, verdict=Verdict.UNCHANGED if is_excluded else verdict)
