"""Which cases of a comparison are timed again, and how both stages become one comparison.

A case that is timed again is judged on its new runs alone: it was selected because its first runs looked
different, so they are biased.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from breakeven.compare.comparison import UNLIKE_STEPS, CaseComparison, Comparison, whole_verdict
from breakeven.format import plural
from breakeven.runs.schema import Run
from breakeven.stats.verdict import Verdict

RETEST_P = 0.3
"""A case is timed again if its p-value (TREAT), not corrected for the number of cases, is at most this.

In a seeded simulation of 3 runs per side with 2% run-to-run noise, it misses below 0.1% of cases that are 10%
slower, even when there is only one case, and 11% of those that are 5% slower; 8% of unchanged cases are timed
again needlessly. At 0.1 it would miss a third of those that are 5% slower.
"""


def needs_retest(case: CaseComparison) -> bool:
    """Return whether a case of the first stage is not clearly unchanged."""
    if case.verdict == Verdict.UNCHANGED:
        return case.p is None or case.p <= RETEST_P
    return case.verdict != Verdict.NEW and case.reason != UNLIKE_STEPS


def cases_to_retest(first: Comparison) -> tuple[str, ...]:
    """Return the cases to time again, in the order of the runs.

    A case that one side never collected is not included: it would be missing again.
    """
    both = _collected(first.baseline) & _collected(first.candidate)
    return tuple(case.case for case in first.cases if needs_retest(case) and case.case in both)


def restrict(run: Run, cases: Collection[str]) -> Run:
    """Return the run with these cases only, as if BREAKEVEN_CASES had listed them."""
    return replace(
        run,
        cases={name: case for name, case in run.cases.items() if name in cases},
        outcomes=tuple(outcome for outcome in run.outcomes if outcome.name in cases),
    )


def merge_stages(
    first: Comparison, fresh: Comparison, retested: Collection[str], class_warnings: Sequence[str]
) -> Comparison:
    """Return one comparison: retested cases as the new runs judge them, all others as the first stage does.

    The common shift is that of the first stage, which timed all cases; that of the retested cases alone would
    be biased by their selection. Where every case was retested, it is that of the new runs. Changed machines
    are those of the new runs: all cases of a device that changed in the first stage are retested.

    The merged runs keep only the cases that they judge.

    Args:
        first: the comparison of the runs of all cases.
        fresh: that of the runs of the retested cases.
        retested: these cases.
        class_warnings: warnings about the machine classes of all runs.
    """
    judged = {case.case: case for case in fresh.cases}
    cases = [
        case if case.case not in retested else judged.get(case.case) or _not_retested(case)
        for case in first.cases
    ]
    others = {case.case for case in first.cases} - set(retested)
    is_all = set(retested) >= {case.case for case in first.cases if case.is_judged}
    return replace(
        first,
        verdict=whole_verdict(cases),
        cases=tuple(cases),
        common_shift=fresh.common_shift if is_all else first.common_shift,
        changed_machines=fresh.changed_machines,
        class_warnings=tuple(class_warnings),
        baseline=(*(restrict(run, others) for run in first.baseline), *fresh.baseline),
        candidate=(*(restrict(run, others) for run in first.candidate), *fresh.candidate),
        warnings=(*first.warnings, _stages_text(first, fresh, retested)),
    )


def _stages_text(first: Comparison, fresh: Comparison, retested: Collection[str]) -> str:
    others = sum(case.is_judged and case.case not in retested for case in first.cases)
    first_pairs, new_pairs = plural(len(first.baseline), "pair"), plural(len(fresh.baseline), "new pair")
    rest = f"; the other {others} judged on the first {first_pairs}" if others else ""
    return (
        f"{plural(len(retested), 'case')} not clearly unchanged after {first_pairs}: timed again, and judged "
        f"on {new_pairs} only{rest}"
    )


def _not_retested(case: CaseComparison) -> CaseComparison:
    """Return the verdict on a case to retest that no new run contains."""
    if not case.is_judged:
        return case
    return CaseComparison(case.case, Verdict.INCONCLUSIVE, key=case.key, reason="not timed again")


def _collected(runs: Sequence[Run]) -> set[str]:
    return {case for run in runs for case in (*run.cases, *run.untimed)}
