"""Statistics of seeded noise with known parameters: coverage of intervals, drift, break-even.

The figures are the same on every machine.
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from breakeven.case import CaseKey
from breakeven.doctor.selftests.suite import Check
from breakeven.phases import HEADLINE
from breakeven.report.baseline import Baseline
from breakeven.report.break_even import break_evens
from breakeven.report.estimates import estimates
from breakeven.report.speedup import baselines, speedups
from breakeven.runs.machine import Machine
from breakeven.runs.schema import CaseResult, Run
from breakeven.stats.drift import find_drift
from breakeven.stats.intervals import median_interval

Array = NDArray[np.float64]

ROUNDS = 100
TRIALS = 1000
SEEDS = 200

OUTLIERS = 0.05
"""The share of rounds that take 5 times as long."""

MEDIAN_WITH_OUTLIERS = 1.00331489
"""exp(0.05 z), z the normal quantile of 0.5 / 0.95: all outliers are above the median."""

BATCHES = (1, 4, 16, 64, 256, 1024)
DEVICES = {"cpu": (20e-6, 1e-6), "other": (100e-6, 0.2e-6)}
"""The seconds per call and per sample of two devices: equal at batch 100."""

TRUE_BREAK_EVEN = 100


def coverage() -> list[Check]:
    """Return how often the 95% interval contains the true median, and the bias of the center."""
    plain = _log_normal(np.random.default_rng(20), 0.0)
    outlying = np.where(np.random.default_rng(21).random(plain.shape) < OUTLIERS, 5 * plain, plain)
    found = [median_interval(rounds) for rounds in outlying]
    center = float(np.mean([interval.median for interval in found])) / MEDIAN_WITH_OUTLIERS
    return [
        Check("coverage of the 95% interval, independent rounds", _share_containing(plain, 1.0), 0.93, 0.98),
        Check(
            "coverage, 5% outliers of 5 times the time",
            _share_containing(outlying, MEDIAN_WITH_OUTLIERS),
            0.93,
            0.98,
        ),
        Check("bias of the center with the same outliers", abs(center - 1), at_most=0.01),
        *(
            Check(
                f"coverage, rounds correlated by {rho}",
                _share_containing(_log_normal(np.random.default_rng(22), rho), 1.0),
                at_least=at_least,
            )
            for rho, at_least in ((0.5, 0.90), (0.9, 0.82))
        ),
    ]


def drift() -> list[Check]:
    """Return how often a 3% step in 60 rounds with 2% noise is found, and how often a false one is."""

    def found(rho: float, step: float) -> float:
        times = _log_normal(np.random.default_rng(30), rho, trials=SEEDS, rounds=60, noise=0.02)
        times[:, 30:] *= step
        return float(np.mean([find_drift(rounds) is not None for rounds in times]))

    return [
        Check("drift found: 3% step, 2% noise, 60 rounds", found(0.0, 1.03), at_least=0.90),
        Check("drift false alarms, independent rounds", found(0.0, 1.0), at_most=0.02),
        Check("drift false alarms, rounds correlated by 0.5", found(0.5, 1.0), at_most=0.08),
    ]


def break_even() -> list[Check]:
    """Return how often the interval contains the true break-even of two affine devices, over 200 seeds."""
    hits = [_contains_break_even(seed) for seed in range(SEEDS)]
    return [Check("break-even of two affine devices in its interval", sum(hits) / SEEDS, at_least=0.91)]


def _contains_break_even(seed: int) -> bool:
    rng = np.random.default_rng([40, seed])
    found = {}
    for batch, (device, (floor, slope)) in product(BATCHES, DEVICES.items()):
        times = (floor + slope * batch) * np.exp(0.02 * rng.standard_normal(30))
        key = CaseKey.of("affine", batch, HEADLINE, device, machine="id")
        found[key.label()] = CaseResult(key.label(), key, times, float(np.median(times)))
    cases = estimates([Run("simulated", Machine("simulated", "id", {}), found)])
    [line] = break_evens(cases, speedups(cases, baselines(cases, Baseline("cpu"))), ())
    return _contains(line.crossing, TRUE_BREAK_EVEN)


def _share_containing(samples: Array, true_median: float) -> float:
    """Return the share of rows whose interval contains the true median; one without an interval does not."""
    return sum(_contains(median_interval(rounds), true_median) for rounds in samples) / len(samples)


def _contains(interval: Any, value: float) -> bool:
    return None not in (interval.low, interval.high) and bool(interval.low <= value <= interval.high)


def _log_normal(
    rng: np.random.Generator, rho: float, trials: int = TRIALS, rounds: int = ROUNDS, noise: float = 0.05
) -> Array:
    """Return ``(trials, rounds)`` times of median 1 whose logarithms are stationary AR(1) with `rho`."""
    shocks = rng.standard_normal((trials, rounds))
    path = np.empty_like(shocks)
    path[:, 0] = shocks[:, 0]
    for i in range(1, rounds):
        path[:, i] = rho * path[:, i - 1] + math.sqrt(1 - rho**2) * shocks[:, i]
    times: Array = np.exp(noise * path)
    return times
