"""What it costs to wait for the device in every training step: `train_sync` against `train`.

A loop that reads ``loss.item()`` in every step waits; one that does not queues the next step meanwhile. On a
CPU there is nothing to wait for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from breakeven.case import CaseKey
from breakeven.phases import HEADLINE, Phase
from breakeven.report.estimates import Estimate
from breakeven.stats.intervals import RatioInterval, ratio_of_draws


@dataclass(frozen=True)
class WaitingCost:
    """The time of a step that waits relative to one of a loop that does not; `key` is that of the loop."""

    key: CaseKey
    ratio: RatioInterval


def waiting_costs(cases: Iterable[Estimate]) -> list[WaitingCost]:
    """Return a row for each step that was timed in both ways, in the order of `cases`.

    A `train` without `steps`, of version 1, waited itself.
    """
    table = {case.key: case for case in cases}
    loops = [case for case in table.values() if case.key.phase == HEADLINE and case.facts.steps is not None]
    pairs = [(loop, table.get(replace(loop.key, phase=Phase.TRAIN_SYNC))) for loop in loops]
    return [
        WaitingCost(loop.key, ratio_of_draws(waiting.median_s, loop.median_s, waiting.draws, loop.draws))
        for loop, waiting in pairs
        if waiting is not None and waiting.judged and loop.judged
    ]
