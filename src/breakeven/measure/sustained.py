"""Cases that are timed long enough to show how an accelerator slows down under load: burst and sustained.

An accelerator that computes without a pause heats up and lowers its clocks. A training step that is bound by
its computation is slower then; one that is bound by the host is not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from breakeven.case import Budget
from breakeven.measure.parts import enqueue_seconds
from breakeven.measure.round_plan import RoundPlan
from breakeven.measure.timing import Clock, Round
from breakeven.measure.warmup import Warmup
from breakeven.phases import HEADLINE
from breakeven.stats.intervals import MIN_ROUNDS, MedianInterval, median_interval

MIN_MAX_TIME_S = 30.0
"""The ``max_time``, of all processes together, from which a case is long enough."""

BURST_S = 2.0
"""The seconds of load before which a device has not yet lowered its clocks."""

MAX_WARMUP_S = 1.0
"""A longer warm-up would leave no burst to time."""

MAX_HOST_SHARE = 0.5
"""A step is bound by its computation if queueing it takes at most this share of its time."""

QUEUEING_ROUNDS = 3


@dataclass(frozen=True)
class LoadBefore:
    """The load before the rounds: its seconds, and the times of the warm-up."""

    seconds: float
    warmup_s: tuple[float, ...]


def may_show_load(round_: Round, budget: Budget) -> bool:
    """Return whether a case is the training step of an accelerator, with enough time."""
    is_step = round_.phase is HEADLINE and round_.trainer.device.is_accelerator
    return is_step and budget.processes * budget.max_time_s >= MIN_MAX_TIME_S


def warmup_budget(round_: Round, budget: Budget) -> Budget:
    """Return the budget of a case's warm-up."""
    return replace(budget, max_time_s=MAX_WARMUP_S) if may_show_load(round_, budget) else budget


def load_before(
    round_: Round, warmup: Warmup, budget: Budget, began_s: float, clock: Clock
) -> LoadBefore | None:
    """Return the load that began at `began_s`; None if the case cannot show how its device slows down.

    It can if it `may_show_load` and queueing a step takes at most half of the time until the step is done.
    """
    if not may_show_load(round_, budget):
        return None
    queued = enqueue_seconds(round_.phase, round_.trainer, QUEUEING_ROUNDS, clock)
    if queued["enqueue_s"] > MAX_HOST_SHARE * warmup.latency_s:
        return None
    return LoadBefore(clock() - began_s, tuple(timed.latency_s for timed in warmup.tail))


def lasting(
    plan: RoundPlan, warmup: Warmup, budget: Budget, left_s: float, *, keep_steps: bool = False
) -> RoundPlan:
    """Return a plan whose rounds take the whole time of a case.

    At most half of `left_s`, the seconds until the case is ended, is planned: the rounds may become slower.
    Where the time has more rounds than a case may have, each has a multiple of the steps, unless
    `keep_steps`. There are no untimed rounds, which would be load before the first timed one.
    """
    max_s = min(budget.max_time_s, left_s / 2)
    rounds, steps = int(max_s / warmup.round_s(plan.steps)), plan.steps
    if rounds > budget.max_rounds and keep_steps:
        rounds = budget.max_rounds
    elif rounds > budget.max_rounds:
        steps *= math.ceil(rounds / budget.max_rounds)
        rounds = int(max_s / warmup.round_s(steps))
    return replace(plan, rounds=max(plan.rounds, rounds), steps=steps, lead_in=0)


def load_facts(
    before: LoadBefore, times_s: Sequence[float], steps: int, samples: Mapping[str, Sequence[Any]]
) -> dict[str, float | None]:
    """Return ``burst_...``, ``sustained_...`` and ``load_s`` for a case's ``extra_info``, in seconds.

    Args:
        before: the load before the rounds.
        times_s: the rounds, per step.
        steps: those of a round.
        samples: as `breakeven.measure.monitor.Sampler` takes them; their clocks are returned too.
    """
    round_s = [steps * time_s for time_s in times_s]
    burst, sustained = burst_and_sustained(times_s, round_s, before.seconds, before.warmup_s)
    facts = {
        "load_s": before.seconds + sum(round_s),
        "burst_s": burst.median,
        "burst_low_s": burst.low,
        "burst_high_s": burst.high,
        "sustained_s": sustained.median,
        "sustained_low_s": sustained.low,
        "sustained_high_s": sustained.high,
    }
    clocks = [clock for clock in samples.get("sm_clock_mhz", ()) if clock]
    if clocks:
        facts |= {"burst_clock_mhz": clocks[0], "sustained_clock_mhz": median(clocks[len(clocks) // 2 :])}
    return facts


def burst_and_sustained(
    times_s: ArrayLike, round_s: ArrayLike, before_s: float, warmup_s: ArrayLike
) -> tuple[MedianInterval, MedianInterval]:
    """Return the median time in the first `BURST_S` seconds of load, and in the last half of the load.

    Args:
        times_s: shape (rounds,), what is measured, in the order they ran.
        round_s: shape (rounds,), the seconds of load of each round.
        before_s: the seconds of load before the first round.
        warmup_s: at least one time from the beginning of the load; these count for the burst if fewer than
            `MIN_ROUNDS` rounds ended in it.

    >>> burst, sustained = burst_and_sustained([1.0] * 6 + [1.5] * 30, [0.2] * 36, 0.5, [1.0])
    >>> burst.median, sustained.median
    (1.0, 1.5)
    """
    times = np.asarray(times_s, dtype=float)
    ends_s = before_s + np.cumsum(round_s)
    burst = times[ends_s <= BURST_S]
    if len(burst) < MIN_ROUNDS:
        burst = np.concatenate([np.asarray(warmup_s, dtype=float), burst])
    return median_interval(burst), median_interval(times[ends_s >= ends_s[-1] / 2])
