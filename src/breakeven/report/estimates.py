"""One estimate per case: its median, the interval, and the draws on which all later results are based.

The replicate is the process: Student's t distribution of the process medians, with a variance that the other
cases of the same device and bottleneck improve; from 20 processes on a bootstrap over them. One process is
bootstrapped over its rounds. Where three or more machines of a class were measured, the replicate is the
machine. Every comparison and every break-even uses the same draws, so that their intervals never contradict
each other.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from breakeven.case import CaseKey
from breakeven.device_names import is_cpu, processes_of
from breakeven.flags import Flag
from breakeven.grouping import grouped
from breakeven.phases import HEADLINE, is_loaded
from breakeven.report.bound import Bound, Spread, Step, bounds_along
from breakeven.runs.schema import CaseFacts, CaseResult, Run
from breakeven.stats.intervals import (
    MAX_LOG_WIDTH,
    MIN_ROUNDS,
    RESAMPLES,
    median_interval,
    median_of_sorted,
    pooled_half_width,
    resampled_medians,
)
from breakeven.stats.processes import ProcessIntervals, ProcessPool, process_intervals
from breakeven.stats.regression import MAX_DF
from breakeven.stats.shared_numbers import SharedNumbers
from breakeven.stats.significance import student_quantile

Array = NDArray[np.float64]

SEED = 20260101
"""The seed of all draws of a report: the same files yield the same numbers, in any order of their cases."""

_PoolKey = tuple[str, str]

NO_PROCESSES = ProcessPool((), SharedNumbers.draw(np.random.default_rng(0), 0, 0), np.empty(0))


@dataclass(frozen=True, eq=False)
class Estimate:
    """The estimate of one case on one machine class, in seconds.

    `median_s` is the median of the medians of its `processes`, `n` counts all rounds, `runs` the run files;
    `draws` has one value per resample. `facts` are the medians over the runs.

    `process_medians_s` has a value for each process of `pool`, NaN where the case was not timed. `log_sd` is
    the standard deviation of the process medians' logarithm, improved by similar cases, with `df` degrees of
    freedom; None where it is unknown, as with one process. `rounds_half_width` is that of the interval that
    the rounds alone allow, relative to the median. `bound` is what bounds the cell's training step, None on a
    CPU.
    """

    key: CaseKey
    n: int
    runs: int
    median_s: float
    low_s: float | None
    high_s: float | None
    draws: Array
    flags: tuple[str, ...] = ()
    facts: CaseFacts = field(default_factory=CaseFacts)
    processes: int = 1
    process_medians_s: Array = field(default_factory=lambda: np.empty(0))
    pool: ProcessPool = NO_PROCESSES
    log_sd: float | None = None
    df: float | None = None
    rounds_half_width: float = 0.0
    bound: Bound | None = None

    @cached_property
    def log_medians(self) -> Array:
        """The logarithms of the process medians, NaN where a process has none above zero."""
        medians_s = self.process_medians_s
        return np.log(medians_s, out=np.full(medians_s.shape, np.nan), where=medians_s > 0)

    @property
    def without_draws(self) -> Estimate:
        """The estimate after the analysis: draws and random numbers are most of the memory of a report."""
        return replace(self, draws=np.empty(0), pool=self.pool.without_numbers)

    @property
    def judged(self) -> bool:
        """Whether the case can be compared: it has enough rounds and a nonzero median."""
        return self.median_s > 0 and self.low_s is not None


def estimates(runs: Sequence[Run], floor_sd: Mapping[CaseKey, float] | None = None) -> list[Estimate]:
    """Return one estimate for each case of each machine class, in the order of the cases.

    Args:
        runs: as `breakeven.runs.reader.read` returns them.
        floor_sd: the standard deviation between processes of a case's log time, as a calibration measured
            it; it widens the intervals that rest on the rounds of one process.
    """
    timings = timings_of(runs)
    starts, pools = _pools(timings, _instances(runs))
    bounds = _bounds(timings)
    cases = [
        _case(key, found, starts[key.machine], pools[_pool_of(key)], bounds.get(_place(key)))
        for key, found in timings.items()
    ]
    groups = grouped(
        ((c.key.machine, c.key.device, c.bound, is_loaded(c.key.phase)), index)
        for index, c in enumerate(cases)
    )
    for members in groups.values():
        for index, over in _over_processes(members, cases):
            cases[index] = over
    return [
        case if case.draws.size else _alone(case, found, floor_sd or {})
        for case, found in zip(cases, timings.values(), strict=True)
    ]


def timings_of(runs: Sequence[Run]) -> dict[CaseKey, dict[int, CaseResult]]:
    """Return the timings behind each estimate, by case and by the index of their run."""
    timings: dict[CaseKey, dict[int, CaseResult]] = {}
    for number, run in enumerate(runs):
        for case in run.cases.values():
            if case.key is not None:
                timings.setdefault(case.key, {})[number] = case
    return {key: _of_one_kind(found) for key, found in timings.items()}


def seed_of(key: CaseKey) -> int:
    """Return the seed of the draws that belong to this case alone."""
    return _number((key.machine, key.workload, key.axes.text, key.batch_size, key.phase, key.device))


def _of_one_kind(found: dict[int, CaseResult]) -> dict[int, CaseResult]:
    """Return the timings of a case; where only some waited for their accelerator, those that did not."""
    return {number: case for number, case in found.items() if not case.waits} or found


def _number(key: object) -> int:
    return zlib.crc32(repr(key).encode("utf-8", "backslashreplace"))


def _pools(
    timings: Mapping[CaseKey, Mapping[int, CaseResult]], instance_ids: Sequence[str]
) -> tuple[dict[str, dict[int, int]], dict[_PoolKey, ProcessPool]]:
    """Return the first process of each run in the pools of its machine class, and the pools.

    All cases of one pool share its random numbers: what disturbed a process then disturbs both devices of a
    comparison. Drawn independently are different machines, and each device of several processes: these are
    other processes of the operating system, of which nothing cancels in a ratio with those of the same index.
    """
    counts: dict[str, dict[int, int]] = {}
    for key, found in timings.items():
        known = counts.setdefault(key.machine, {})
        for number, case in found.items():
            known[number] = max(known.get(number, 0), len(case.samples))
    starts, pools = {}, {}
    for machine, known in counts.items():
        numbers = sorted(known)
        ends = np.cumsum([known[number] for number in numbers]).tolist()
        starts[machine] = dict(zip(numbers, [0, *ends], strict=False))
        runs = [number for number in numbers for _ in range(known[number])]
        order = list(dict.fromkeys(instance_ids[number] for number in numbers))
        instances = [order.index(instance_ids[number]) for number in runs]
        for place in {_pool_of(key) for key in timings if key.machine == machine}:
            generator = np.random.default_rng([SEED, _number("".join(place))])
            pools[place] = ProcessPool.draw(generator, runs, instances)
    return starts, pools


def _instances(runs: Sequence[Run]) -> list[str]:
    """Return the machine of each run: the same for all of a class where that of one is unknown."""
    unknown = {run.machine.class_id for run in runs if not run.instance_id}
    return ["" if run.machine.class_id in unknown else run.instance_id for run in runs]


def _pool_of(key: CaseKey) -> _PoolKey:
    """Return the machine, and the device where it has processes of its own."""
    return key.machine, "" if processes_of(key.device) is None else key.device


def _case(
    key: CaseKey,
    found: Mapping[int, CaseResult],
    starts: Mapping[int, int],
    pool: ProcessPool,
    bound: Bound | None,
) -> Estimate:
    """Return the estimate of a case without its interval and its draws."""
    medians = np.full(len(pool.runs), np.nan)
    for number, case in found.items():
        start = starts[number]
        medians[start : start + len(case.samples)] = case.process_medians_s
    known = np.sort(medians[np.isfinite(medians)])
    n = sum(len(case.times_s) for case in found.values())
    median_s = median_of_sorted(known)
    few = [Flag.FEW_ROUNDS] if n < MIN_ROUNDS else []
    zero = [Flag.ZERO_TIME] if median_s == 0 else []
    recorded = (flag for case in found.values() for flag in case.flags)
    return Estimate(
        key=key,
        n=n,
        runs=len(found),
        median_s=median_s,
        low_s=None,
        high_s=None,
        draws=np.empty(0),
        flags=tuple(dict.fromkeys((*recorded, *few, *zero))),
        facts=CaseFacts.over_runs(case.facts for case in found.values()),
        processes=len(known),
        process_medians_s=medians,
        pool=pool,
        bound=bound,
        rounds_half_width=_pooled(found.values()) if len(known) > 1 and known[0] > 0 else 0.0,
    )


def _pooled(found: Collection[CaseResult]) -> float:
    """Return the half-width that the rounds of all processes allow, 0 for too few."""
    times_s = np.concatenate([case.times_s for case in found])
    rounds = [len(sample) for case in found for sample in case.samples]
    in_order = np.concatenate([case.process_medians_s for case in found])
    return pooled_half_width(times_s, np.array(rounds), in_order) or 0.0


def _place(key: CaseKey) -> tuple[object, ...]:
    return key.cell, key.device, key.machine


def _bounds(
    timings: Mapping[CaseKey, Mapping[int, CaseResult]],
) -> dict[tuple[object, ...], Bound]:
    """Return what bounds the training step of each cell on each accelerator; mixed kinds are undecided."""
    lines = grouped(
        (key.line, (key, step))
        for key, cases in timings.items()
        if key.phase == HEADLINE and not is_cpu(key.device)
        if (step := _step(cases.values())) is not None
    )
    found: dict[tuple[object, ...], Bound] = {}
    for line in lines.values():
        keys, steps = zip(*sorted(line, key=lambda item: item[0].batch_size), strict=True)
        for key, (kind, _) in zip(keys, bounds_along(steps), strict=True):
            found[_place(key)] = kind if kind in (Bound.LAUNCH, Bound.COMPUTE) else Bound.UNDECIDED
    return found


def _step(cases: Collection[CaseResult]) -> Step | None:
    """Return a training step without its interval, which is not known yet."""
    median_s = float(np.median([case.median_s for case in cases]))
    return Step.of(CaseFacts.over_runs(case.facts for case in cases), Spread(*[median_s] * 3))


def _over_processes(members: Sequence[int], cases: Sequence[Estimate]) -> Iterator[tuple[int, Estimate]]:
    """Yield the cases of a group that their processes give at least draws, with their places."""
    logs = np.stack([cases[i].log_medians for i in members])
    # A process that took no time has no logarithm, and its case has neither.
    usable = np.isfinite(logs).sum(axis=1) == [cases[i].processes for i in members]
    members = [i for i, is_usable in zip(members, usable, strict=True) if is_usable]
    if not members or logs.shape[1] < 2 or max(cases[i].processes for i in members) < 2:
        return
    least = np.log1p([cases[i].rounds_half_width for i in members])
    seeds = [seed_of(cases[i].key) for i in members]
    found = process_intervals(logs[usable], cases[members[0]].pool, least, seeds)
    draws_s = np.exp(found.draws, out=found.draws)  # in place: those of thousands of cases take 100 MB
    for row, i in enumerate(members):
        if found.n[row] > 1 or found.df[row]:
            yield i, _over(cases[i], found, row, draws_s[row])


def _over(case: Estimate, found: ProcessIntervals, row: int, draws_s: Array) -> Estimate:
    known = bool(found.df[row]) and case.n >= MIN_ROUNDS
    return replace(
        case,
        low_s=min(math.exp(found.low[row]), case.median_s) if known else None,
        high_s=max(math.exp(found.high[row]), case.median_s) if known else None,
        draws=draws_s,
        log_sd=float(found.sd[row]) if found.df[row] else None,
        df=float(found.df[row]) if found.df[row] else None,
    )


def _over_rounds(case: Estimate, times_s: Array, floor_sd: float) -> Estimate:
    """Return a case with the interval and the draws that the rounds of its only process give."""
    interval = median_interval(times_s)
    rng = np.random.default_rng([SEED, seed_of(case.key)])
    draws = resampled_medians(times_s, rng)
    if floor_sd:
        draws = draws * np.exp(floor_sd * rng.standard_normal(len(draws)))
    low_s, high_s = (_beyond(end_s, case.median_s, floor_sd) for end_s in (interval.low, interval.high))
    known = not low_s or not high_s or math.log(high_s / low_s) <= MAX_LOG_WIDTH
    return replace(
        case,
        low_s=low_s if known else None,
        high_s=high_s if known else None,
        draws=draws,
        rounds_half_width=interval.half_width or 0.0,
    )


def _alone(case: Estimate, timings: Mapping[int, CaseResult], floor_sd: Mapping[CaseKey, float]) -> Estimate:
    """Return a case that its processes give no draws: it has only one, or one of them took no time."""
    if case.processes > 1:
        return replace(case, draws=np.full(RESAMPLES, case.median_s))
    (times_s,) = (sample for one in timings.values() for sample in one.samples if len(sample))
    return _over_rounds(case, times_s, floor_sd.get(case.key, 0.0))


def _beyond(end_s: float | None, median_s: float, floor_sd: float) -> float | None:
    """Return the end of an interval, moved away from the median by the noise between processes."""
    if not end_s or not floor_sd or median_s <= 0:
        return end_s
    away = math.hypot(math.log(end_s / median_s), student_quantile(MAX_DF) * floor_sd)
    return median_s * math.exp(away if end_s > median_s else -away)
