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
from breakeven.report.ratios import ratios
from breakeven.stats.intervals import RatioInterval


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
    waits = [(table.get(replace(loop.key, phase=Phase.TRAIN_SYNC)), loop) for loop in loops]
    pairs = [(step, loop) for step, loop in waits if step is not None and step.judged and loop.judged]
    return [WaitingCost(loop.key, ratio) for (_, loop), ratio in zip(pairs, ratios(pairs), strict=True)]
