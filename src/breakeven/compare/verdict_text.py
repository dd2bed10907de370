"""The verdict of a comparison as a person would say it: at most two lines and 220 characters."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence

from breakeven import format as fmt
from breakeven.compare import reliability
from breakeven.compare.common_shift import Shift
from breakeven.compare.comparison import UNLIKE_STEPS, CaseComparison, Comparison
from breakeven.grouping import grouped
from breakeven.runs.canary import moves
from breakeven.runs.look import problems_of
from breakeven.stats.verdict import Verdict

_MAX_NAME = 80
_REMAINDER = (Verdict.ERROR, Verdict.MISSING, Verdict.INCONCLUSIVE, Verdict.IMPROVED)


def verdict_lines(found: Comparison, after: Collection[str], causes: Sequence[str]) -> tuple[str, ...]:
    """Return the verdict, and below it what limits or explains it, as far as there is room.

    Args:
        found: the comparison.
        after: the cases that changed only as another one did.
        causes: which phases changed, the largest change first.
    """
    if len(reliability.runs_on_both_sides(found)) == len(found.candidate):
        return ("The two sides are the same runs, which shows nothing: replace those of one side.",)
    others = (*_doubts(found), *_next_step(found), *_remainder(found), *(f"{cause}." for cause in causes[:1]))
    return fmt.two_lines(_first_line(found, after), others)


def shift_text(shift: Shift) -> str:
    """Return a common shift as a signed percentage, with its interval if that is known."""
    low, high = (None if bound is None else math.exp(bound) for bound in (shift.low, shift.high))
    return f"{fmt.signed_percent(math.exp(shift.log_ratio))} {fmt.signed_percent_between(low, high)}".strip()


def _first_line(found: Comparison, after: Collection[str]) -> str:
    changed = found.with_verdict(found.verdict)
    of = fmt.plural(len(found.judged), "case")
    if found.verdict in (Verdict.REGRESSED, Verdict.IMPROVED):
        word = "slower" if found.verdict == Verdict.REGRESSED else "faster"
        how_many = f"{len(changed)} of {of} {'is' if len(changed) == 1 else 'are'} {word}"
        largest = max(changed, key=lambda case: (case.case not in after, _size(case)))
        named = "" if len(changed) == 1 else "largest change: "
        mark = ":" if len(changed) == 1 else ";"
        return f"{fmt.capital(found.verdict)}: {how_many}{mark} {named}{_change(largest)}."
    if found.verdict == Verdict.UNCHANGED:
        total = fmt.plural(len(found.cases) - found.counts[Verdict.NEW], "case")
        limit = fmt.percent(found.threshold)
        return f"No regressions in {len(found.judged)} of {total}; no change above {limit} was detected."
    return f"{_why_inconclusive(found)}."


def _why_inconclusive(found: Comparison) -> str:
    if found.only_new:
        return "Nothing to compare: the baseline timed no case"
    if not found.judged:
        return "Nothing to compare: no case was timed on both sides"
    if found.changed_machines:
        devices = fmt.joined([fmt.one_line(device, 40) for device in found.changed_machines])
        return f"Inconclusive: the machine changed, as the canary on {devices} shows"
    once = {case.case for case in reliability.untested(found)}
    zero = {case.case for case in reliability.zero_medians(found)}

    def reason(case: CaseComparison) -> str:
        if case.case in zero:
            return "without a ratio, because a median is zero"
        if case.case in once:
            return "were timed in one run per side"
        if case.reason == UNLIKE_STEPS:
            return "waited after each step in some runs only"
        return case.reason or f"are too noisy, with intervals wider than ±{fmt.percent(found.resolution)}"

    of = fmt.plural(len(found.judged), "case")
    reasons = grouped((reason(case), case) for case in found.with_verdict(Verdict.INCONCLUSIVE))
    texts = [f"{len(cases)} of {of} {text}" for text, cases in sorted(reasons.items())]
    return f"Inconclusive: {'; '.join(texts)}"


def _doubts(found: Comparison) -> Iterator[str]:
    """Yield why the runs themselves cannot be trusted."""
    runs = (*found.baseline, *found.candidate)
    if reliability.runs_on_both_sides(found):
        yield "Some runs are on both sides, and equal themselves: replace them."
    busy = sum(bool(problems_of(run.state)) for run in runs)
    if busy:
        yield f"{busy} of {fmt.plural(len(runs), 'run')} measured on a busy machine: measure again."
    if any(moves(run.state) for run in runs):
        yield "The speed of the machine changed during a run: measure again."
    for flag, count in reliability.disturbed(found).items():
        if 2 * count > len(found.cases):
            yield f"{fmt.plural(count, 'case')} {flag.disturbed} ({flag})."
    shift = reliability.uniform_shift(found)
    if shift is not None:
        yield f"But all cases together changed by {shift_text(shift)}."


def _remainder(found: Comparison) -> Iterator[str]:
    """Yield how many cases have another verdict, without the unchanged ones where that is reassuring."""
    rest = [f"{found.counts[verdict]} {verdict}" for verdict in _REMAINDER if found.counts[verdict]]
    rest = [text for text in rest if not text.endswith(f" {found.verdict}")]
    if rest and found.judged:
        yield f"Others: {', '.join(rest)}."


def _next_step(found: Comparison) -> Iterator[str]:
    """Yield how to judge what was not judged, and the largest difference in it."""
    if found.verdict != Verdict.INCONCLUSIVE:
        return
    if reliability.untested(found):
        yield "Alternate runs (breakeven ab), or calibrate once (breakeven calibrate)."
    known = [case for case in found.with_verdict(Verdict.INCONCLUSIVE) if case.ratio is not None]
    if known:
        yield f"Largest difference: {_change(max(known, key=_size))}."


def _change(case: CaseComparison) -> str:
    """Return a case with its ratio and interval; a median of zero leaves no ratio."""
    name = fmt.shortened(case.case, _MAX_NAME)
    if case.ratio is None:
        return name
    interval = fmt.signed_percent_between(case.low, case.high)
    return f"{name}, {fmt.signed_percent(case.ratio)} {interval}".strip()


def _size(case: CaseComparison) -> float:
    return abs(math.log(case.ratio or 1.0))
