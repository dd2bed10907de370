"""The intervals that other tools, or simpler methods, give for the same rounds.

`one` methods read one process, `several` read all that they are given. A tool without an interval has the one
that its output shows, or that a user would derive from it, as its description states; warm-up is not theirs.
What they do not compute at all (speedups, break-evens) is derived from their relative half-widths as from
independent errors. Centers are medians or means, and the same of the other processes is what they are judged
by.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from replicates import Claims, Interval, Level, Method, baseline_of, claim_of
from scipy.special import bdtr, stdtrit

from breakeven.case import CaseKey
from breakeven.grouping import grouped
from breakeven.report.speedup import verdict_of
from breakeven.runs.schema import CaseResult, Run
from breakeven.stats.crossing import find_crossing
from breakeven.stats.intervals import median_interval, ratio_of_draws, resampled_medians

Array = NDArray[np.float64]

RESAMPLES = 2000
SEED = 0
Z95 = 1.959964


@dataclass(frozen=True, eq=False)
class Drawn:
    """The interval of one case, and what its value may be: `draws`, shape (resamples,)."""

    interval: Interval
    draws: Array


@dataclass(frozen=True)
class Peer:
    """A method, what its interval is, and whether it estimates medians or means."""

    name: str
    interval: str
    level: Level
    claims: Method


def compared(drawn: Mapping[CaseKey, Drawn]) -> Claims:
    """Return the claims that follow from the cases' draws, for speedups and break-evens draw by draw."""
    baseline = baseline_of(list(drawn))
    ratios = {
        key: (base, cand, ratio_of_draws(base.interval.center, cand.interval.center, base.draws, cand.draws))
        for key, cand in drawn.items()
        if key.device != baseline and (base := drawn.get(replace(key, device=baseline))) is not None
    }
    speedups = {
        key: Interval(ratio.low, ratio.high, ratio.ratio)
        for key, (_, _, ratio) in ratios.items()
        if ratio.low is not None and ratio.high is not None and ratio.ratio is not None
    }
    break_evens = {}
    for line, keys in grouped((key.line, key) for key in ratios).items():
        keys.sort(key=lambda key: key.batch_size)
        sides = [[ratios[key][side] for key in keys] for side in (0, 1)]
        base, cand = [
            (np.array([one.interval.center for one in side]), np.stack([one.draws for one in side], axis=1))
            for side in sides
        ]
        batches = [key.batch_size for key in keys]
        crossing = find_crossing(batches, base, cand, [verdict_of(ratios[key][2]).sign for key in keys])
        claim = claim_of(crossing, batches)
        if claim is not None:
            break_evens[line] = claim
    return Claims({key: one.interval for key, one in drawn.items()}, speedups, break_evens)


def within_process(run: Run) -> Claims:
    """Return version 1's intervals of one process: order statistics and a bootstrap of its rounds."""
    rng = np.random.default_rng(SEED)
    drawn = {}
    for key, case in _keyed(run):
        found = median_interval(case.times_s)
        if found.low is not None and found.high is not None:
            drawn[key] = Drawn(
                Interval(found.low, found.high, found.median), resampled_medians(case.times_s, rng, RESAMPLES)
            )
    return compared(drawn)


def student(run: Run) -> Claims:
    """Return Student's intervals on the logarithms of the process medians, each case by itself.

    Two devices share the draws of their processes, so that the ratio of their draws is a paired t-test's.
    """
    rng = np.random.default_rng(SEED)
    cases = [(key, case) for key, case in _keyed(run) if np.isfinite(case.process_medians_s).all()]
    n = len(cases[0][1].process_medians_s)
    normals = rng.standard_normal((RESAMPLES, n))
    scale = np.sqrt(rng.chisquare(n - 1, RESAMPLES) / (n - 1))
    quantile = float(stdtrit(n - 1, 0.975))
    drawn = {}
    for key, case in cases:
        logs = np.log(case.process_medians_s)
        center, reach = logs.mean(), quantile * logs.std(ddof=1) / math.sqrt(n)
        away = normals @ (logs - logs.mean()) / math.sqrt(n * (n - 1)) / scale
        interval = Interval(math.exp(center - reach), math.exp(center + reach), math.exp(center))
        drawn[key] = Drawn(interval, np.exp(center + away))
    return compared(drawn)


def independent(interval_of: Callable[[Sequence[Array]], Interval]) -> Method:
    """Return the method of a tool that gives an interval for each case and nothing else.

    Args:
        interval_of: of the rounds of each process of a case.
    """

    def claims(run: Run) -> Claims:
        rng = np.random.default_rng(SEED)
        drawn = {}
        for key, case in _keyed(run):
            interval = interval_of([sample for sample in case.samples if len(sample)])
            sd = (interval.high - interval.low) / 2 / interval.center / Z95
            drawn[key] = Drawn(interval, interval.center * np.exp(sd * rng.standard_normal(RESAMPLES)))
        return compared(drawn)

    return claims


def mean_and_stddev(samples: Sequence[Array]) -> Interval:
    """Return the mean and one standard deviation of all rounds to either side."""
    return _around(np.concatenate(samples), 1.0)


def mean_and_error(samples: Sequence[Array]) -> Interval:
    """Return the mean and 1.96 standard errors of all rounds to either side."""
    rounds = np.concatenate(samples)
    return _around(rounds, Z95 / math.sqrt(len(rounds)))


def means_and_stddev(samples: Sequence[Array]) -> Interval:
    """Return the mean of the processes' means and one of their standard deviations to either side."""
    return _around(np.array([sample.mean() for sample in samples]), 1.0)


def quartiles(samples: Sequence[Array]) -> Interval:
    """Return the median and the quartiles of all rounds."""
    low, center, high = np.quantile(np.concatenate(samples), (0.25, 0.5, 0.75))
    return Interval(float(low), float(high), float(center))


def bootstrapped_mean(samples: Sequence[Array]) -> Interval:
    """Return the mean and the 2.5% and 97.5% quantiles of the means of resampled rounds."""
    rounds = np.concatenate(samples)
    chosen = np.random.default_rng(SEED).integers(len(rounds), size=(RESAMPLES, len(rounds)))
    low, high = np.quantile(rounds[chosen].mean(axis=1), (0.025, 0.975))
    return Interval(float(low), float(high), float(rounds.mean()))


def order_statistics(samples: Sequence[Array], tail: float = 0.005) -> Interval:
    """Return the median of all rounds and the order statistics around it that leave out `tail` on each side.

    With fewer rounds than that takes, from the smallest to the largest.
    """
    ordered = np.sort(np.concatenate(samples))
    n = len(ordered)
    low = max(1, int(np.searchsorted(bdtr(np.arange(n // 2 + 1), n, 0.5), tail, side="right")))
    return Interval(float(ordered[low - 1]), float(ordered[n - low]), float(np.median(ordered)))


def _around(values: Array, quantile: float) -> Interval:
    center = float(values.mean())
    reach = quantile * float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return Interval(center - reach, center + reach, center)


def _keyed(run: Run) -> list[tuple[CaseKey, CaseResult]]:
    return [(case.key, case) for case in run.cases.values() if case.key is not None]


def _mean(sample: Array) -> float:
    return float(sample.mean())


def _median(sample: Array) -> float:
    return float(np.median(sample))


WITHIN = Peer(
    "version 1",
    "order statistics of the process's rounds, widened for autocorrelation",
    _median,
    within_process,
)

STUDENT = Peer(
    "Student's t", "on the logarithms of the process medians, each case by itself", _median, student
)

OF_ONE = (
    Peer(
        "pytest-benchmark",
        "as its table shows: mean ± StdDev of the rounds",
        _mean,
        independent(mean_and_stddev),
    ),
    Peer(
        "pytest-benchmark, derived",
        "mean ± 1.96 StdDev / √rounds",
        _mean,
        independent(mean_and_error),
    ),
    Peer(
        "torch.utils.benchmark",
        "as it prints: the median and the quartiles (IQR) of its blocks, here the rounds",
        _median,
        independent(quartiles),
    ),
    Peer("criterion", "95% bootstrap interval of the mean", _mean, independent(bootstrapped_mean)),
)
"""The methods of tools that measure in one process."""

OF_SEVERAL = (
    Peer(
        "pyperf",
        "as it prints: mean ± std dev of the values of all processes, here their rounds",
        _mean,
        independent(mean_and_stddev),
    ),
    Peer(
        "hyperfine",
        "as it prints: mean ± σ of the runs, here the processes' means",
        _mean,
        independent(means_and_stddev),
    ),
    Peer(
        "asv",
        "99% interval of the median by order statistics of the rounds of all processes",
        _median,
        independent(order_statistics),
    ),
)
"""The methods of tools that measure in several processes."""
