"""A comparison as sentences, the same in every output format; the values are computed elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from breakeven import format as fmt
from breakeven.compare import reliability
from breakeven.compare.common_shift import Shift
from breakeven.compare.comparison import CaseComparison, Comparison
from breakeven.compare.noise_floor import NoiseFloor
from breakeven.compare.phase_attribution import PhaseAttribution, attribute_changes
from breakeven.compare.verdict_text import shift_text, verdict_lines
from breakeven.compare.work_changes import change_lines, work_changes
from breakeven.format import one_line
from breakeven.grouping import grouped
from breakeven.phases import HEADLINE
from breakeven.runs.canary import moves
from breakeven.runs.look import busy_lines
from breakeven.stats.verdict import Verdict

SUGGESTED_RUNS = 5
"""The runs per side that are suggested where the noise is unknown."""

_ALL, _MOST = 0.8, 0.5  # from this share of the step's change, a phase is all, or most, of it

_NOT_JUDGED = (Verdict.INCONCLUSIVE, Verdict.MISSING, Verdict.ERROR, Verdict.NEW)


@dataclass(frozen=True)
class ComparisonText:
    """A comparison as text, not escaped.

    `verdict` is one or two lines, `coverage` how many cases were judged and what all share, `changed_phases`
    one line for each change and its cause, `changed_work` one for the counts of each model that changed, and
    `warnings` what limits the verdict, the most serious first.
    """

    verdict: tuple[str, ...]
    coverage: str
    changed_phases: tuple[str, ...]
    changed_work: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def other_phases(self) -> tuple[str, ...]:
        """The changed phases that the verdict does not mention."""
        return tuple(line for line in self.changed_phases if line not in self.verdict[-1])


def describe(found: Comparison) -> ComparisonText:
    """Return the comparison as text."""
    attributions = attribute_changes(found.cases)
    causes = _attribution_texts(attributions)
    return ComparisonText(
        verdict_lines(found, {case.case for one in attributions for case in one.after}, causes),
        "; ".join(filter(None, (_coverage(found), _shift_text(found.common_shift)))),
        tuple(causes),
        tuple(change_lines(work_changes(found.baseline, found.candidate))),
        (
            *_machine_warnings(found),
            *_shift_warnings(found),
            *found.class_warnings,
            *_untimed_warnings(found),
            *_single_run_warnings(found),
            *_inconclusive_warnings(found),
            *_order_warnings(found),
            *_timing_warnings(found),
            *_flag_warnings(found),
            *found.warnings,
        ),
    )


def _coverage(found: Comparison) -> str:
    """Return how many of the baseline's cases were judged, and why the others were not."""
    counts = found.counts
    total = len(found.cases) - counts[Verdict.NEW]
    rest = [f"{counts[verdict]} {verdict}" for verdict in _NOT_JUDGED if counts[verdict]]
    return ", ".join([f"judged {len(found.judged)} of {total}", *rest])


def _shift_text(shift: Shift | None) -> str:
    if shift is None:
        return ""
    unknown = " (no interval: one run per side)" if shift.low is None else ""
    return f"common shift of all cases: {shift_text(shift)}{unknown}"


def _attribution_texts(attributions: Iterable[PhaseAttribution]) -> list[str]:
    """Return a line for each workload, device and cause; cells that changed alike share a line."""
    alike = grouped(
        ((one.key.workload, one.key.device, one.key.phase, one.case.verdict, _cause(one)), one)
        for one in attributions
    )
    return [
        f"{workload} on {device}: {phase} {_range(group)}{_where(group)}{cause}"
        for (workload, device, phase, _, cause), group in alike.items()
    ]


def _cause(one: PhaseAttribution) -> str:
    if not one.after:
        return _share_text(one)
    phases = fmt.listed([case.key.phase for case in one.after if case.key])
    word = "slower" if one.case.verdict == Verdict.REGRESSED else "faster"
    return f"{_share_text(one)}; {phases} too, perhaps only because of running after a {word} phase"


def _share_text(one: PhaseAttribution) -> str:
    if one.key.phase != HEADLINE or not one.has_phases:
        return ""
    if not one.phases:
        return ", in no single phase"
    phase, share = one.phases[0]
    if share >= _ALL:
        return f", all of it {phase}"
    if share >= _MOST:
        return f", most of it {phase}"
    return f", in {fmt.listed([phase for phase, _ in one.phases])}"


def _range(group: Sequence[PhaseAttribution]) -> str:
    ratios = [one.ratio for one in group]
    low, high = fmt.signed_percent(min(ratios)), fmt.signed_percent(max(ratios))
    return low if low == high else f"{low} to {high}"


def _where(group: Sequence[PhaseAttribution]) -> str:
    if len(group) > 1:
        return f" in {len(group)} cells"
    key = group[0].key
    return f" at batch {fmt.batch_size(key.batch_size)} {key.axes}".rstrip()


def _machine_warnings(found: Comparison) -> Iterator[str]:
    for device in found.changed_machines:
        yield (
            f"the canary on {one_line(device, 40)}, a fixed workload that no commit changes, shows the same "
            "shift as the cases: the machine changed, so no case on it is judged; measure both sides again, "
            "alternating (breakeven ab)"
        )
    for run in reliability.runs_on_both_sides(found):
        yield f"{run.path} is on both sides: comparing a run with itself shows nothing; replace one of them"
    for run in (*found.baseline, *found.candidate):
        yield from busy_lines(run)
        for move in moves(run.state):
            yield (
                f"{run.path}: {move.work} changed {fmt.ratio(move.ratio)} during the run; let the machine "
                "settle and measure again"
            )


def _shift_warnings(found: Comparison) -> Iterator[str]:
    shift = reliability.uniform_shift(found)
    if shift is not None:
        yield (
            f"no single case is slower or faster, but all cases together changed by {shift_text(shift)}: "
            "more runs per side would show which cases did"
        )


def _untimed_warnings(found: Comparison) -> Iterator[str]:
    for verdict, what in ((Verdict.ERROR, "no timing in the candidate"), (Verdict.MISSING, "missing")):
        reasons = grouped((case.reason, case) for case in found.with_verdict(verdict))
        for reason, cases in reasons.items():
            yield f"{what}: {_names(cases)} ({one_line(reason, 300)})"
    missing, new = found.counts[Verdict.MISSING], found.counts[Verdict.NEW]
    if missing and new:
        yield (
            f"{fmt.plural(missing, 'case')} missing and {new} new: a case that was renamed, or whose axes "
            "were, counts as both; keep the names to compare it"
        )


def _single_run_warnings(found: Comparison) -> Iterator[str]:
    single, floor = reliability.single_runs(found), found.floor
    if not single:
        return
    if floor is None and any(case.n_baseline > 1 or case.n_candidate > 1 for case in single):
        yield (
            "one run per side: the intervals include the noise between its processes, one after the other, "
            "but not that between the times of the two runs, and no noise floor is stored for this machine "
            "class; measure alternating runs (breakeven ab), or calibrate once (breakeven calibrate)"
        )
    elif floor is None:
        yield (
            "one run per side does not show the noise between runs, and no noise floor is stored for this "
            "machine class; measure several runs per side (breakeven ab), or calibrate once "
            "(breakeven calibrate)"
        )
    elif found.floor_is_unusable:
        yield (
            f"one run per side: the noise floor of {floor.runs} calibration runs is unusable, because it "
            "would report changes between too many of its own runs; measure several runs per side "
            "(breakeven ab), or calibrate again on a quiet machine"
        )
    else:
        yield from _floor_warnings(single, floor)


def _floor_warnings(single: Sequence[CaseComparison], floor: NoiseFloor) -> Iterator[str]:
    """Yield which single runs the noise floor judged, and which cases it does not include."""
    last = f" (last on {floor.datetime[:10]})" if floor.datetime else ""
    if any(case.q is not None for case in single):
        yield (
            f"one run per side: judged by the noise of {floor.runs} calibration runs on this machine "
            f"class{last}"
        )
    unknown = [case for case in single if not floor.includes(case.case)]
    if unknown:
        is_judged = any(case.q is not None for case in unknown)
        yield (
            f"one run per side: the {floor.runs} calibration runs{last} do not include {len(unknown)} of "
            f"{fmt.plural(len(single), 'case')} ({_names(unknown)}), "
            + ("judged by the noise of the other cases" if is_judged else "which are not judged")
            + "; calibrate again (breakeven calibrate)"
        )


def _inconclusive_warnings(found: Comparison) -> Iterator[str]:
    count = len(reliability.undecided(found))
    if not count or found.changed_machines:  # more runs would not settle a change of the machine
        return
    what = f"{fmt.plural(count, 'case')} inconclusive: an interval of ±{fmt.percent(found.resolution)} needs"
    needed = reliability.runs_to_settle(found)
    if needed is None:
        yield (
            f"{what} about {SUGGESTED_RUNS} runs per side on a quiet machine; one run does not show how "
            "noisy this one is"
        )
    elif needed.is_from_ratios:
        yield f"{what} about {_runs(needed.typical)} runs per side, if their ratios differ by noise only"
    else:
        most = f" ({_runs(needed.most)} for the noisiest)" if needed.most != needed.typical else ""
        yield f"{what} about {_runs(needed.typical)} runs per side at their noise{most}"


def _runs(needed: int | None) -> str:
    return "more than 1000" if needed is None else str(needed)


def _order_warnings(found: Comparison) -> Iterator[str]:
    if reliability.is_one_side_first(found):
        yield (
            "all runs of one side were made before those of the other: a drift of the machine would look "
            "like a change; alternate them (breakeven ab)"
        )


def _timing_warnings(found: Comparison) -> Iterator[str]:
    for name, side in (("baseline", found.baseline), ("candidate", found.candidate)):
        partly = reliability.partly_timed(found, side)
        if partly:
            yield f"not timed in every run of the {name}: {_names(partly)}; judged by the runs that timed it"
    unlike = reliability.unlike_steps(found)
    if unlike:
        yield (
            f"{fmt.plural(len(unlike), 'case')} not judged: {_names(unlike)} waited for the accelerator "
            "after each step in some runs, as breakeven 0.1 times it, and not in others; measure both sides "
            "with one version of breakeven"
        )
    apart = reliability.too_far_apart(found)
    if apart:
        yield (
            f"no interval for {fmt.plural(len(apart), 'case')}: {_names(apart)}; its ends would be more than "
            "a factor of 1,000 apart; measure more runs on a quiet machine"
        )
    zero = reliability.zero_medians(found)
    if zero:
        yield (
            f"no ratio, because a median is zero: {_names(zero)}; the clock is too coarse, or the file is "
            "wrong"
        )


def _flag_warnings(found: Comparison) -> Iterator[str]:
    for flag, count in reliability.disturbed(found).items():
        yield f"{fmt.plural(count, 'case')} {flag.disturbed} in at least one run ({flag})"


def _names(cases: Iterable[CaseComparison]) -> str:
    return fmt.joined([one_line(case.case) for case in cases])
