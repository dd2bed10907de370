"""Compares two sets of runs: a verdict on every case, and an overall one.

The processes of a run are measured one after the other, so that they share the state of the machine at that
time: they are replicates within a time, not between times. A run therefore enters the tests of
`breakeven.stats.regression` as one value, the mean over its processes, whose noise is that between the runs
of a side. Where each side has one run, it is that of the noise floor. Without one nothing is tested, and the
intervals are over the processes. The sentences are in `breakeven.compare.text`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from breakeven.case import CaseKey, Outcome, OutcomeKind
from breakeven.compare.common_shift import Shift, canary_shift, common_shift, explains
from breakeven.compare.machine_class import check_classes
from breakeven.compare.noise_floor import NoiseFloor
from breakeven.grouping import grouped
from breakeven.runs.schema import CaseResult, Run
from breakeven.stats.regression import (
    MAX_FALSE_ALARM_RATE,
    Effects,
    case_verdict,
    effects,
    false_alarm_rate,
    means,
)
from breakeven.stats.verdict import RESOLUTION, THRESHOLD, Verdict

Array = NDArray[np.float64]

JUDGED = (Verdict.REGRESSED, Verdict.INCONCLUSIVE, Verdict.IMPROVED, Verdict.UNCHANGED)
"""The verdicts on cases that both sides timed; the overall one is the first that any case has."""

UNLIKE_STEPS = "timed with a wait after each step in some runs, and without in others"
"""Why a training step on an accelerator is not judged: version 1 waited, and a newer one loops."""

_BROKEN = (OutcomeKind.FAILED, OutcomeKind.CRASHED, OutcomeKind.OOM)


@dataclass(frozen=True)
class CaseComparison:
    """One case, compared. What is not known is None.

    `ratio` is the geometric mean of the medians of the candidate's processes over that of the baseline's,
    with its 95% interval. `p` and `q` are None where nothing was tested; `n_baseline` and `n_candidate` count
    processes; `sd` is the run-to-run standard deviation of a log time; `reason` says why a case was not timed
    or judged. `passes` are those of a step that accumulates gradients.
    """

    case: str
    verdict: Verdict
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    q: float | None = None
    n_baseline: int = 0
    n_candidate: int = 0
    baseline_s: float | None = None
    candidate_s: float | None = None
    sd: float | None = None
    key: CaseKey | None = None
    reason: str = ""
    p: float | None = None
    passes: float = 1.0

    @property
    def is_judged(self) -> bool:
        """Whether both sides timed it."""
        return self.verdict in JUDGED


@dataclass(frozen=True)
class Comparison:
    """Baseline against candidate.

    `changed_machines` are the devices whose canary moved as the cases did. `class_warnings` are about the
    machine classes, `warnings` about how the runs were made. An unusable floor is not used for any verdict.
    """

    verdict: Verdict
    cases: tuple[CaseComparison, ...]
    common_shift: Shift | None
    changed_machines: tuple[str, ...]
    class_warnings: tuple[str, ...]
    baseline: tuple[Run, ...]
    candidate: tuple[Run, ...]
    floor: NoiseFloor | None
    threshold: float
    resolution: float
    warnings: tuple[str, ...] = ()
    floor_is_unusable: bool = False

    @cached_property
    def counts(self) -> dict[Verdict, int]:
        """The number of cases with each verdict."""
        verdicts = [case.verdict for case in self.cases]
        return {verdict: verdicts.count(verdict) for verdict in Verdict}

    @cached_property
    def judged(self) -> tuple[CaseComparison, ...]:
        """The cases that both sides timed."""
        return tuple(case for case in self.cases if case.is_judged)

    def with_verdict(self, verdict: Verdict) -> list[CaseComparison]:
        """Return the cases with a verdict."""
        return [case for case in self.cases if case.verdict == verdict]

    @property
    def only_new(self) -> bool:
        """Whether the baseline timed no case, so that nothing can be judged."""
        return bool(self.cases) and all(case.verdict == Verdict.NEW for case in self.cases)


def compare(
    baseline: Sequence[Run],
    candidate: Sequence[Run],
    *,
    floor: NoiseFloor | None = None,
    threshold: float = THRESHOLD,
    resolution: float = RESOLUTION,
    vary: Collection[str] = (),
) -> Comparison:
    """Compare the candidate's runs with the baseline's, case by case.

    Args:
        baseline: at least one run.
        candidate: likewise.
        floor: the noise of the machine. It is used only if a side has one run, for the cases that neither
        side timed twice; other cases provide their own noise.
        threshold: ignore relative changes up to this size.
        resolution: an interval with a larger half-width is inconclusive.
        vary: fields of the machine class that may differ.

    Raises:
        DifferentMachinesError: the runs are of different classes.
    """
    class_warnings = check_classes([*baseline, *candidate], vary)
    names = list(dict.fromkeys(name for run in (*baseline, *candidate) for name in run.cases))
    runs = [*baseline, *candidate]
    unlike = _unlike_steps(names, runs)
    sides = [_logs(side, names, unlike) for side in (baseline, candidate)]
    before, after = (np.stack([means(run) for run in side], axis=1) for side in sides)
    noise, is_unusable = None, False
    if floor is not None and min(len(baseline), len(candidate)) == 1:
        noise = floor.logs(names, [_fewest_processes(name, runs) for name in names])
        is_unusable = false_alarm_rate(noise, threshold) > MAX_FALSE_ALARM_RATE
        noise = None if is_unusable else noise
    found = effects(before, after, noise, threshold)
    if noise is None and len(runs) == 2:  # nothing is tested, and the intervals are over the processes
        before, after = (side[0] for side in sides)
        within = effects(before, after, threshold=threshold)
        found = replace(found, low=within.low, high=within.high)
    cases = [
        _compared(name, _side(name, baseline), _side(name, candidate), candidate, found, row, resolution)
        for row, name in enumerate(names)
    ]
    changed = _changed_machines(cases, (before, after, noise), (baseline, candidate), threshold)
    cases = [_unless_machine_changed(case, changed) for case in cases]
    cases = [_unless_unlike(case, is_unlike) for case, is_unlike in zip(cases, unlike, strict=True)]
    cases += _broken_in_candidate(names, baseline, candidate)
    return Comparison(
        whole_verdict(cases),
        tuple(cases),
        common_shift(before, after, noise),
        changed,
        tuple(class_warnings),
        tuple(baseline),
        tuple(candidate),
        floor,
        threshold,
        resolution,
        floor_is_unusable=is_unusable,
    )


def whole_verdict(cases: Iterable[CaseComparison]) -> Verdict:
    """Return the overall verdict: the most serious verdict of any judged case."""
    found = {case.verdict for case in cases}
    return next((verdict for verdict in JUDGED if verdict in found), Verdict.INCONCLUSIVE)


def _logs(side: Sequence[Run], names: Sequence[str], unlike: NDArray[np.bool_]) -> list[Array]:
    """Return an array for each run, shape (cases, processes): log seconds, NaN where unknown.

    A median of zero is unknown, and so are the times of the `unlike` cases.
    """
    found = []
    for run in side:
        medians_s = [run.cases[name].process_medians_s if name in run.cases else () for name in names]
        logs = np.full((len(names), max(map(len, medians_s), default=0)), np.nan)
        for row, of_case in zip(logs, medians_s, strict=True):
            row[: len(of_case)] = of_case
        logs[~(logs > 0)] = np.nan
        logs[unlike] = np.nan
        found.append(np.log(logs))
    return found


def _fewest_processes(name: str, runs: Sequence[Run]) -> int:
    """Return the smallest number of processes in a run that timed the case."""
    return min(run.cases[name].timed_processes for run in runs if name in run.cases)


def _unlike_steps(names: Sequence[str], runs: Sequence[Run]) -> NDArray[np.bool_]:
    """Return for each case whether some of its steps waited for an accelerator, and others did not."""
    kinds = [{run.cases[name].waits for run in runs if name in run.cases} for name in names]
    return np.array([len(kind) > 1 for kind in kinds], dtype=bool)


def _side(name: str, runs: Sequence[Run]) -> list[CaseResult]:
    return [run.cases[name] for run in runs if name in run.cases]


def _compared(
    name: str,
    before: Sequence[CaseResult],
    after: Sequence[CaseResult],
    candidate: Sequence[Run],
    found: Effects,
    row: int,
    resolution: float,
) -> CaseComparison:
    key = next((case.key for case in (*before, *after) if case.key), None)
    n_baseline, n_candidate = (sum(case.timed_processes for case in side) for side in (before, after))
    known = CaseComparison(name, Verdict.NEW, n_baseline=n_baseline, n_candidate=n_candidate, key=key)
    if not after:
        return _not_timed(known, [run.untimed[name] for run in candidate if name in run.untimed])
    if not before:
        return known
    low, high = _exp(found.low[row]), _exp(found.high[row])
    half_width = (high - low) / 2 if low is not None and high is not None else math.nan
    return replace(
        known,
        verdict=case_verdict(float(found.q[row]), float(found.log_ratio[row]), half_width, resolution),
        ratio=_exp(found.log_ratio[row]),
        low=low,
        high=high,
        p=_finite(found.p[row]),
        q=_finite(found.q[row]),
        baseline_s=_geometric_mean(before),
        candidate_s=_geometric_mean(after),
        sd=_finite(found.sd[row]),
        passes=before[0].facts.passes,
    )


def _geometric_mean(side: Sequence[CaseResult]) -> float:
    """Return the geometric mean over runs and their processes, as in the ratio; 0 where one is 0."""
    values = [case.process_medians_s[np.isfinite(case.process_medians_s)] for case in side]
    if not all(of_run.all() for of_run in values):
        return 0.0
    return math.exp(float(np.mean([np.log(of_run).mean() for of_run in values])))


def _not_timed(known: CaseComparison, outcomes: Sequence[Outcome]) -> CaseComparison:
    if not outcomes:
        return replace(known, verdict=Verdict.MISSING, reason="not in the candidate's runs")
    is_broken = any(one.outcome in _BROKEN for one in outcomes)
    verdict = Verdict.ERROR if is_broken else Verdict.MISSING
    return replace(known, verdict=verdict, reason=_reason(outcomes[-1]))


def _broken_in_candidate(
    timed: Collection[str], baseline: Sequence[Run], candidate: Sequence[Run]
) -> list[CaseComparison]:
    """Return the cases that neither side timed and that failed in the candidate, without skipped ones."""
    known = set(timed)
    before = {name for run in baseline for name in run.untimed}
    broken = {
        name: f"{_reason(outcome)}{' (as in the baseline)' if name in before else ''}"
        for run in candidate
        for name, outcome in run.untimed.items()
        if outcome.outcome in _BROKEN and name not in known
    }
    return [CaseComparison(name, Verdict.ERROR, reason=reason) for name, reason in broken.items()]


def _reason(outcome: Outcome) -> str:
    return f"{outcome.outcome}: {outcome.reason}"


def _changed_machines(
    cases: Sequence[CaseComparison],
    logs: tuple[Array, Array, Array | None],
    sides: tuple[Sequence[Run], Sequence[Run]],
    threshold: float,
) -> tuple[str, ...]:
    """Return the devices whose canary shows the same shift as their cases do."""
    before, after, noise = logs
    rows = grouped((case.key.device, row) for row, case in enumerate(cases) if case.key is not None)
    baseline, candidate = ([run.state for run in side] for side in sides)
    return tuple(
        device
        for device, of_device in rows.items()
        if explains(
            canary_shift(baseline, candidate, device),
            common_shift(before[of_device], after[of_device], None if noise is None else noise[of_device]),
            threshold,
        )
    )


def _unless_machine_changed(case: CaseComparison, changed: Collection[str]) -> CaseComparison:
    """Return the case, inconclusive where its machine changed; its ratio and q stay as they are."""
    if case.is_judged and case.key is not None and case.key.device in changed:
        return replace(case, verdict=Verdict.INCONCLUSIVE, reason="the machine changed, as its canary shows")
    return case


def _unless_unlike(case: CaseComparison, is_unlike: bool) -> CaseComparison:
    return replace(case, reason=UNLIKE_STEPS) if is_unlike and case.is_judged else case


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _exp(value: float) -> float | None:
    """Return e to the value; None where that is unknown, or larger than a float can be."""
    return math.exp(value) if abs(value) < 700 else None
