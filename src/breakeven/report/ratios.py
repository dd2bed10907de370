"""Ratios of two cases, process by process: what disturbs a process disturbs both and cancels.

A device of several processes was measured in processes of its own, so nothing cancels between it and another
device. Their ratio is that of the processes of the same index, but its interval is that of two independent
cases: it holds the noise of both, however alike the two happened to be disturbed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from breakeven.grouping import grouped
from breakeven.phases import WHOLE_STEPS, is_loaded
from breakeven.report.estimates import Estimate, seed_of
from breakeven.stats.intervals import RatioInterval, ratio_of_draws
from breakeven.stats.processes import ProcessIntervals, process_intervals

Array = NDArray[np.float64]

_MAX_LOG = 300.0  # ratios of the times in damaged files can exceed what a float holds

MIN_PAIRS = 2
"""With fewer processes that timed both cases, their draws are compared instead."""


@dataclass(frozen=True)
class Ratio(RatioInterval):
    """A ratio of two cases with its 95% interval, and its draws, one per resample; None where unknown.

    `processes` counts those that timed both cases, 1 on different machines. `log_sd` is the standard
    deviation of the ratio's logarithm between them, improved by similar pairs, with `df` degrees of freedom;
    None where it is unknown.
    """

    draws: Array | None = field(default=None, compare=False, repr=False)
    processes: int = 1
    log_sd: float | None = None
    df: float | None = None


Pair = tuple[Estimate, Estimate]


def ratios(pairs: Sequence[Pair]) -> list[Ratio]:
    """Return numerator / denominator of each pair, with variances improved by the similar ones among them.

    Pairs are similar if they have the same devices, kinds of phase and bottlenecks.
    """
    logs = [log_ratios(pair) for pair in pairs]
    groups = grouped(
        (_group(pair), index)
        for index, pair in enumerate(pairs)
        if pair[0].pool is pair[1].pool and all(case.judged for case in pair)
        if np.isfinite(logs[index]).sum() >= MIN_PAIRS
    )
    found: dict[int, Ratio] = {}
    for members in groups.values():
        least = [math.hypot(*(math.log1p(case.rounds_half_width) for case in pairs[i])) for i in members]
        pool = pairs[members[0]][0].pool
        together = process_intervals(
            np.stack([logs[i] for i in members]),
            pool,
            np.array(least),
            [seed_of(pairs[i][0].key) ^ seed_of(pairs[i][1].key) for i in members],
        )
        draws = np.exp(together.draws, out=together.draws)
        found.update((i, _paired(together, row, draws[row])) for row, i in enumerate(members))
    return [found.get(index) or _unpaired(pair, logs[index]) for index, pair in enumerate(pairs)]


def log_ratios(pair: Pair) -> Array:
    """Return the log ratio of each process, NaN where one lacks a case; empty on different machines."""
    numerator, denominator = pair
    if numerator.key.machine != denominator.key.machine:
        return np.empty(0)
    return numerator.log_medians - denominator.log_medians


def _group(pair: Pair) -> tuple[object, ...]:
    kinds = ((case.key.phase in WHOLE_STEPS, is_loaded(case.key.phase)) for case in pair)
    return (pair[0].key.machine, *kinds, *((case.key.device, case.bound) for case in pair))


def _paired(found: ProcessIntervals, row: int, draws: Array) -> Ratio:
    ratio, known = math.exp(found.center[row]), bool(found.df[row])
    return Ratio(
        low=min(math.exp(found.low[row]), ratio) if known else None,
        ratio=ratio,
        high=max(math.exp(found.high[row]), ratio) if known else None,
        draws=draws,
        processes=int(found.n[row]),
        log_sd=float(found.sd[row]) if known else None,
        df=float(found.df[row]) if known else None,
    )


def _unpaired(pair: Pair, by_index: Array) -> Ratio:
    """Return the ratio of two cases whose noise is independent, or that only one process timed."""
    numerator, denominator = pair
    found = ratio_of_draws(numerator.median_s, denominator.median_s, numerator.draws, denominator.draws)
    judged = numerator.judged and denominator.judged
    draws = None
    if found.low is not None:  # all draws are then positive
        logs = np.log(numerator.draws) - np.log(denominator.draws)
        draws = np.exp(np.clip(logs, -_MAX_LOG, _MAX_LOG))
    ratio = Ratio(
        low=found.low if judged else None,
        ratio=found.ratio,
        high=found.high if judged else None,
        draws=draws,
    )
    known = by_index[np.isfinite(by_index)]
    if numerator.pool is denominator.pool or len(known) < MIN_PAIRS:
        return ratio
    return _by_index(ratio, pair, known)


def _by_index(ratio: Ratio, pair: Pair, logs: Array) -> Ratio:
    """Return the ratio of the processes of the same index, within the interval of two independent cases."""
    center = math.exp(float(np.median(logs)))
    if ratio.low is None or ratio.high is None:
        return replace(ratio, ratio=center, processes=len(logs))
    log_sd, df = _noise_of_both(*pair)
    low, high = min(ratio.low, center), max(ratio.high, center)
    return replace(ratio, low=low, ratio=center, high=high, processes=len(logs), log_sd=log_sd, df=df)


def _noise_of_both(one: Estimate, other: Estimate) -> tuple[float | None, float | None]:
    """Return the standard deviation of a difference, and its degrees of freedom (Welch's)."""
    if not one.log_sd or not other.log_sd or not one.df or not other.df:
        return None, None
    variance = one.log_sd**2 + other.log_sd**2
    return math.sqrt(variance), variance**2 / (one.log_sd**4 / one.df + other.log_sd**4 / other.df)
