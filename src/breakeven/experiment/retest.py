"""Which cases are timed again, and the record of both stages as one.

Owns the choice after all cases were timed a few times, and how the stages are put together. Every suspect is
decided on the fresh runs alone: what made it a suspect would count twice otherwise, and noise that looks like
a slowdown is what the first stage finds most easily.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from breakeven.compare.comparison import Change, Comparison, whole_verdict
from breakeven.format import plural
from breakeven.runs.readings import Run

SUSPECT_P = 0.3
"""A case is a suspect up to this p of TREAT, without any correction for how many cases there are.

By seeded simulation of three runs a side with 2% run-to-run noise: of cases that are 10% slower, fewer than
one in a thousand escapes, also where it is the only case; of those 5% slower, one in nine; and of unchanged
ones one in twelve is timed again for nothing. At 0.1 a third of the 5% ones would escape.
"""


def is_suspect(change: Change) -> bool:
    """Return whether a case of the first stage is not clearly unchanged."""
    if change.verdict == "unchanged":
        return change.p is None or change.p <= SUSPECT_P
    return change.verdict != "new"


def suspects(found: Comparison) -> tuple[str, ...]:
    """Return the cases to time again, in the order of the runs.

    A case that one side never had is none: timing the suspects again would not bring it back.
    """
    both = _collected(found.baseline) & _collected(found.candidate)
    return tuple(change.case for change in found.changes if is_suspect(change) and change.case in both)


def only(run: Run, cases: Collection[str]) -> Run:
    """Return the run as if it had timed these cases only, as one does that keeps to BREAKEVEN_CASES."""
    return replace(
        run,
        readings={case: reading for case, reading in run.readings.items() if case in cases},
        ended={case: ended for case, ended in run.ended.items() if case in cases},
    )


def merged(first: Comparison, fresh: Comparison, again: Sequence[str], warnings: Sequence[str]) -> Comparison:
    """Return one record: the suspects as the fresh runs have them, all others as the first stage has.

    What all cases share is the first stage's, which timed all; that of the suspects alone would be that of
    a selection. Where every case was a suspect both stages timed all, and the fresh runs speak. Which
    machines changed is the fresh runs' to say: of a device that changed in the first stage all are suspects.

    The runs of the record keep the cases that they decided, so that whatever is said of them is true of it.

    Args:
        first: the comparison of the runs that timed all cases.
        fresh: that of the runs that timed the suspects.
        again: the suspects.
        warnings: what the classes of all runs give to say.
    """
    decided = {change.case: change for change in fresh.changes}
    changes = [
        change if change.case not in again else decided.get(change.case) or _untold(change)
        for change in first.changes
    ]
    others = {change.case for change in first.changes} - set(again)
    is_all = set(again) >= {change.case for change in first.changes if change.is_judged}
    return replace(
        first,
        verdict=whole_verdict(changes),
        changes=tuple(changes),
        common_shift=fresh.common_shift if is_all else first.common_shift,
        changed_machines=fresh.changed_machines,
        identity_warnings=tuple(warnings),
        baseline=(*(only(run, others) for run in first.baseline), *fresh.baseline),
        candidate=(*(only(run, others) for run in first.candidate), *fresh.candidate),
        notes=(*first.notes, _stages(first, fresh, again)),
    )


def _stages(first: Comparison, fresh: Comparison, again: Sequence[str]) -> str:
    others = sum(change.is_judged and change.case not in again for change in first.changes)
    decided = f"{plural(len(again), 'case')} decided on {plural(len(fresh.baseline), 'fresh pair')} of runs"
    if not others:
        return f"every case was a suspect after {plural(len(first.baseline), 'pair')}: {decided}"
    return (
        f"{decided}, not clearly unchanged after the first {plural(len(first.baseline), 'pair')}, which "
        f"decided the other {others}"
    )


def _untold(change: Change) -> Change:
    """Return what is known of a suspect that no fresh run tells of."""
    if not change.is_judged:
        return change
    return Change(
        change.case, "inconclusive", sample=change.sample, reason="not timed again among the suspects"
    )


def _collected(runs: Sequence[Run]) -> set[str]:
    return {case for run in runs for case in (*run.readings, *run.ended)}
