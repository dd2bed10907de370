"""Times the cases of one run, one after another, and returns the facts for the run file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

from breakeven.case import Budget, CaseKey, Cell, OutcomeKind
from breakeven.collector import collection_off
from breakeven.hardware.device import Device
from breakeven.hardware.devices import BestCpu
from breakeven.measure import sustained
from breakeven.measure.canary import run_canary
from breakeven.measure.cells import CellCache, in_effect
from breakeven.measure.counts import CountedModels
from breakeven.measure.cuda_graphs import prepare_graphs
from breakeven.measure.earlier import Earlier, hand_on
from breakeven.measure.flops import FlopCounts, moved_bytes
from breakeven.measure.loading_trainer import loading
from breakeven.measure.loss_check import LossCheck, Losses
from breakeven.measure.monitor import Sampler, evidence_of, snapshot, state_between, subnormal_evidence
from breakeven.measure.outcomes import CaseSkipped, UnsupportedError, outcome_of, reason_for
from breakeven.measure.parts import PART_ROUNDS, part_facts
from breakeven.measure.round_plan import MIN_SLOW, RoundNoise, RoundPlan, plan_rounds
from breakeven.measure.settings import as_texts, read_settings
from breakeven.measure.skips import Deadline, SkipPolicy, max_round_s, max_rounds_s, raise_if_over_budget
from breakeven.measure.thread_search import ThreadSearch
from breakeven.measure.timing import CLOCK, Clock, Round, Timed, time_round
from breakeven.measure.together import Together
from breakeven.measure.trainer import Trainer
from breakeven.measure.warmup import (
    Warmup,
    beyond_steady,
    block_steps,
    first_call_s,
    min_warmup,
    warm_up,
    warm_up_loop,
)
from breakeven.measure.warnings_shown import warnings_shown
from breakeven.measure.workload import Recipe, batch_facts, error_line
from breakeven.phases import Phase, parse_phase

TimeRounds = Callable[[Round, RoundPlan], None]
"""Times the planned rounds and stores the seconds; in a run, by `benchmark.pedantic`."""

MIN_CALLS, MAX_CALLS = 2, 6
"""The number of calls after the first that decide whether a case takes too long."""

PREPARING, WARMING_UP, TIMING = "preparing", "warming up", "timing"


class Runner:
    """Times cases, and knows what one case implies for the next. `spent` are the seconds by activity.

    Args:
        budget: what may be spent on the rounds of a case.
        clock: seconds; injected by tests.
        together: the ranks of a device of several processes, of which this is rank 0.
    """

    def __init__(self, budget: Budget, clock: Clock = CLOCK, together: Together | None = None) -> None:
        self.budget = budget
        self.device_init_s: dict[str, float] = {}
        self.canary: dict[str, dict[str, Any]] = {}
        self.spent = {PREPARING: 0.0, WARMING_UP: 0.0, TIMING: 0.0}
        self._clock = clock
        self._cells = CellCache(clock, together)
        self._losses = LossCheck(clock)
        self._flops, self._counts = FlopCounts(), CountedModels()
        self._skips = SkipPolicy(clock)
        self._threads = ThreadSearch(clock)
        self._warm: set[str] = set()
        self._last_place: tuple[Cell, str] | None = None
        self._open = ExitStack()

    @warnings_shown()
    def measure(
        self,
        case: CaseKey,
        device: Device,
        recipe: Recipe,
        time_rounds: TimeRounds,
        earlier: Earlier | None = None,
    ) -> dict[str, Any]:
        """Time one case and return the optional keys of its ``extra_info``.

        ``hand_on`` is none of them: a later process of the same run needs it for `Earlier.of`.

        Args:
            case: what is timed.
            device: where.
            recipe: builds the workload.
            time_rounds: times the planned rounds.
            earlier: what earlier processes of this run found of the case. Their facts are not returned again.

        Raises:
            CaseSkipped: the case is skipped, with the reason.
            RecipeError: the recipe raised or returned no workload.
            MeasurementError: the loss is NaN, or differs from the CPU's.
            Exception: whatever the workload raised; `outcomes.outcome_of` classifies it.
        """
        self._skips.refuse(case, was_timed=earlier is not None)
        if earlier is not None:
            self._losses.adopt(case.cell, earlier.reference)
            self._threads.adopt(case.cell, earlier.threads)
        deadline = Deadline(self.budget.timeout_s, self._clock)
        phase = parse_phase(case.phase)
        _refuse_ranks(phase, device)
        with (
            self._ready(case, device, recipe) as (trainer, captured),
            loading(trainer, phase, lambda: deadline.left_s, self._clock) as loaded,
        ):
            facts = {**device.describe(), "parameters": trainer.workload.parameters}
            facts["model_transfer_s"] = self._cells.model_transfer_s
            facts |= batch_facts(trainer.workload)
            round_ = Round(phase, trainer, deadline=deadline, clock=self._clock)
            if phase.needs_loader:
                round_ = round_.of(round_.cycle)
            early, losses = self._first_calls(case, round_, deadline, earlier)
            facts["first_call_s"] = first_call_s(early)
            with self._counted(PREPARING):
                limit_s = max_rounds_s(self.budget)
                if not device.is_accelerator and None not in losses:  # a call was a whole step
                    self._losses.observe_step(case.cell, min(timed.total_s for timed in early[1:]))
                compared = losses if trainer.compared_losses > 1 else (losses[0], None)
                facts |= self._losses.facts(case, trainer.workload, recipe, compared, limit_s)
            # Collecting disturbs the caches, so it comes before the last rounds of the warm-up.
            with collection_off(collect_first=True):
                warming_up = snapshot(device)
                plan, warmed = self._warmed_up(case, round_, early, deadline, earlier)
                device.reset_peak_memory()
                with self._counted(TIMING):
                    before = snapshot(device)
                    timed_round = round_.of(plan.steps)
                    timed_round.before_setup = sampler = Sampler(device, self._clock)
                    if trainer.closure is not None:
                        trainer.closure.count_again()
                    time_rounds(timed_round, plan)
                    state = state_between(before, snapshot(device), warming_up, sampler.samples)
            evidence = evidence_of(state, is_accelerator=device.is_accelerator)
            facts |= {"state": state, "evidence": evidence | subnormal_evidence(trainer.state_tensors())}
            facts |= warmed | captured | self._after_rounds(trainer)
            if earlier is None:
                facts |= self._found_once(case, phase, trainer, facts)
        return facts | loaded

    @warnings_shown()
    def run_once(self, case: CaseKey, device: Device, recipe: Recipe, time_rounds: TimeRounds) -> None:
        """Run one round of a case without a warm-up, for ``--benchmark-disable``."""
        phase, deadline = parse_phase(case.phase), Deadline(self.budget.timeout_s, self._clock)
        _refuse_ranks(phase, device)
        with (
            self._ready(case, device, recipe) as (trainer, _),
            loading(trainer, phase, lambda: deadline.left_s, self._clock),
        ):
            round_ = Round(phase, trainer, clock=self._clock)
            time_rounds(round_.of(round_.cycle) if phase.needs_loader else round_, RoundPlan(1, lead_in=0))
            trainer.loss_value()

    def begin(self) -> dict[str, str]:
        """Take torch's settings as they are now for the process's own, and return them as texts."""
        self._cells.process_settings = read_settings()
        return as_texts(self._cells.process_settings)

    def note_failure(self, case: CaseKey, error: BaseException) -> tuple[OutcomeKind, str]:
        """Remember how a case ended, drop its trainer, and return the kind and the reason."""
        kind, reason = outcome_of(error), reason_for(error)
        self._skips.add_failure(case, error, kind, reason)
        self._cells.drop_trainer(device_is_lost=kind is OutcomeKind.CRASHED)
        return kind, reason

    @warnings_shown()
    def run_canary(self, when: str, devices: Iterable[Device]) -> None:
        """Time the canary on each device and keep it under `when`; where it fails, record the error."""
        with self._counted(PREPARING):
            for device in devices:
                if device.name in self._skips.crashed:
                    continue
                try:
                    self._initialize(device)
                    result = run_canary(device, self._clock)
                except Exception as error:
                    result = {"unreadable": error_line(error)}
                self.canary.setdefault(device.name, {})[when] = result

    def close(self) -> None:
        """Drop the last cell, and close what reads the devices' states."""
        self._cells.close()
        self._open.close()

    @contextmanager
    def _ready(
        self, case: CaseKey, device: Device, recipe: Recipe
    ) -> Iterator[tuple[Trainer, dict[str, float]]]:
        """Yield the case's trainer in its initial state, with all it asks for, and what capturing took."""
        # Before the device becomes the current one, which alone makes a context.
        with self._counted(PREPARING):
            self._initialize(device)
            self._cells.timeout_s = self.budget.timeout_s
            threads = self._threads_set(case.cell, device, recipe)
        with threads, device.active():
            with self._counted(PREPARING):
                workload = self._cells.workload(case.cell, recipe)
            # The options of the workload override what its recipe sets.
            with self._cells.settings_in_effect(), in_effect(workload, device):
                with self._counted(PREPARING):
                    trainer = self._cells.trainer(case.cell, device, recipe)
                    trainer.start()
                    captured = prepare_graphs(trainer, self._clock)
                yield trainer, captured

    @contextmanager
    def _counted(self, activity: str) -> Iterator[None]:
        start = self._clock()
        try:
            yield
        finally:
            self.spent[activity] += self._clock() - start

    def _threads_set(self, cell: Cell, device: Device, recipe: Recipe) -> AbstractContextManager[None]:
        """Return the context in which a device that chooses its threads by cell has those of this cell."""
        if not isinstance(device, BestCpu):
            return nullcontext()
        workload = self._cells.workload(cell, recipe)
        with self._cells.settings_in_effect():
            return device.with_threads(self._threads.threads(cell, device, workload))

    def _initialize(self, device: Device) -> None:
        if device.name not in self.device_init_s:
            self._open.enter_context(device.state_kept_open())
            # Not `time_once`: its first synchronization would create the context before the clock is read.
            start = self._clock()
            device.initialize()
            self.device_init_s[device.name] = self._clock() - start

    def _first_calls(
        self, case: CaseKey, round_: Round, deadline: Deadline, earlier: Earlier | None
    ) -> tuple[list[Timed], Losses]:
        """Do the calls before the warm-up, and return them with the losses of the first two.

        The first call decides nothing, unless it confirms an earlier case: it may initialize or compile for a
        minute.
        """
        trainer = round_.trainer
        with self._counted(WARMING_UP):
            try:
                first = time_round(round_, self._clock)
            except Exception as error:
                trainer.loss_value()  # a loss that is not a number is the better reason
                explained = trainer.explained(error)
                if explained is error:
                    raise
                raise explained from error
            first_loss = self._compared_loss(round_)
            if earlier is not None and earlier.is_slow(first.latency_s, self.budget):
                deadline.check(MIN_SLOW * first.total_s)
                return [first], (first_loss, None)
            cycles = round_.cycle // round_.steps
            if self._may_be_skipped(case, earlier) and self._skips.is_expected(case, cycles * first.total_s):
                self._skip_if_slow(case, cycles * first.total_s)
            later = [time_round(round_, self._clock)]
            losses = first_loss, self._compared_loss(round_)
            while self._may_get_faster(round_, later, deadline, earlier):
                later.append(time_round(round_, self._clock))
            fastest_s = cycles * min(timed.total_s for timed in later)
            if self._may_be_skipped(case, earlier):
                deadline.check((MIN_SLOW + max(0, MIN_CALLS - len(later))) * fastest_s)
                self._skip_if_slow(case, fastest_s)
            else:
                deadline.check(MIN_SLOW * fastest_s)
        return [first, *later], losses

    def _compared_loss(self, round_: Round) -> float | None:
        """Return the loss of the last round, if it can be compared: not that of a loaded batch."""
        loss = round_.trainer.loss_value()
        return None if round_.phase.needs_loader else loss

    def _may_be_skipped(self, case: CaseKey, earlier: Earlier | None) -> bool:
        return earlier is None and self._skips.may_be_skipped(case)

    def _skip_if_slow(self, case: CaseKey, fastest_s: float) -> None:
        try:
            raise_if_over_budget(fastest_s, self.budget)
        except CaseSkipped:
            self._skips.observe(case, fastest_s, self.budget)
            raise

    def _may_get_faster(
        self, round_: Round, later: list[Timed], deadline: Deadline, earlier: Earlier | None
    ) -> bool:
        """Return whether another call may show that a case is not too slow.

        A busy neighbor can slow a few calls of 1 ms down to 1 s, and a compiler works in several of the
        first ones. Of what is always timed, or was by an earlier process, more than `MIN_CALLS` are only made
        where they get faster, and none at the level of earlier processes.
        """
        seconds = [timed.total_s for timed in later]
        if deadline.left_s < (1 + MIN_SLOW) * seconds[-1]:
            return False
        if earlier is not None and earlier.is_near(later[-1].latency_s):
            return False
        if len(later) < MIN_CALLS:
            return True
        if len(later) >= MAX_CALLS or min(seconds) <= max_round_s(self.budget):
            return False
        is_cheap = sum(seconds) < max_rounds_s(self.budget)
        may_be_stalled = not round_.phase.is_always_timed and earlier is None
        return seconds[-1] < seconds[-2] / 2 or (
            may_be_stalled and (is_cheap or round_.trainer.workload.compile)
        )

    def _warmed_up(
        self,
        case: CaseKey,
        round_: Round,
        early: list[Timed],
        deadline: Deadline,
        earlier: Earlier | None,
    ) -> tuple[RoundPlan, dict[str, Any]]:
        trainer = round_.trainer
        began_s = self._clock()
        with self._counted(WARMING_UP):
            warmup, steps = self._steady(case, round_, early, earlier)
            if self._may_be_skipped(case, earlier):
                self._skip_if_slow(case, warmup.fastest_s())
            deadline.check(MIN_SLOW * warmup.round_s(steps))
            load = sustained.load_before(round_, warmup, self.budget, began_s, self._clock)
        self._skips.add_timed(case)
        self._skips.observe(case, warmup.fastest_s(), self.budget)
        budget, noise = self.budget, None
        if earlier is not None:
            budget, noise = earlier.worthwhile(self.budget, round_.phase), earlier.noise
        plan = plan_rounds(warmup, budget, steps, deadline.left_s, noise)
        if load is not None:
            keep_steps = earlier is not None
            plan = sustained.lasting(plan, warmup, self.budget, deadline.left_s, keep_steps=keep_steps)
        noise = noise or RoundNoise.of(warmup, plan.steps)
        reference = self._losses.known(case.cell)
        threads = self._threads.chosen.get(case.cell) if isinstance(trainer.device, BestCpu) else None
        facts = {
            "warmup_rounds": 1 + len(warmup.rounds) + plan.lead_in,
            "planned_rounds": plan.rounds,
            "target_precision": self.budget.target_precision,
            "steady": warmup.steady,
            "load": load,
            "step_s": warmup.latency_s if round_.phase.needs_loader else warmup.round_s(),
            "hand_on": hand_on(warmup.latency_s, noise, plan.steps, threads, reference),
        }
        if round_.phase.is_loop:
            facts["steps"] = plan.steps
        if trainer.workload.compile:
            # torch compiles in the first few calls, nearly all of it in the first case of a model. With
            # graphs, it compiled before, and `prepare_graphs` returns the seconds.
            facts["compile_s"] = beyond_steady(early, warmup)
        return plan, facts

    def _steady(
        self, case: CaseKey, round_: Round, early: list[Timed], earlier: Earlier | None
    ) -> tuple[Warmup, int]:
        """Warm up, in a later process as far as the device and the case are not at their level yet."""
        device, max_s = round_.trainer.device, self.budget.max_time_s
        has_settled = earlier.has_settled if earlier is not None and device.name in self._warm else None
        self._warm.add(device.name)
        place = case.cell, device.name
        minimum = min_warmup(device)
        if place == self._last_place:
            minimum = minimum.of_next_case()
        self._last_place = place
        calls = early[1:]
        if earlier is not None and not calls:
            return Warmup(tuple(early), steady=True), earlier.steps
        if not round_.phase.is_loop:
            same = calls if round_.cycle == 1 else ()
            return warm_up(round_.of(1), minimum, max_s, same, self._clock, has_settled), 1
        budget = sustained.warmup_budget(round_, self.budget)
        if earlier is None:
            return warm_up_loop(round_, minimum, budget, calls, self._clock)
        block = round_.of(block_steps(earlier.steps, round_.cycle))
        same = calls if block.steps == round_.steps else ()
        return warm_up(block, minimum, budget.max_time_s, same, self._clock, has_settled), earlier.steps

    def _after_rounds(self, trainer: Trainer) -> dict[str, Any]:
        """Return what is known once the rounds have ended."""
        trainer.loss_value()
        facts = self._cells.ran_with()
        if trainer.closure is not None and trainer.closure.steps:
            facts["closure_calls"] = trainer.closure.calls_per_step
        peak = trainer.device.peak_memory_bytes()
        # A graph's memory was allocated when it was captured, and does not count in its rounds.
        if peak is not None and not trainer.workload.cuda_graph:
            facts["peak_memory_bytes"] = peak
        return facts

    def _found_once(
        self, case: CaseKey, phase: Phase, trainer: Trainer, known: dict[str, Any]
    ) -> dict[str, Any]:
        """Return facts that would disturb the rounds if they were collected earlier, once per run."""
        facts: dict[str, Any] = {}
        # As many as fit into the time of a case, so that a slow step is not repeated for its parts.
        cycle_s = trainer.cycle(phase) * known["step_s"]
        part_rounds = min(PART_ROUNDS, int(self.budget.max_time_s / max(cycle_s, 1e-9)))
        if _has_parts(phase, trainer) and part_rounds > 0:
            with self._counted(TIMING):
                facts |= part_facts(phase, trainer, self._clock, part_rounds)
        trainer.release()
        moved, ranks = moved_bytes(phase, trainer), trainer.device.processes
        facts |= {} if moved is None else {"moved_bytes": ranks * moved}
        with self._counted(PREPARING):
            if ranks == 1:  # what several exchange is not counted
                facts = self._counts.facts(case.cell, phase, trainer.workload) | facts
            calls = known.get("closure_calls")
            return facts | self._flops.facts(case.cell, phase, trainer.workload, ranks, calls)


def _refuse_ranks(phase: Phase, device: Device) -> None:
    if phase.needs_loader and device.processes > 1:
        raise UnsupportedError(
            f"{phase} is not timed on {device.name}: each of its processes would load every batch"
        )


def _has_parts(phase: Phase, trainer: Trainer) -> bool:
    """Return whether a case's facts have the parts of a phase, and how long it is queued.

    One step with loaded batches would not show them: a worker's batch waits for the others of its burst.
    """
    is_queued = phase is Phase.INFER and trainer.device.is_accelerator
    return not phase.needs_loader and (is_queued or len(trainer.parts.of_phase(phase).timed) > 1)
