"""One run: takes case after case from recipe to timed rounds, and remembers what the next may use.

Owns the model of the current cell (built once, copied to each device), what is known to be hopeless,
and where the time went. Refuses to know pytest: who times the rounds is handed in.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from breakeven.case import Budget, Case
from breakeven.errors import RecipeError
from breakeven.hardware.devices import Device, EventApi
from breakeven.hardware.nvml import kept_open
from breakeven.measure.canary import run_canary
from breakeven.measure.cuda_graphs import place, record
from breakeven.measure.features import in_effect, refuse_unsupported
from breakeven.measure.flops import PASSES, Flops, count_flops, moved_bytes
from breakeven.measure.loss_check import Reference, compare, reference_of
from breakeven.measure.monitor import evidence_of, observe, state_between
from breakeven.measure.outcomes import outcome_of, reason_for
from breakeven.measure.phases import PHASES, Phase
from breakeven.measure.skips import SkipPolicy, raise_if_over_budget
from breakeven.measure.timing import (
    CLOCK,
    PATIENCE,
    Clock,
    Forecast,
    Plan,
    Round,
    Timed,
    beyond_steady,
    collection_off,
    enqueue_seconds,
    floor_for,
    part_seconds,
    plan_rounds,
    time_once,
    time_round,
    warm_up,
)
from breakeven.measure.trainer import Trainer
from breakeven.measure.workload import Recipe, Workload, build, one_line

TimeRounds = Callable[[Round, Plan], None]
"""Times a round as planned, and keeps the seconds. In a run, `benchmark.pedantic` does it."""

PART_ROUNDS = 6
"""Rounds with marks at the borders of a step's parts, and as many of queueing, apart from the timed ones.

The fastest and the slowest of six are a 97% interval of the median; of five they would be one of 94%.
"""

COMPILING_CALLS = 5
"""So many calls after the second may still compile before a compiled case is given up."""

TRANSIENT = 4.0
"""A round up to so many times too slow is tried again before the case is given up."""

MORE_CALLS = 3
"""So often it is: on a busy machine one mishap comes after the other."""


class Session:
    """What one run knows between its cases.

    Args:
        budget: what may be spent on the rounds of a case.
        clock: seconds; injected by tests.
    """

    def __init__(self, budget: Budget, clock: Clock = CLOCK) -> None:
        self.budget = budget
        self.spent: dict[str, float] = {"preparing": 0.0, "warming up": 0.0, "timing": 0.0}
        self.device_init_s: dict[str, float] = {}
        self.canary: dict[str, dict[str, Any]] = {}
        self._clock = clock
        self._cell: tuple[Any, ...] | None = None
        self._workload: Workload | RecipeError | None = None
        self._reference: Reference | str | None = None
        self._placed: Trainer | None = None
        self._holding: Device | None = None
        self._model_transfer_s = 0.0
        self._hope = SkipPolicy()
        self._references = Forecast()
        self._flops: dict[tuple[Any, ...], Flops | str] = {}
        self._open = ExitStack()

    def measure(self, case: Case, device: Device, recipe: Recipe, time_rounds: TimeRounds) -> dict[str, Any]:
        """Time one case and return what belongs into its ``extra_info`` (Contract 1, optional keys).

        Raises:
            CaseSkipped: the case is not worth trying, and why.
            RecipeError: the recipe raised or returned no workload.
            MeasurementError: the loss is NaN, or another than the CPU's.
            Exception: whatever the workload raised; `failures.outcome_of` tells how the case has ended.
        """
        self._hope.refuse(case, self.budget)
        phase = PHASES[case.phase]
        with self._ready(case, device, recipe) as (trainer, recorded):
            facts = {**device.describe(), "parameters": trainer.workload.parameters}
            facts["model_transfer_s"] = self._model_transfer_s
            round_ = Round(phase, trainer)
            early, seen = self._first_calls(case, round_, trainer, recipe)
            # Collecting disturbs the caches, so it comes before the last rounds of the warm-up.
            with collection_off():
                warmed, plan = self._warm(case, round_, trainer, early)
                device.reset_peak_memory()
                with self._spend("timing"):
                    before = observe(device, self._clock)
                    time_rounds(round_, plan)
                    state = state_between(before, observe(device, self._clock))
            evidence = evidence_of(state, is_accelerator=device.is_accelerator)
            facts |= {"state": state, "evidence": evidence, **seen, **warmed, **recorded}
            return facts | self._after(case, phase, trainer)

    def run_once(self, case: Case, device: Device, recipe: Recipe, time_rounds: TimeRounds) -> None:
        """Do one round of a case without warming up: what ``--benchmark-disable`` asks for."""
        with self._ready(case, device, recipe) as (trainer, _):
            time_rounds(Round(PHASES[case.phase], trainer), Plan(1, lead_in=0, cut_by_budget=False))
            trainer.loss_value()

    def note_failure(self, case: Case, error: BaseException) -> tuple[str, str]:
        """Remember how a case has ended, let go of its workload, and return the outcome and the reason."""
        outcome, reason = outcome_of(error), reason_for(error)
        self._hope.note(case, error, outcome, reason)
        if self._placed is not None:
            # Given back when the next case is placed: until then the error's traceback holds what was made.
            self._holding, self._placed = self._placed.device, None
        if outcome == "crashed":
            self._holding = None
        return outcome, reason

    def run_canary(self, when: str, devices: Iterable[Device]) -> None:
        """Time the canary on each device and keep it under `when`; a device that cannot sing says why."""
        with self._spend("preparing"):
            for device in devices:
                if self._hope.has_lost(device.name):
                    continue
                try:
                    self._initialize(device)
                    song = run_canary(device, self._clock)
                except RuntimeError as error:
                    song = {"unreadable": one_line(error)}
                self.canary.setdefault(device.name, {})[when] = song

    def close(self) -> None:
        """Let go of the last cell, and of what was kept from the garbage collector."""
        self._drop_placed()
        self._workload = None
        self._open.close()
        gc.unfreeze()

    @contextmanager
    def _ready(
        self, case: Case, device: Device, recipe: Recipe
    ) -> Iterator[tuple[Trainer, dict[str, float]]]:
        """Place the case's workload with all it asks for, for the length of the block, and what it took."""
        # Before the device becomes the current one, which alone makes a context.
        with self._spend("preparing"):
            self._initialize(device)
        with device.active():
            with self._spend("preparing"):
                trainer = self._place(case, device, recipe)
            with in_effect(trainer.workload, device):
                with self._spend("preparing"):
                    trainer.reset()
                    recorded = record(trainer, self._clock)
                yield trainer, recorded

    def _place(self, case: Case, device: Device, recipe: Recipe) -> Trainer:
        if self._cell != case.cell:
            self._drop_placed()
            self._cell, self._workload, self._reference = None, None, None
            # What outlives a cell (torch itself) need not be walked by the collection before every case.
            gc.unfreeze()
            gc.collect()
            gc.freeze()
            try:
                self._workload = build(recipe)
            except RecipeError as error:
                self._workload = error
            self._cell = case.cell
        if isinstance(self._workload, RecipeError):
            raise RecipeError(str(self._workload)) from self._workload.__cause__
        assert self._workload is not None
        if self._placed is None or self._placed.device is not device:
            self._drop_placed()
            refuse_unsupported(self._workload, device)
            trainer = place(self._workload, device)
            self._model_transfer_s = time_once(trainer.move_model, device, self._clock)
            self._placed = trainer
        return self._placed

    def _initialize(self, device: Device) -> None:
        if device.name not in self.device_init_s:
            if device.torch_device.type == "cuda":
                self._open.enter_context(kept_open())
            # Not `time_once`: its first synchronization would make the context before the clock is read.
            start = self._clock()
            device.initialize()
            self.device_init_s[device.name] = self._clock() - start

    def _drop_placed(self) -> None:
        if self._placed is not None:
            self._holding, self._placed = self._placed.device, None
        elif self._holding is not None:
            gc.collect()
        if self._holding is not None:
            device, self._holding = self._holding, None
            device.release_memory()

    def _first_calls(
        self, case: Case, round_: Round, trainer: Trainer, recipe: Recipe
    ) -> tuple[list[Timed], dict[str, Any]]:
        """Return the calls before the warm-up, the first one apart; hold two losses against the CPU's."""
        with self._spend("warming up"):
            first = self._first_call(round_, trainer)
            first_loss = trainer.loss_value()
            if not trainer.device.is_accelerator and not trainer.workload.compile:
                raise_if_over_budget(first.total_s / 3, self.budget)
            second = time_round(round_, self._clock)
            second_loss = trainer.loss_value()
            early = [first, second, *self._without_transients(round_, second.total_s, trainer.workload)]
            raise_if_over_budget(min(timed.total_s for timed in early[1:]), self.budget)
        with self._spend("preparing"):
            checked = self._compare_losses(case, trainer.workload, (first_loss, second_loss), recipe)
        return early, {"first_call_s": first.latency_s, **checked}

    def _warm(
        self, case: Case, round_: Round, trainer: Trainer, early: list[Timed]
    ) -> tuple[dict[str, Any], Plan]:
        with self._spend("warming up"):
            floor, cap_s = floor_for(trainer.device), self.budget.max_time_s
            warmup = warm_up(round_, floor, cap_s, early[1:], self._clock)
            raise_if_over_budget(warmup.round_s, self.budget, warmup.fastest_s)
        # The fastest, since a busy machine would make larger batches hopeless that are not.
        self._hope.observe(case, warmup.fastest_s)
        plan = plan_rounds(warmup, self.budget)
        facts = {
            "warmup_rounds": 1 + len(warmup.rounds) + plan.lead_in,
            "planned_rounds": plan.rounds,
            "target_precision": self.budget.half_width,
            "cut_by_budget": plan.cut_by_budget,
            "steady": warmup.steady,
        }
        if trainer.workload.compile:
            # torch compiles in the first few calls; the first case of a model bears nearly all of it. Where a
            # step was recorded, that came before them, and `recorded` tells instead.
            facts["compile_s"] = beyond_steady(early, warmup)
        return facts, plan

    def _first_call(self, round_: Round, trainer: Trainer) -> Timed:
        """Time the first call; where it fails over a loss that is no number, say so instead."""
        try:
            return time_round(round_, self._clock)
        except Exception:
            trainer.loss_value()
            raise

    def _without_transients(self, round_: Round, round_s: float, workload: Workload) -> list[Timed]:
        """Do more rounds where a few mishaps could decide that the case is hopeless.

        A neighbor that makes threads spin for each other has taken a 1 ms round to 1 s, once; and
        `torch.compile` compiles anew in each of the first few calls.
        """
        limit_s = PATIENCE * self.budget.max_time_s / self.budget.min_rounds
        most = COMPILING_CALLS if workload.compile else MORE_CALLS * (round_s < TRANSIENT * limit_s)
        more: list[Timed] = []
        while len(more) < most and min([round_s, *(timed.total_s for timed in more)]) > limit_s:
            more.append(time_round(round_, self._clock))
        return more

    def _after(self, case: Case, phase: Phase, trainer: Trainer) -> dict[str, Any]:
        trainer.loss_value()
        facts: dict[str, Any] = {}
        peak = trainer.device.peak_memory_bytes()
        # What a recorded graph uses was allocated when it was recorded, and is not counted in its rounds.
        if peak is not None and not trainer.workload.cuda_graph:
            facts["peak_memory_bytes"] = peak
        if phase.name == "train":
            with self._spend("timing"):
                facts |= self._parts(phase, trainer)
        trainer.release()
        return facts | self._work(case, trainer)

    def _work(self, case: Case, trainer: Trainer) -> dict[str, Any]:
        """Return how much work the phase is. Known only after its rounds, which counting could disturb."""
        moved = moved_bytes(case.phase, trainer)
        facts: dict[str, Any] = {} if moved is None else {"moved_bytes": moved}
        if case.phase not in PASSES:
            return facts
        counted = self._count(case, trainer.workload)
        if isinstance(counted, str):
            return facts | {"flops_unknown": counted}
        return facts | {"flops": counted.of(case.phase)}

    def _count(self, case: Case, workload: Workload) -> Flops | str:
        """Return the cell's operations, counted once; what could not be counted once is not tried again."""
        counted = self._flops.get(case.cell) or self._flops.get(case.cell[:2])
        if counted is None:
            with self._spend("preparing"):
                counted = count_flops(workload, self._clock)
            self._flops[case.cell[:2] if isinstance(counted, str) else case.cell] = counted
        return counted

    def _parts(self, phase: Phase, trainer: Trainer) -> dict[str, Any]:
        """Return the seconds of each part of the phase, from rounds of their own, never the timed ones."""
        device = trainer.device
        events = device.event_api()
        if device.is_accelerator:
            queued = enqueue_seconds(phase, trainer, PART_ROUNDS, self._clock)
            facts: dict[str, Any] = {
                "enqueue_s": queued.all_s,
                "enqueue_low_s": queued.low_s,
                "enqueue_high_s": queued.high_s,
                "enqueue_transfer_s": queued.transfer_s,
            }
            if events is not None:
                parts = part_seconds(phase, trainer, events, PART_ROUNDS)
                facts |= {"device_time_s": parts.pop("all"), "parts_s": parts}
            return facts
        # On a CPU a part is done when its call returns, so the host's clock can stand at every border.
        host = EventApi(self._clock, lambda start, end: end - start)
        parts = part_seconds(phase, trainer, host, PART_ROUNDS)
        del parts["all"]
        return {"parts_s": parts}

    def _compare_losses(
        self,
        case: Case,
        workload: Workload,
        losses: tuple[float | None, float | None],
        recipe: Recipe,
    ) -> dict[str, Any]:
        first, second = losses
        if first is None or second is None:
            return {}
        reference = self._cpu_reference(case, workload)
        if isinstance(reference, str):
            return {"loss_compared": reference}
        return compare((first, second), reference, case, workload, recipe)

    def _cpu_reference(self, case: Case, workload: Workload) -> Reference | str:
        if self._reference is None:
            key = ("reference", *case.cell[:2])
            predicted = self._references.predict(key, case.batch_size)
            if predicted is not None and predicted > PATIENCE * self.budget.max_time_s:
                self._reference = f"not compared: one step on the CPU is predicted to take {predicted:.2g} s"
            else:
                start = self._clock()
                self._reference = reference_of(workload)
                self._references.observe(key, case.batch_size, self._clock() - start)
        return self._reference

    @contextmanager
    def _spend(self, what: str) -> Iterator[None]:
        start = self._clock()
        try:
            yield
        finally:
            self.spent[what] += self._clock() - start
