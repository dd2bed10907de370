"""What limits a comparison: single runs, runs made one side after the other, disturbed or missing timings."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_high

from breakeven.compare.common_shift import Shift
from breakeven.compare.comparison import UNLIKE_STEPS, CaseComparison, Comparison
from breakeven.flags import Flag
from breakeven.runs.schema import Run
from breakeven.stats.regression import runs_needed
from breakeven.stats.verdict import Verdict

DISTURBING = (Flag.THROTTLED, Flag.SHARED_GPU, Flag.CONTENDED)
"""Flags that may shift a whole run. The run-to-run noise includes the effect of the others."""

MIN_RATIOS = 5
"""The spread of fewer ratios is not an estimate of noise."""

_NORMAL_MAD = 1.4826  # standard deviation of a normal distribution over its median absolute deviation


@dataclass(frozen=True)
class RunsNeeded:
    """The runs per side that would settle the inconclusive cases; None above 1,000.

    `typical` is for the case with median noise, `most` for the noisiest. `is_from_ratios` is True where each
    side has one run, and the noise was estimated from the spread of the ratios.
    """

    typical: int | None
    most: int | None
    is_from_ratios: bool = False


def uniform_shift(found: Comparison) -> Shift | None:
    """Return the common shift where it exceeds the threshold although no single case changed."""
    shift = found.common_shift
    if shift is None or found.verdict != Verdict.UNCHANGED or not shift.exceeds(math.log1p(found.threshold)):
        return None
    return shift


def runs_on_both_sides(found: Comparison) -> list[Run]:
    """Return the candidate's runs that are also in the baseline."""
    digests = {run.digest for run in found.baseline}
    return [run for run in found.candidate if run.digest in digests]


def is_one_side_first(found: Comparison) -> bool:
    """Return whether all runs of one of two sides of several runs were made before all of the other."""
    before, after = (sorted(run.datetime for run in side) for side in (found.baseline, found.candidate))
    if min(len(before), len(after)) < 2 or not all((*before, *after)):
        return False
    return before[-1] < after[0] or after[-1] < before[0]


def single_runs(found: Comparison) -> list[CaseComparison]:
    """Return the judged cases that each side timed in one run only, in any number of processes."""
    counts = [
        Counter(name for run in side for name in run.cases) for side in (found.baseline, found.candidate)
    ]
    return [case for case in found.judged if all(count[case.case] == 1 for count in counts)]


def untested(found: Comparison) -> list[CaseComparison]:
    """Return the single runs that no noise floor judged."""
    return [case for case in single_runs(found) if case.p is None and not case.reason]


def partly_timed(found: Comparison, side: Sequence[Run]) -> list[CaseComparison]:
    """Return the judged cases that some runs of a side did not time."""
    untimed = {name for run in side for name in run.untimed}
    return [case for case in found.judged if case.case in untimed]


def zero_medians(found: Comparison) -> list[CaseComparison]:
    """Return the cases that both sides timed but that have no ratio, because a median is zero."""
    return [
        case
        for case in found.judged
        if case.n_baseline and case.n_candidate and case.ratio is None and not case.reason
    ]


def too_far_apart(found: Comparison) -> list[CaseComparison]:
    """Return the cases that were timed several times, but vary too much for an interval."""
    return [
        case
        for case in found.judged
        if case.ratio is not None and case.low is None and max(case.n_baseline, case.n_candidate) > 1
    ]


def unlike_steps(found: Comparison) -> list[CaseComparison]:
    """Return the cases whose steps waited for an accelerator in some runs only, which are not judged."""
    return [case for case in found.judged if case.reason == UNLIKE_STEPS]


def undecided(found: Comparison) -> list[CaseComparison]:
    """Return the inconclusive cases that more runs could settle."""
    return [case for case in found.with_verdict(Verdict.INCONCLUSIVE) if not case.reason]


def disturbed(found: Comparison) -> dict[Flag, int]:
    """Return the number of cases with each disturbing flag in at least one run."""
    timed = [item for run in (*found.baseline, *found.candidate) for item in run.cases.items()]
    counts = {flag: len({name for name, case in timed if flag in case.flags}) for flag in DISTURBING}
    return {flag: count for flag, count in counts.items() if count}


def runs_to_settle(found: Comparison) -> RunsNeeded | None:
    """Return the runs that would settle the inconclusive cases; None where their noise is unknown."""
    cases = undecided(found)
    known = [case.sd for case in cases if case.sd is not None]
    if known:
        typical, most = (runs_needed(sd, found.resolution) for sd in (median_high(known), max(known)))
        return RunsNeeded(typical, most)
    spread = _spread([case.ratio for case in cases if case.ratio])
    if spread is None:
        return None
    needed = runs_needed(spread, found.resolution)
    return RunsNeeded(needed, needed, is_from_ratios=True)


def _spread(ratios: Sequence[float]) -> float | None:
    """Return the run-to-run noise of a log time that would explain the spread of single ratios."""
    if len(ratios) < MIN_RATIOS:
        return None
    logs = [math.log(ratio) for ratio in ratios]
    middle = median_high(logs)
    return _NORMAL_MAD * median_high(abs(value - middle) for value in logs) / math.sqrt(2)
