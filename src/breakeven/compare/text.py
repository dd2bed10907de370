"""A comparison in sentences: the verdict, how much was judged, and what a reader must know of it.

Owns the wording, once for terminal, markdown and JSON. Decides nothing: `breakeven.compare.comparison` did.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from breakeven import format as fmt
from breakeven.compare.comparison import Change, Comparison
from breakeven.compare.noise_floor import Floor
from breakeven.format import one_line
from breakeven.runs.canary import moves
from breakeven.stats.regression import runs_needed

DISTURBED = {
    "throttled": "ran throttled",
    "shared_gpu": "shared the GPU with other processes",
    "contended": "shared the processor with other work",
}
"""Flags that a reader of a ratio must know of."""

TARGET_RUNS = 5
"""What is advised where nothing at all is known of the noise."""


def headline(found: Comparison) -> str:
    """Return the verdict as one sentence."""
    if found.verdict == "regressed":
        return f"Regressed: {_worst(found, 'regressed', 'slower')}."
    if found.verdict == "improved":
        return f"Improved: {_worst(found, 'improved', 'faster')}; no case is slower."
    if found.verdict == "unchanged":
        together = f"; but {_drifted(found)}" if _drifted(found) else ""
        return (
            f"Unchanged: {fmt.plural(found.counts['unchanged'], 'case')}, none slower or faster by more "
            f"than {fmt.percent(found.threshold)} at a false discovery rate of 5%{together}."
        )
    return f"Inconclusive: {_undecided(found)}."


def coverage(found: Comparison) -> str:
    """Return how many cases were judged, and what became of the others.

    The whole is every case of the baseline; a case that is new was never to be judged.
    """
    counts = found.counts
    judged = sum(change.is_judged for change in found.changes)
    total = len(found.changes) - counts["new"]
    rest = [f"{counts[word]} {word}" for word in ("inconclusive", "missing", "error", "new") if counts[word]]
    return ", ".join([f"judged {judged} of {total}", *rest])


def shift_words(found: Comparison) -> str:
    """Return what all cases have in common, or nothing where it cannot be told."""
    shift = found.common_shift
    if shift is None:
        return ""
    low = None if shift.low is None else math.exp(shift.low)
    high = None if shift.high is None else math.exp(shift.high)
    interval = fmt.signed_percent_between(low, high) or "(one run a side: no interval)"
    return f"common shift of all cases: {fmt.signed_percent(math.exp(shift.log_ratio))} {interval}"


def warnings(found: Comparison) -> list[str]:
    """Return what must be known to read the verdict rightly, the gravest first, a line each."""
    return [
        *_machine(found),
        *_together(found),
        *found.identity_warnings,
        *_untimed(found),
        *_few_runs(found),
        *_to_settle(found),
        *_order(found),
        *_partly(found),
        *_disturbed(found),
        *found.notes,
    ]


def _drifted(found: Comparison) -> str:
    """Return what all cases surely did together beyond the threshold, though none of them shows it."""
    shift = found.common_shift
    if shift is None or shift.low is None or shift.high is None or found.verdict != "unchanged":
        return ""
    limit = math.log1p(found.threshold)
    if shift.low <= limit and shift.high >= -limit:
        return ""
    interval = fmt.signed_percent_between(math.exp(shift.low), math.exp(shift.high))
    return f"all together moved by {fmt.signed_percent(math.exp(shift.log_ratio))} {interval}"


def _worst(found: Comparison, verdict: str, word: str) -> str:
    changed = sorted(
        (change for change in found.changes if change.verdict == verdict and change.ratio is not None),
        key=lambda change: abs(math.log(change.ratio or 1.0)),
        reverse=True,
    )
    judged = sum(change.is_judged for change in found.changes)
    worst = changed[0]
    assert worst.ratio is not None
    interval = fmt.signed_percent_between(worst.low, worst.high)
    name = one_line(worst.case)
    which = f"{name} by" if len(changed) == 1 else f"most of all {name}, by"
    return (
        f"{len(changed)} of {fmt.plural(judged, 'case')} {'is' if len(changed) == 1 else 'are'} {word}, "
        f"{which} {fmt.signed_percent(worst.ratio)} {interval}"
    ).strip()


def _undecided(found: Comparison) -> str:
    if found.only_new:
        return "the baseline has no case, so there is nothing to hold the candidate's against"
    judged = sum(change.is_judged for change in found.changes)
    if not judged:
        return "no case was timed on both sides"
    if found.changed_machines:
        return f"the machine changed, as the canary on {fmt.listed(found.changed_machines)} shows"
    return (
        f"{found.counts['inconclusive']} of {fmt.plural(judged, 'case')} cannot be told from noise within "
        f"±{fmt.percent(found.resolution)}"
    )


def _machine(found: Comparison) -> Iterator[str]:
    for device in found.changed_machines:
        yield (
            f"the canary on {one_line(device, 40)}, a fixed piece of work that no commit touches, shows the "
            "same shift as the cases: the machine changed, so no case there is judged; measure both sides "
            "again, alternately (breakeven ab)"
        )
    shared = {run.digest for run in found.baseline} & {run.digest for run in found.candidate}
    for run in found.candidate:
        if run.digest in shared:
            yield f"{run.path} stands on both sides: a run held against itself tells nothing"
    for run in (*found.baseline, *found.candidate):
        for move in moves(run.state):
            yield (
                f"{run.path}: the canary on {one_line(move.device, 40)} moved {move.ratio:.2f}x within the "
                "run; let the machine settle"
            )


def _together(found: Comparison) -> Iterator[str]:
    if _drifted(found):
        yield (
            f"no case alone is called slower or faster, but {_drifted(found)}: more runs a side would tell "
            "which cases did"
        )


def _untimed(found: Comparison) -> Iterator[str]:
    for verdict, what in (("error", "gave no timing in the candidate"), ("missing", "missing")):
        reasons: dict[str, list[Change]] = {}
        for change in found.changes:
            if change.verdict == verdict:
                reasons.setdefault(change.reason, []).append(change)
        for reason, changes in reasons.items():
            names = fmt.joined([one_line(change.case) for change in changes])
            yield f"{what}: {names} ({one_line(reason, 300)})"
    if found.counts["missing"] and found.counts["new"]:
        yield (
            f"{fmt.plural(found.counts['missing'], 'case')} missing and {found.counts['new']} new: a case "
            "that was renamed, or whose axes were, is both; keep the names to keep the comparison"
        )


def _few_runs(found: Comparison) -> Iterator[str]:
    single = [c for c in found.changes if c.is_judged and c.n_baseline == c.n_candidate == 1]
    if not single:
        return
    floor = found.floor
    if floor is not None and found.floor_is_uneven:
        yield (
            f"one run a side: the noise floor of {floor.runs} calibration runs cannot judge it, since it "
            "would call too many of its own runs changed; measure several runs a side (breakeven ab), or "
            "calibrate anew on a quiet machine"
        )
        return
    if floor is not None:
        yield from _by_the_floor(single, floor)
        return
    yield (
        "one run a side knows nothing of the noise between runs, and no noise floor is known for this "
        "machine class; measure several runs a side (breakeven ab), or calibrate once (breakeven calibrate)"
    )


def _by_the_floor(single: Sequence[Change], floor: Floor) -> Iterator[str]:
    """Yield what the floor was good for: the judged cases, and those that it does not know."""
    runs = f"{floor.runs} calibration runs on this machine class"
    last = f" (last on {floor.datetime[:10]})" if floor.datetime else ""
    if any(change.q is not None for change in single):
        yield f"one run a side: judged against the noise of {runs}{last}"
    unknown = [change for change in single if not floor.knows(change.case)]
    if not unknown:
        return
    names = fmt.joined([one_line(change.case) for change in unknown])
    borrowed = any(change.q is not None for change in unknown)
    yield (
        f"one run a side: the {runs}{last} know nothing of {len(unknown)} of "
        f"{fmt.plural(len(single), 'case')} ({names}), "
        + ("for which the noise of the others stands" if borrowed else "so they are not judged")
        + "; calibrate anew (breakeven calibrate)"
    )


def _to_settle(found: Comparison) -> Iterator[str]:
    if found.changed_machines:
        return
    undecided = [change for change in found.changes if change.verdict == "inconclusive"]
    if not undecided:
        return
    counts = fmt.plural(len(undecided), "case")
    known = sorted(change.sd for change in undecided if change.sd is not None)
    what = f"{counts} inconclusive: a ratio's interval of ±{fmt.percent(found.resolution)} takes about"
    if known:
        typical, loudest = (_runs(sd, found.resolution) for sd in (known[len(known) // 2], known[-1]))
        beside = "" if typical == loudest else f" ({loudest} for the loudest)"
        yield f"{what} {typical} runs a side at their noise{beside}"
        return
    spread = _spread(undecided)
    if spread is None:
        yield f"{what} {TARGET_RUNS} runs a side on a quiet machine; one run cannot tell how noisy it is"
        return
    needed = _runs(spread, found.resolution)
    yield f"{what} {needed} runs a side, if the spread of their ratios is all noise"


def _runs(sd: float, resolution: float) -> str:
    needed = runs_needed(sd, resolution)
    return "more than 1000" if needed is None else str(needed)


def _spread(changes: Sequence[Change]) -> float | None:
    """Return the noise between runs that would explain how the cases' single ratios scatter."""
    logs = sorted(math.log(change.ratio) for change in changes if change.ratio)
    if len(logs) < TARGET_RUNS:
        return None
    middle = logs[len(logs) // 2]
    away = sorted(abs(value - middle) for value in logs)
    return 1.4826 * away[len(away) // 2] / math.sqrt(2)  # the normal law's deviation, of one side's runs


def _order(found: Comparison) -> Iterator[str]:
    times = [sorted(run.datetime for run in side) for side in (found.baseline, found.candidate)]
    if min(map(len, times)) < 2 or not all(time for side in times for time in side):
        return
    if times[0][-1] < times[1][0] or times[1][-1] < times[0][0]:
        yield (
            "all runs of one side came before those of the other: a machine that drifts looks like a change; "
            "run them alternately (breakeven ab)"
        )


def _partly(found: Comparison) -> Iterator[str]:
    sides = (("baseline", found.baseline), ("candidate", found.candidate))
    for name, runs in sides:
        judged = [c for c in found.changes if c.is_judged]
        partly = [c for c in judged if any(c.case in run.ended for run in runs)]
        if partly:
            names = fmt.joined([one_line(change.case) for change in partly])
            yield f"not timed in every run of the {name}: {names}; judged on those that have it"
    untold = [c for c in found.changes if c.is_judged and not c.n_candidate and c.reason]
    if untold:
        names = fmt.joined([one_line(change.case) for change in untold])
        yield f"{untold[0].reason}: {names}; the candidate's command may not know BREAKEVEN_CASES"
    zero = [c for c in found.changes if c.is_judged and c.n_baseline and c.n_candidate and c.ratio is None]
    if zero:
        names = fmt.joined([one_line(change.case) for change in zero])
        yield f"a median of zero has no ratio: {names}; the clock is too coarse, or the file is wrong"


def _disturbed(found: Comparison) -> Iterator[str]:
    for flag, what in DISTURBED.items():
        cases = {
            reading.case
            for run in (*found.baseline, *found.candidate)
            for reading in run.readings.values()
            if reading.sample is not None and flag in reading.sample.flags
        }
        if cases:
            yield f"{fmt.plural(len(cases), 'case')} {what} in at least one run ({flag})"
