"""One cell timed again at the end of a run: whether a case drifts, and not only the canary."""

from __future__ import annotations

import io
import warnings
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import pytest

from breakeven.case import Budget
from breakeven.hardware.device import Device
from breakeven.measure.round_plan import RoundPlan
from breakeven.measure.runner import Runner
from breakeven.measure.settings import apply, read_settings, settings_kept
from breakeven.measure.timing import Round, time_round
from breakeven.measure.workload import Recipe
from breakeven.phases import HEADLINE, find_phase
from breakeven.plugin.summary import Timing
from breakeven.stats.intervals import MedianInterval, median_interval


@dataclass(frozen=True)
class Kept:
    """A timed case, and what is needed to time it again."""

    timing: Timing
    device: Device
    recipe: Recipe
    budget: Budget
    settings: dict[str, Any]


class Retiming:
    """Keeps the timed cases of each device's first cell, and times one phase of it again."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._kept: list[Kept] = []

    def keep(self, timing: Timing, device: Device, recipe: Recipe) -> None:
        """Keep a case that was just timed, if it is of its device's first cell and its phase is compared.

        A cell whose rounds do not fit into the time of a case is passed over: timing it again takes long.
        """
        case, budget = timing.case, self._runner.budget
        phase = find_phase(case.phase)
        cells = {kept.timing.case.device: kept.timing.case.cell for kept in self._kept}
        is_first = cells.get(case.device, case.cell) == case.cell
        is_quick = budget.min_rounds * timing.interval.median <= budget.max_time_s
        if is_first and is_quick and phase is not None and phase.is_compared:
            self._kept.append(Kept(timing, device, recipe, self._runner.budget, read_settings()))

    def forget(self, timing: Timing | None) -> None:
        """Drop a case whose timing was retracted."""
        self._kept = [kept for kept in self._kept if kept.timing is not timing]

    def time_again(self) -> list[dict[str, Any]]:
        """Return ``case, device, first_..., again_...`` of the headline phase, or else of the last one.

        A case that fails now has ``failed``, the reason, in place of ``again_...``; its first timing stays.
        """
        phases = [kept.timing.case.phase for kept in self._kept]
        phase = HEADLINE if HEADLINE in phases else phases[-1] if phases else None
        return [self._again(kept) for kept in self._kept if kept.timing.case.phase == phase]

    def _again(self, kept: Kept) -> dict[str, Any]:
        case = kept.timing.case
        facts = {"case": case.label(), "device": case.device, **_facts("first", kept.timing.interval)}
        seconds: list[float] = []

        def time_rounds(round_: Round, plan: RoundPlan) -> None:
            for _ in range(plan.lead_in):
                time_round(round_)
            seconds.extend(time_round(round_).latency_s for _ in range(plan.rounds))

        self._runner.budget = kept.budget
        try:
            with ExitStack() as silent:
                # pytest captures and filters only during a test.
                silent.enter_context(redirect_stdout(io.StringIO()))
                silent.enter_context(redirect_stderr(io.StringIO()))
                silent.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")
                silent.enter_context(settings_kept())
                apply(kept.settings)
                self._runner.measure(case, kept.device, kept.recipe, time_rounds)
        except (Exception, pytest.skip.Exception, pytest.fail.Exception) as error:
            return facts | {"failed": self._runner.note_failure(case, error)[1]}
        return facts | _facts("again", median_interval(seconds))


def _facts(name: str, interval: MedianInterval) -> dict[str, float | None]:
    return {
        f"{name}_s": interval.median,
        f"{name}_low_s": interval.low,
        f"{name}_high_s": interval.high,
    }
