"""One estimate per case: its median, the interval, and the draws on which all later results are based.

One run is bootstrapped over its rounds, six and more runs over runs, and two to five runs use Student's
distribution of their medians. Every comparison and every break-even uses the same draws, so that their
intervals never contradict each other.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from breakeven.case import CaseKey
from breakeven.flags import Flag
from breakeven.runs.schema import CaseFacts, CaseResult, Run
from breakeven.stats.intervals import (
    MIN_BOOTSTRAP_RUNS,
    MIN_ROUNDS,
    MedianInterval,
    RunDraws,
    autocorrelation_time,
    interval_of_draws,
    median_interval,
    resampled_medians,
    resampled_over_runs,
    student_over_runs,
)

SEED = 20260101
"""The seed of all draws of a report: the same files yield the same numbers, in any order of their cases."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """The estimate of one case on one machine class, in seconds.

    `median_s` is the median of the processes' medians, `n` counts all rounds, `draws` has one value per
    resample. `facts` are the medians over the runs.

    `process_medians_s` has a value for each process of the machine class, NaN where the case was not timed.
    Their logarithms have the standard deviation `log_sd` with `df` degrees of freedom, None for one process.
    `rounds_half_width` is that of the interval that the rounds alone allow, relative to the median.
    """

    key: CaseKey
    n: int
    runs: int
    median_s: float
    low_s: float | None
    high_s: float | None
    draws: NDArray[np.float64]
    flags: tuple[str, ...] = ()
    facts: CaseFacts = field(default_factory=CaseFacts)
    processes: int = 1
    process_medians_s: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    log_sd: float | None = None
    df: float | None = None
    rounds_half_width: float = 0.0

    @property
    def judged(self) -> bool:
        """Whether the case can be compared: it has enough rounds and a nonzero median."""
        return self.median_s > 0 and self.low_s is not None


def estimates(
    runs: Sequence[Run], floor_sd: Mapping[CaseKey, float] = MappingProxyType({})
) -> list[Estimate]:
    """Return one estimate for each case of each machine class, in the order of the cases.

    Args:
        runs: as read.
        floor_sd: the standard deviation of a case's log median from process to process, where it is
            known; it widens the interval of a case that only one process timed.
    """
    timings: dict[CaseKey, dict[int, CaseResult]] = {}
    places: dict[str, dict[tuple[int, int], int]] = {}
    for number, run in enumerate(runs):
        for case in run.cases.values():
            if case.key is not None:
                timings.setdefault(case.key, {})[number] = case
                known = places.setdefault(case.key.machine, {})
                for process in range(len(case.samples)):
                    known.setdefault((number, process), len(known))
    samples = {key: _of_one_kind(found) for key, found in timings.items()}
    # Shared by all cases of a machine class, so that the same processes are drawn for both devices of a
    # comparison; the processes of different machines are drawn independently.
    draws = {
        machine: RunDraws.draw(np.random.default_rng([SEED, _number(machine)]), len(known))
        for machine, known in places.items()
    }
    return [
        _estimate(key, found, places[key.machine], draws[key.machine], floor_sd.get(key, 0.0))
        for key, found in samples.items()
    ]


def _of_one_kind(found: Mapping[int, CaseResult]) -> Mapping[int, CaseResult]:
    """Return the timings of a case; where only some waited for their accelerator, those that did not."""
    return {number: case for number, case in found.items() if not case.waits} or found


def _number(key: object) -> int:
    return zlib.crc32(repr(key).encode("utf-8", "backslashreplace"))


def _estimate(
    key: CaseKey,
    found: Mapping[int, CaseResult],
    places: Mapping[tuple[int, int], int],
    run_draws: RunDraws,
    floor_sd: float,
) -> Estimate:
    parts = (key.machine, key.workload, key.axes.text, key.batch_size, key.phase, key.device)
    rng = np.random.default_rng([SEED, _number(parts)])
    timed = {
        (number, process): sample
        for number, case in found.items()
        for process, sample in enumerate(case.samples)
        if len(sample)
    }
    samples = list(timed.values())
    medians = [float(np.median(sample)) for sample in samples]
    known = dict(zip(timed, medians, strict=True))
    log_sd = float(np.log(medians).std(ddof=1)) if len(medians) > 1 and min(medians) > 0 else None
    if len(samples) == 1:
        interval, draws = median_interval(samples[0]), resampled_medians(samples[0], rng)
        if floor_sd:
            draws = draws * np.exp(floor_sd * rng.standard_normal(len(draws)))
            low_s, high_s = interval_of_draws(draws)
            if interval.low is not None and interval.high is not None and low_s and high_s:
                low_s, high_s = min(low_s, interval.low), max(high_s, interval.high)
                interval = replace(interval, low=low_s, high=high_s)
    else:
        if len(samples) < MIN_BOOTSTRAP_RUNS and min(medians) > 0:
            draws = student_over_runs(medians, [places[replicate] for replicate in timed], run_draws)
        else:
            draws = resampled_over_runs(samples, run_draws.choices, rng)
        interval = _over_runs(samples, draws)
    return Estimate(
        key=key,
        n=interval.n,
        runs=len(found),
        median_s=interval.median,
        low_s=interval.low,
        high_s=interval.high,
        draws=draws,
        flags=_flags((flag for case in found.values() for flag in case.flags), interval),
        facts=CaseFacts.over_runs(case.facts for case in found.values()),
        processes=len(samples),
        log_sd=log_sd,
        df=None if log_sd is None else len(samples) - 1.0,
        process_medians_s=np.array([known.get(replicate, np.nan) for replicate in places]),
        rounds_half_width=_rounds_half_width(samples, rng),
    )


def _rounds_half_width(samples: Sequence[NDArray[np.float64]], rng: np.random.Generator) -> float:
    spreads = [
        resampled_medians(sample, rng, 200).std() / np.median(sample) for sample in samples if sample.all()
    ]
    return float(np.sqrt(np.mean(np.square(spreads)) / len(samples)) * 1.96) if spreads else 0.0


def _flags(recorded: Iterable[str], interval: MedianInterval) -> tuple[str, ...]:
    few = [Flag.FEW_ROUNDS] if interval.low is None else []
    zero = [Flag.ZERO_TIME] if interval.median == 0 else []
    return tuple(dict.fromkeys((*recorded, *few, *zero)))


def _over_runs(samples: list[NDArray[np.float64]], draws: NDArray[np.float64]) -> MedianInterval:
    center = float(np.median([np.median(sample) for sample in samples]))
    n, tau = sum(map(len, samples)), max(map(autocorrelation_time, samples))
    if len(samples) < MIN_ROUNDS and min(map(len, samples)) < MIN_ROUNDS:
        return MedianInterval(None, center, None, n, tau)
    low, high = interval_of_draws(draws)
    return MedianInterval(
        None if low is None else min(low, center), center, None if high is None else max(high, center), n, tau
    )
