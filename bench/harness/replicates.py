"""A grid that was measured in many processes: what a few of them claim, and how often that holds.

A method turns some processes of a run into intervals: of each case's median, of each speedup and of each
break-even. What the other processes measured decides whether an interval holds. breakeven's own intervals
come from `breakeven.report.report.analyze`, the same as a user's; `peers` has the other methods.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shared import Json

from breakeven.case import CaseKey, Line
from breakeven.device_names import choose_baseline
from breakeven.grouping import grouped
from breakeven.phases import HEADLINE
from breakeven.report.report import analyze
from breakeven.runs.reader import Runs
from breakeven.runs.schema import CaseResult, Run
from breakeven.stats.crossing import Crossing, CrossingStatus, last_crossing

Array = NDArray[np.float64]
Level = Callable[[Array], float]

KINDS = ("medians", "speedups", "break_evens")

_ABOVE = (CrossingStatus.NEVER, CrossingStatus.BEYOND_RANGE)


@dataclass(frozen=True)
class Interval:
    """What a method claims: the value is between `low` and `high`, either of which may be infinite."""

    low: float
    high: float
    center: float = math.nan

    def holds(self, value: float) -> bool:
        """Return whether the value is inside."""
        return self.low <= value <= self.high

    @property
    def half_width(self) -> float:
        """Half the width relative to the center; infinite where an end is, or without a center."""
        width = (self.high - self.low) / 2 / self.center
        return width if math.isfinite(width) else math.inf


@dataclass(frozen=True)
class Claims:
    """The intervals of one use of a method; a case, speedup or line that it claims nothing of is missing."""

    medians: Mapping[CaseKey, Interval] = field(default_factory=dict)
    speedups: Mapping[CaseKey, Interval] = field(default_factory=dict)
    break_evens: Mapping[Line, Interval] = field(default_factory=dict)


Method = Callable[[Run], Claims]


def joined(runs: Sequence[Run]) -> Run:
    """Return one run with the processes of all, in their order; a case that one of them lacks is left out."""
    shared = [name for name in runs[0].cases if all(name in run.cases for run in runs)]
    cases = {
        name: _case(runs[0].cases[name], [rounds for run in runs for rounds in run.cases[name].samples])
        for name in shared
        if (key := runs[0].cases[name].key) is not None and key.phase == HEADLINE
    }
    if not cases:
        raise SystemExit(f"processes: {runs[0].path} has no case of the phase {HEADLINE}; measure that phase")
    counts = {len(case.samples) for case in cases.values()}
    if len(counts) > 1:
        raise SystemExit(
            f"processes: {runs[0].path} has cases of {sorted(counts)} processes; expected one number"
        )
    return replace(runs[0], cases=cases)


def of_processes(run: Run, chosen: Sequence[int]) -> Run:
    """Return the run as if only these of its processes had been measured."""
    cases = {
        name: _case(case, [case.samples[process] for process in chosen]) for name, case in run.cases.items()
    }
    return replace(run, cases={name: case for name, case in cases.items() if len(case.times_s)})


def _case(case: CaseResult, samples: Sequence[Array]) -> CaseResult:
    known = [sample for sample in samples if len(sample)]
    return replace(
        case,
        times_s=np.concatenate(samples),
        median_s=median(float(np.median(sample)) for sample in known) if known else math.nan,
        processes=tuple(map(len, samples)) if len(samples) > 1 else (),
    )


def by_breakeven(run: Run) -> Claims:
    """Return the intervals of a report on these processes."""
    report = analyze(Runs((run,), (run.machine,)))
    rows = [row.estimate for row in report.rows]
    return Claims(
        {row.key: Interval(row.low_s, row.high_s, row.median_s)
         for row in rows if row.low_s is not None and row.high_s is not None},
        {row.candidate: Interval(row.low, row.high, row.speedup)
         for row in report.speedups
         if row.low is not None and row.high is not None and row.speedup is not None},
        {line.candidate: claim for line in report.break_evens
         if (claim := claim_of(line.crossing, line.batches)) is not None},
    )  # fmt: skip


def claim_of(crossing: Crossing, batches: Sequence[int]) -> Interval | None:
    """Return the batch sizes that a break-even allows; None if it is undecided.

    Always is a break-even below the smallest measured batch size, never one above the largest.
    """
    if crossing.status == CrossingStatus.CROSSES and crossing.batch_size is not None:
        low = -math.inf if crossing.low is None else crossing.low
        high = math.inf if crossing.high is None else crossing.high
        return Interval(low, high, crossing.batch_size)
    if crossing.status == CrossingStatus.ALWAYS:
        return Interval(-math.inf, float(batches[0]))
    return Interval(float(batches[-1]), math.inf) if crossing.status in _ABOVE else None


def baseline_of(keys: Sequence[CaseKey]) -> str:
    """Return the device that the others are compared with.

    Raises:
        SystemExit: only one device was measured.
    """
    devices = list(dict.fromkeys(key.device for key in keys))
    baseline = choose_baseline(devices)
    if baseline is None or len(devices) < 2:
        raise SystemExit(f"processes: measured on {', '.join(devices)}; speedups need two devices")
    return baseline


@dataclass(frozen=True, eq=False)
class Levels:
    """One value of each case in each process, shape (cases, processes): its median, or its mean.

    NaN where a process has no rounds of the case.
    """

    keys: tuple[CaseKey, ...]
    values: Array

    @classmethod
    def of(cls, run: Run, level: Level) -> Levels:
        """Return the level of each case in each process of a run."""
        cases = [case for case in run.cases.values() if case.key is not None]
        values = [[level(sample) if len(sample) else math.nan for sample in case.samples] for case in cases]
        return cls(tuple(case.key for case in cases if case.key is not None), np.array(values))

    @cached_property
    def baseline(self) -> str:
        """The device that the others are compared with."""
        return baseline_of(self.keys)

    @cached_property
    def pairs(self) -> Mapping[CaseKey, tuple[int, int]]:
        """The rows of the baseline and of the candidate, by candidate."""
        places = {key: at for at, key in enumerate(self.keys)}
        return {
            key: (base, at)
            for key, at in places.items()
            if key.device != self.baseline
            and (base := places.get(replace(key, device=self.baseline))) is not None
        }

    @cached_property
    def lines(self) -> Mapping[Line, list[CaseKey]]:
        """The candidates of each line, by ascending batch size; a line of one batch size is left out."""
        lines = grouped((key.line, key) for key in self.pairs)
        return {
            line: sorted(keys, key=lambda key: key.batch_size)
            for line, keys in lines.items()
            if len(keys) > 1
        }

    def truth(self, processes: Sequence[int]) -> dict[str, dict[CaseKey, float] | dict[Line, float]]:
        """Return what these processes measured: the median of the cases and speedups, and the crossings."""
        values = self.values[:, list(processes)]
        centers = dict(zip(self.keys, np.nanmedian(values, axis=1).tolist(), strict=True))
        ratios = {
            key: float(np.nanmedian(values[base] / values[at])) for key, (base, at) in self.pairs.items()
        }
        return {"medians": centers, "speedups": ratios, "break_evens": self._crossings(centers)}

    def _crossings(self, centers: Mapping[CaseKey, float]) -> dict[Line, float]:
        return {
            line: float(
                last_crossing(
                    np.array([key.batch_size for key in keys], dtype=float),
                    np.array([[centers[replace(key, device=self.baseline)] - centers[key] for key in keys]]),
                )[0][0]
            )
            for line, keys in self.lines.items()
        }


def judged(claims: Sequence[Claims], truths: Sequence[Mapping[str, Mapping[Any, float]]]) -> Json:
    """Return how often the intervals hold, and how wide they are, for medians, speedups and break-evens."""
    return {
        kind: _judged([getattr(one, kind) for one in claims], [truth[kind] for truth in truths])
        for kind in KINDS
    }


def _judged(claims: Sequence[Mapping[Any, Interval]], truths: Sequence[Mapping[Any, float]]) -> Json:
    """Return coverage with its 95% interval over the cases, the median half-width, and what was claimed.

    The intervals of one case rest on the same processes over and over; the cases are the replicates. What
    nothing was claimed of counts neither way: `claimed` is the share of which something was.
    """
    held: dict[object, list[bool]] = {}
    widths: list[float] = []
    asked = sum(map(len, truths))
    for claim, truth in zip(claims, truths, strict=True):
        for name, value in truth.items():
            interval = claim.get(name)
            if interval is not None and not math.isnan(value):
                held.setdefault(name, []).append(interval.holds(value))
                widths.append(interval.half_width)
    if not held:
        return {"n": 0, "claimed": 0.0, "coverage": None, "low": None, "high": None, "half_width": None}
    low, high = _over_cases(list(held.values()))
    width = median(widths)
    return {
        "n": len(widths),
        "claimed": len(widths) / asked,
        "coverage": sum(map(sum, held.values())) / len(widths),
        "low": low,
        "high": high,
        "half_width": width if math.isfinite(width) else None,
    }


def _over_cases(held: Sequence[Sequence[bool]]) -> tuple[float, float]:
    """Return the 95% bootstrap interval of the share that holds, over the cases."""
    sums, counts = np.array([[sum(each), len(each)] for each in held], dtype=float).T
    chosen = np.random.default_rng(0).integers(len(held), size=(2000, len(held)))
    low, high = np.quantile(sums[chosen].sum(axis=1) / counts[chosen].sum(axis=1), (0.025, 0.975))
    return float(low), float(high)


def stability(levels: Levels) -> Json:
    """Return how much processes differ by device: the log-sd of a case's medians, over the cases."""
    logs = np.log(levels.values)
    sds = {key: float(np.nanstd(row, ddof=1)) for key, row in zip(levels.keys, logs, strict=True)}
    by_device = grouped((key.device, sd) for key, sd in sds.items())
    found = {device: _extremes(each) for device, each in by_device.items()}
    ratios = grouped(
        (key.device, float(np.nanstd(logs[base] - logs[at], ddof=1)))
        for key, (base, at) in levels.pairs.items()
    )
    return found | {f"speedup of {device}": _extremes(each) for device, each in ratios.items()}


def _extremes(values: Sequence[float]) -> Json:
    return {"log_sd": median(values), "min": min(values), "max": max(values), "cases": len(values)}
