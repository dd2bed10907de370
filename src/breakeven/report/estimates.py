"""One estimate a case: its median, the interval, and the draws everything later rests on.

Owns how runs of one machine class become one estimate: a bootstrap over rounds for one run, over runs for
six and more, Student's distribution of the runs' medians for two to five. Every comparison and every
break-even uses the same draws, so that their intervals never contradict each other. Compares nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from breakeven.stats.intervals import (
    MIN_ROUNDS,
    MIN_RUNS,
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
"""Where all draws of a report begin: the same files give the same numbers, in any order of their cases."""

KEY = ["class_id", "workload", "axes", "batch_size", "phase", "device"]


@dataclass(frozen=True, eq=False)
class Estimate:
    """What is known of one case on one machine class, in seconds.

    `median_s` is the median of the runs' medians, `n` counts all rounds, `draws` has a value a resample.
    `judged` is False where no ratio can be formed with an interval: too few rounds, or a median of zero.
    """

    class_id: str
    workload: str
    axes: str
    batch_size: int
    phase: str
    device: str
    n: int
    runs: int
    median_s: float
    low_s: float | None
    high_s: float | None
    flags: tuple[str, ...]
    draws: NDArray[np.float64]

    @property
    def judged(self) -> bool:
        """Whether the case can take part in a comparison."""
        return self.median_s > 0 and self.low_s is not None


def estimates(rounds: pd.DataFrame, facts: pd.DataFrame) -> list[Estimate]:
    """Return one estimate for each case of each machine class, in the order the cases first stand in.

    Args:
        rounds: needs the columns of `KEY`, ``run`` and ``latency_s``; rounds in the order they ran.
        facts: needs the columns of `KEY` and ``flags``.
    """
    flags: dict[tuple[object, ...], list[str]] = {}
    for row in facts[[*KEY, "flags"]].itertuples(index=False, name=None):
        flags.setdefault(row[:-1], []).extend(row[-1])
    samples: dict[tuple[object, ...], dict[object, NDArray[np.float64]]] = {}
    places: dict[object, dict[object, int]] = {}
    grouped = rounds.groupby([*KEY, "run"], observed=True, sort=False)["latency_s"]
    for (*key, run), times in grouped:
        samples.setdefault(tuple(key), {})[run] = times.to_numpy(dtype=float)
        known = places.setdefault(key[0], {})
        known.setdefault(run, len(known))
    # Shared by all cases of a machine class, so that the same processes are drawn for both devices of a
    # comparison; two machines' processes have nothing in common, and are drawn apart.
    draws = {
        class_id: RunDraws.draw(np.random.default_rng([SEED, _number(class_id)]), len(known))
        for class_id, known in places.items()
    }
    return [
        _estimate(key, runs, [places[key[0]][run] for run in runs], flags.get(key, []), draws[key[0]])
        for key, runs in samples.items()
    ]


def _number(key: object) -> int:
    return zlib.crc32(repr(key).encode("utf-8", "backslashreplace"))


def _estimate(
    key: tuple[object, ...],
    runs: Mapping[object, NDArray[np.float64]],
    places: Sequence[int],
    flags: Iterable[str],
    run_draws: RunDraws,
) -> Estimate:
    class_id, workload, axes, batch_size, phase, device = key
    samples = list(runs.values())
    rng = np.random.default_rng([SEED, _number(key)])
    if len(samples) == 1:
        interval = median_interval(samples[0])
        draws = resampled_medians(samples[0], rng)
    else:
        medians = [float(np.median(sample)) for sample in samples]
        if len(samples) < MIN_RUNS and min(medians) > 0:
            draws = student_over_runs(medians, places, run_draws)
        else:
            draws = resampled_over_runs(samples, run_draws.choices, rng)
        interval = _over_runs(samples, draws)
    known = list(dict.fromkeys(flags))
    if interval.low is None and "few_rounds" not in known:
        known.append("few_rounds")
    if interval.median == 0:
        known.append("zero_time")
    return Estimate(
        class_id=str(class_id),
        workload=str(workload),
        axes=str(axes),
        batch_size=int(str(batch_size)),
        phase=str(phase),
        device=str(device),
        n=interval.n,
        runs=len(samples),
        median_s=interval.median,
        low_s=interval.low,
        high_s=interval.high,
        flags=tuple(known),
        draws=draws,
    )


def _over_runs(samples: list[NDArray[np.float64]], draws: NDArray[np.float64]) -> MedianInterval:
    medians = [float(np.median(sample)) for sample in samples]
    center, n = float(np.median(medians)), sum(map(len, samples))
    tau = max(map(autocorrelation_time, samples))
    if len(samples) < MIN_ROUNDS and min(map(len, samples)) < MIN_ROUNDS:
        return MedianInterval(None, center, None, n, tau)
    low, high = interval_of_draws(draws)
    return MedianInterval(
        None if low is None else min(low, center), center, None if high is None else max(high, center), n, tau
    )
