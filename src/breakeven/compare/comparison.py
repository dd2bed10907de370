"""Two sides of runs -> one verdict: `breakeven compare`'s record, which every face shows.

Owns which cases can be judged, what is said of those that cannot, and the verdict on the whole. The
statistics are `breakeven.stats.regression`'s. Warnings are values of the record; nothing is printed here.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from breakeven.compare.common_shift import Shift, canary_shift, common_shift, explains
from breakeven.compare.machine_class import check_classes
from breakeven.compare.noise_floor import Floor
from breakeven.runs.readings import Run
from breakeven.runs.schema import Sample
from breakeven.stats.regression import (
    MAX_FALSE_ALARM_RATE,
    RESOLUTION,
    THRESHOLD,
    Effects,
    case_verdict,
    effects,
    false_alarm_rate,
)

Array = NDArray[np.float64]

VERDICTS = ("regressed", "improved", "unchanged", "inconclusive", "missing", "new", "error")
"""Every word that a case can get."""

JUDGED = VERDICTS[:4]
"""Those of cases that were timed on both sides. The whole gets the first of `_GRAVEST` that a case has."""

_GRAVEST = ("regressed", "inconclusive", "improved", "unchanged")
_BROKEN = ("failed", "crashed", "oom")


@dataclass(frozen=True)
class Change:
    """What became of one case. What is not known is None.

    `ratio` is candidate over baseline, of the runs' medians' geometric means, with its 95% interval; `p` and
    `q` are None where nothing was tested; `n_baseline` and `n_candidate` count runs; `sd` is the run-to-run
    standard deviation of the log time that it was judged with; `reason` says why a case gave no timing.
    """

    case: str
    verdict: str
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    q: float | None = None
    n_baseline: int = 0
    n_candidate: int = 0
    baseline_s: float | None = None
    candidate_s: float | None = None
    sd: float | None = None
    sample: Sample | None = None
    reason: str = ""
    p: float | None = None

    @property
    def is_judged(self) -> bool:
        """Whether both sides timed it."""
        return self.verdict in JUDGED


@dataclass(frozen=True)
class Comparison:
    """Baseline against candidate. `changed_machines` names devices whose canary moved as the cases did.

    `notes` are what else its maker has to say of it. An uneven floor judged nothing.
    """

    verdict: str
    changes: tuple[Change, ...]
    common_shift: Shift | None
    changed_machines: tuple[str, ...]
    identity_warnings: tuple[str, ...]
    baseline: tuple[Run, ...]
    candidate: tuple[Run, ...]
    floor: Floor | None
    threshold: float
    resolution: float
    notes: tuple[str, ...] = ()
    floor_is_uneven: bool = False

    @property
    def counts(self) -> dict[str, int]:
        """How many cases got each verdict."""
        verdicts = [change.verdict for change in self.changes]
        return {verdict: verdicts.count(verdict) for verdict in VERDICTS}

    @property
    def only_new(self) -> bool:
        """Whether the baseline had no case at all, so that nothing of it can have changed."""
        return bool(self.changes) and all(change.verdict == "new" for change in self.changes)


def compare(
    baseline: Sequence[Run],
    candidate: Sequence[Run],
    *,
    floor: Floor | None = None,
    threshold: float = THRESHOLD,
    resolution: float = RESOLUTION,
    vary: Collection[str] = (),
) -> Comparison:
    """Hold the candidate's runs against the baseline's, case by case.

    Args:
        baseline: at least one run.
        candidate: likewise.
        floor: the noise of the machine. Asked only where a side has one run, and only of the cases of which
            neither side has two: any other tells its noise itself.
        threshold: a relative change up to this is nobody's concern.
        resolution: an interval with a larger half-width tells nothing.
        vary: fields of the machine class that may differ.

    Raises:
        DifferentMachinesError: the runs are of different classes.
    """
    said = check_classes([*baseline, *candidate], vary)
    cases = list(dict.fromkeys(case for run in (*baseline, *candidate) for case in run.readings))
    before, after = _logs(baseline, cases), _logs(candidate, cases)
    noise, is_uneven = None, False
    if floor is not None and min(len(baseline), len(candidate)) == 1:
        noise = floor.logs(cases)
        is_uneven = false_alarm_rate(noise, threshold) > MAX_FALSE_ALARM_RATE
        noise = None if is_uneven else noise
    found = effects(before, after, noise, threshold)
    changes = [_change(case, at, found, baseline, candidate, resolution) for at, case in enumerate(cases)]
    shift = common_shift(before, after, noise)
    moved = _changed_machines(changes, (before, after, noise), (baseline, candidate), threshold)
    changes = [_excused(change, moved) for change in changes] + _untimed(cases, baseline, candidate)
    return Comparison(
        whole_verdict(changes),
        tuple(changes),
        shift,
        moved,
        tuple(said),
        tuple(baseline),
        tuple(candidate),
        floor,
        threshold,
        resolution,
        floor_is_uneven=is_uneven,
    )


def _logs(side: Sequence[Run], cases: Sequence[str]) -> Array:
    """Return log seconds, shape (cases, runs); NaN where a run lacks the case, or timed it as zero."""
    logs = np.full((len(cases), len(side)), np.nan)
    for column, run in enumerate(side):
        for row, case in enumerate(cases):
            reading = run.readings.get(case)
            if reading is not None and reading.median_s > 0:
                logs[row, column] = math.log(reading.median_s)
    return logs


def _change(
    case: str,
    at: int,
    found: Effects,
    baseline: Sequence[Run],
    candidate: Sequence[Run],
    resolution: float,
) -> Change:
    sides = [[run.readings[case] for run in side if case in run.readings] for side in (baseline, candidate)]
    n_baseline, n_candidate = map(len, sides)
    sample = next((reading.sample for side in sides for reading in side if reading.sample), None)
    known = Change(case, "new", n_baseline=n_baseline, n_candidate=n_candidate, sample=sample)
    if not n_candidate:
        return _gone(known, candidate)
    if not n_baseline:
        return known
    low, high = _exp(found.low[at]), _exp(found.high[at])
    half_width = (high - low) / 2 if low is not None and high is not None else math.nan
    levels = [_level(reading.median_s for reading in side) for side in sides]
    return replace(
        known,
        verdict=case_verdict(float(found.q[at]), float(found.log_ratio[at]), half_width, resolution),
        ratio=_exp(found.log_ratio[at]),
        low=low,
        high=high,
        p=_known(found.p[at]),
        q=_known(found.q[at]),
        baseline_s=levels[0],
        candidate_s=levels[1],
        sd=_known(found.sd[at]),
    )


def _level(medians_s: Iterable[float]) -> float:
    """Return the geometric mean, of which the ratio is made; 0 where a run timed nothing."""
    values = list(medians_s)
    return math.exp(sum(map(math.log, values)) / len(values)) if min(values) > 0 else 0.0


def _gone(known: Change, candidate: Sequence[Run]) -> Change:
    """Return what became of a case that the candidate did not time."""
    ends = [run.ended[known.case] for run in candidate if known.case in run.ended]
    if not ends:
        return replace(known, verdict="missing", reason="not in the candidate's runs")
    last = ends[-1]
    verdict = "error" if any(end.outcome in _BROKEN for end in ends) else "missing"
    return replace(known, verdict=verdict, reason=f"{last.outcome}: {last.reason}")


def _untimed(timed: Sequence[str], baseline: Sequence[Run], candidate: Sequence[Run]) -> list[Change]:
    """Return the cases that neither side timed and that broke in the candidate; skipped ones are no news."""
    known = set(timed)
    broken: dict[str, Change] = {}
    for run in candidate:
        for case, end in run.ended.items():
            if case not in known and end.outcome in _BROKEN:
                broken[case] = Change(case, "error", reason=f"{end.outcome}: {end.reason}")
    before = {case for run in baseline for case in run.ended}
    return [
        replace(change, reason=f"{change.reason} (as in the baseline)") if case in before else change
        for case, change in broken.items()
    ]


def _changed_machines(
    changes: Sequence[Change],
    logs: tuple[Array, Array, Array | None],
    sides: tuple[Sequence[Run], Sequence[Run]],
    threshold: float,
) -> tuple[str, ...]:
    """Return the devices whose canary shows the same shift as their cases do."""
    before, after, noise = logs
    devices = [change.sample.device if change.sample is not None else None for change in changes]
    baseline, candidate = ([run.state for run in side] for side in sides)
    changed = []
    for device in dict.fromkeys(device for device in devices if device is not None):
        rows = [at for at, other in enumerate(devices) if other == device]
        shift = common_shift(before[rows], after[rows], None if noise is None else noise[rows])
        if explains(canary_shift(baseline, candidate, device), shift, threshold):
            changed.append(device)
    return tuple(changed)


def _excused(change: Change, moved: Collection[str]) -> Change:
    """Leave undecided what the machine did or hid; ratio and q stay as they are."""
    if change.is_judged and change.sample is not None and change.sample.device in moved:
        return replace(change, verdict="inconclusive", reason="the machine changed, as its canary shows")
    return change


def whole_verdict(changes: Sequence[Change]) -> str:
    """Return the verdict on the whole: the gravest that a judged case has."""
    found = {change.verdict for change in changes}
    return next((verdict for verdict in _GRAVEST if verdict in found), "inconclusive")


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _exp(value: float) -> float | None:
    """Return e to the value; None where that is unknown, or beyond what a float holds."""
    return math.exp(value) if abs(value) < 700 else None
