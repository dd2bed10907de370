"""How many rounds of a case are timed, given the noise of its warm-up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Self

from breakeven.case import Budget
from breakeven.measure.skips import max_rounds_s
from breakeven.measure.warmup import MEDIAN_INFLATION, Warmup, relative_noise

MIN_TRUSTED = 16
"""The minimum number of timed rounds, if the time allows, however quiet the warm-up was."""

MIN_TRUSTED_LOOPS = 8
"""The same for rounds of several steps, each of which is already a mean."""

MIN_SLOW = 2
"""The number of rounds of a case that is timed however long they take."""

LATER_OVERRUN = 2.0
"""A later process may take this many times the time of a case for its minimum number of rounds: its machine
may be slower than that of the first one, in which the rounds filled the time."""

Z95 = 1.959964


@dataclass(frozen=True)
class RoundNoise:
    """How rounds vary: the relative standard deviation of their times, and `correlation_factor` of them."""

    relative: float
    correlation: float

    @classmethod
    def of(cls, warmup: Warmup, steps: int) -> Self:
        """Return the noise of a round of that many steps.

        It is that of a shorter block of the warm-up, divided by the square root of the ratio of their steps.
        """
        latencies = [timed.latency_s for timed in warmup.tail]
        relative = relative_noise(latencies) * math.sqrt(warmup.tail[0].steps / steps)
        return cls(relative, correlation_factor(latencies))


@dataclass(frozen=True)
class RoundPlan:
    """The rounds that pytest-benchmark runs: `lead_in` untimed ones, then `rounds` timed ones.

    The lead-in warms the caches for pytest-benchmark's loop. A round has `steps` steps.
    """

    rounds: int
    lead_in: int
    steps: int = 1


def plan_rounds(
    warmup: Warmup, budget: Budget, steps: int = 1, left_s: float = math.inf, noise: RoundNoise | None = None
) -> RoundPlan:
    """Return the number of rounds that should bring the median's interval to the target precision.

    The noise is that of the warm-up's tail, so a slow first call has no influence. The half-width of the
    median of n normal times is ``1.96 * 1.2533 * noise / sqrt(n)``; the lag-1 correlation rho of the times
    widens its square by ``(1 + rho) / (1 - rho)``, as in an AR(1) process. Twice as many rounds are planned,
    because a short tail estimates the noise badly; for the same reason there are at least 16 if the time
    allows, or 8 of several steps each. All of a case's processes share these rounds. Cheap rounds are added:
    up to 40, if they fit into a twentieth of the time.

    Where even the minimum number of rounds would take more than `max_rounds_s`, in a later process more than
    `LATER_OVERRUN` times the time, as many are planned as fit into that, and at least 2.

    Args:
        warmup: the rounds before.
        budget: the precision and the limits.
        steps: the steps of a round.
        left_s: the seconds left for all rounds.
        noise: how rounds vary, in a later process, which does not find it out again.
    """
    is_first = noise is None
    noise = noise or RoundNoise.of(warmup, steps)
    spread = MEDIAN_INFLATION * Z95 * noise.relative / budget.target_precision
    wanted = 2 * spread**2 * noise.correlation + 4
    trusted = MIN_TRUSTED if steps == 1 else MIN_TRUSTED_LOOPS
    share = math.ceil(max(wanted, trusted) / budget.processes)
    cost = max(warmup.round_s(steps), 1e-9)
    free = min(40, int(budget.max_time_s / 20 / cost))
    share = min(max(share, free, budget.min_rounds), budget.max_rounds)
    affordable = max(int(budget.max_time_s / cost), budget.min_rounds)
    limit_s = max_rounds_s(budget) if is_first else LATER_OVERRUN * budget.max_time_s
    limit = max(int(min(limit_s, left_s) / cost), MIN_SLOW)
    rounds = min(share, affordable, limit)
    lead_in = min(50, int(budget.max_time_s / 100 / cost))
    return RoundPlan(rounds, lead_in, steps)


def correlation_factor(latencies: Sequence[float]) -> float:
    """Return (1 + rho) / (1 - rho) for the lag-1 correlation rho of the times, in [1, 10].

    It is estimated from the above-median signs, which outliers do not move: those of a normal process
    correlate by ``2 / pi * asin(rho)`` (Sheppard's formula). With fewer than 20 times it is 1.
    """
    if len(latencies) < 20:
        return 1.0
    center = median(latencies)
    signs = [1 if latency > center else -1 for latency in latencies]
    rho = math.sin(math.pi / 2 * sum(a * b for a, b in pairwise(signs)) / (len(signs) - 1))
    return min(10.0, max(1.0, (1 + rho) / max(1e-9, 1 - rho)))
