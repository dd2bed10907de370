"""What the earlier processes of a run found of a case, so that a later one need not find it again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median, stdev
from typing import Any, Self

from breakeven.case import Budget
from breakeven.measure.loss_check import Reference, ReferenceLoss
from breakeven.measure.round_plan import Z95, RoundNoise
from breakeven.measure.skips import NEAR
from breakeven.phases import HEADLINE, Phase

AGREEING = 3
"""The number of consecutive times that must agree."""

AGREE_WITHIN = 0.01
"""How far they may differ, relative to their median, however quiet the case is."""

RANGE_OF_AGREEING = 3.3
"""The range of three normal times is at most this many standard deviations, in 95% of cases."""

BETWEEN_SHARE = 0.5
"""Noise within the processes may add this share of the interval that the spread between them has anyway,
which makes it 12% wider."""


@dataclass(frozen=True)
class Earlier:
    """What earlier processes found of one case.

    `level_s` is the median over the processes of the time of a step, in seconds; `spread` the standard
    deviation of its logarithm between them, 0.0 with one; `noise` that of a round of `steps` steps;
    `threads` what ``cpu@best`` chose; `reference` the CPU's losses, or why there are none to compare with,
    None where no process looked for them.
    """

    level_s: float
    spread: float
    noise: RoundNoise
    steps: int
    threads: int | None = None
    reference: Reference | None = None

    @classmethod
    def of(cls, found: Sequence[Mapping[str, Any]]) -> Self | None:
        """Return what the processes handed on (``hand_on`` of `Runner.measure`, in their order).

        None if none of them did. A process that lost the case handed on an empty object or nothing.
        """
        found = [one for one in found if one]
        if not found:
            return None
        levels = [float(one["level_s"]) for one in found]
        is_known = len(levels) > 1 and min(levels) > 0
        losses = next((one["reference"] for one in found if "reference" in one), None)
        return cls(
            level_s=median(levels),
            spread=stdev(map(math.log, levels)) if is_known else 0.0,
            noise=RoundNoise(*found[0]["noise"]),
            steps=found[0]["steps"],
            threads=found[0].get("threads"),
            reference=ReferenceLoss(tuple(losses[0]), losses[1]) if isinstance(losses, list) else losses,
        )

    def is_near(self, latency_s: float) -> bool:
        """Return whether a step takes about as long as in the earlier processes.

        From process to process a step bound by its launches varies by 5 to 35%.
        """
        factor = max(NEAR, math.exp(2 * self.spread))
        return self.level_s / factor <= latency_s <= self.level_s * factor

    def is_slow(self, first_call_s: float, budget: Budget) -> bool:
        """Return whether a step takes longer than a case may, and its first call no longer than usual."""
        return min(self.level_s, first_call_s) > budget.max_time_s and self.is_near(first_call_s)

    def has_settled(self, latencies: Sequence[float], steps: int) -> bool:
        """Return whether the last times agree among themselves and are at the earlier level.

        Args:
            latencies: in seconds per step, in the order they were measured.
            steps: the steps of the round of each.
        """
        last = latencies[-AGREEING:]
        center = median(last) if len(last) == AGREEING else math.nan
        if not self.is_near(center):
            return False
        noise = self.noise.relative * math.sqrt(self.steps / steps)
        return max(last) - min(last) <= max(AGREE_WITHIN, RANGE_OF_AGREEING * noise) * center

    def worthwhile(self, budget: Budget, phase: Phase) -> Budget:
        """Return a budget that asks for no more precision within a process than the spread leaves to gain.

        Of a phase other than the headline, a later process only shows how much processes differ.
        """
        if phase is not HEADLINE:
            return replace(budget, max_rounds=budget.min_rounds)
        between = Z95 * self.spread / math.sqrt(budget.processes)
        precision = max(budget.target_precision, min(BETWEEN_SHARE * between, 0.5))
        return replace(budget, target_precision=precision)


def hand_on(
    level_s: float, noise: RoundNoise, steps: int, threads: int | None, reference: Reference | None
) -> dict[str, Any]:
    """Return what a later process needs of a case: a small JSON object, which `Earlier.of` reads."""
    known: dict[str, Any] = {"level_s": level_s, "noise": [noise.relative, noise.correlation], "steps": steps}
    if threads is not None:
        known["threads"] = threads
    if isinstance(reference, ReferenceLoss):
        known["reference"] = [list(reference.losses), reference.is_random]
    elif reference is not None:
        known["reference"] = reference
    return known
