"""The session that times the cases in its own process: a measuring process, or pytest's own.

It passes pytest-benchmark's timer to `breakeven.measure`, and timings to `breakeven.stats`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from breakeven.case import Budget, CaseKey, OutcomeKind
from breakeven.device_names import processes_of
from breakeven.errors import BreakevenError
from breakeven.fitness import Look
from breakeven.hardware.device import Device
from breakeven.hardware.load import wait_until_idle
from breakeven.hardware.machine import machine_facts, machine_state
from breakeven.measure.earlier import Earlier
from breakeven.measure.look import take_look
from breakeven.measure.outcomes import CaseSkipped, CaseTimeout
from breakeven.measure.round_plan import MIN_SLOW, RoundPlan
from breakeven.measure.runner import Runner
from breakeven.measure.sustained import load_facts
from breakeven.measure.timing import Round
from breakeven.measure.together import Together
from breakeven.measure.warnings_shown import warnings_shown
from breakeven.measure.workload import Recipe
from breakeven.plugin.busy import busy_lines
from breakeven.plugin.case_clock import CLOCK
from breakeven.plugin.options import Options
from breakeven.plugin.order import order_cases
from breakeven.plugin.plan import CasePlan
from breakeven.plugin.rank import Follower, Rank
from breakeven.plugin.retiming import Retiming
from breakeven.plugin.session import BenchmarkSession, Untimed, cells_of, reason_of
from breakeven.plugin.summary import Timing
from breakeven.plugin.worker import Worker, ended_case
from breakeven.runs.flags import evidence_in, refuse_impossible
from breakeven.runs.journal import CaseEnded
from breakeven.stats.intervals import median_interval


class MeasuringSession(BenchmarkSession):
    """Times cases. `worker` journals them, None in pytest's own process; `seed` is that of the order."""

    _runner: Runner
    _machine: MachineLog
    _retiming: Retiming

    def __init__(self, config: pytest.Config, options: Options, worker: Worker | None) -> None:
        super().__init__(config, options)
        self.worker = worker
        self.seed = options.seed + (0 if worker is None else worker.process)
        self._order: list[str] = []
        self._settings: dict[str, str] = {}
        self._ended: dict[str, CaseEnded] = {}
        self._benchmarks: dict[str, Any] = {}

    def arrange(self, items: list[pytest.Item], collected: Sequence[pytest.Item]) -> None:
        """Put the cases into the order of the run."""
        order_cases(items, collected, self.seed)

    def _prepare(self, session: pytest.Session) -> None:
        """Need nothing: the coordinator has checked it."""

    def _begin(self, session: pytest.Session, show: Callable[[str], None]) -> None:
        self._runner = Runner(Budget(), together=self._join())
        self._open.callback(self._runner.close)
        self._machine = MachineLog(self._runner)
        self._retiming = Retiming(self._runner)
        self._settings = self._runner.begin()
        self._order = cells_of(self.plan, (item.nodeid for item in session.items))
        if self.worker is not None:
            look = take_look(self.plan.devices).as_dict() if self.worker.is_first else None
            self.worker.begin(self, self._order, look)
        elif self.options.is_timing:
            self._look(show)

    def _join(self) -> Together | None:
        """Join the other processes of a group, where this one belongs to one."""
        if not isinstance(self.worker, Rank):
            return None
        together = self.worker.join(self.options.devices)
        self._open.callback(together.leave)
        return together

    def _look(self, show: Callable[[str], None]) -> None:
        if self.options.wait_idle_s:
            wait_until_idle(self.options.wait_idle_s, lambda line: show(f"breakeven: {line}"))
        self._machine.look = take_look(self.plan.devices)
        for line in busy_lines(self._machine.look):
            show(line)

    def measure(
        self, item: pytest.Item, case: CaseKey, device: Device, recipe: Recipe, benchmark: Any
    ) -> Untimed | None:
        """Time one case into `benchmark`; return the outcome if there is no timing.

        Ctrl-C and pytest's own exceptions pass through. `benchmark` is then marked as failed, because
        pytest-benchmark would not write the file if a case has no rounds.
        """
        benchmark.extra_info.update(case.as_extra_info())

        def time_rounds(round_: Round, plan: RoundPlan) -> None:
            clock = item.stash[CLOCK]
            clock.steps, clock.round_clock = round_.steps, round_.clock
            try:
                benchmark.pedantic(
                    round_.run,
                    setup=round_.setup,
                    rounds=plan.rounds,
                    warmup_rounds=plan.lead_in,
                    iterations=1,
                )
            except CaseTimeout:
                if not benchmark.stats or len(benchmark.stats.stats.data) < MIN_SLOW:
                    raise
                benchmark.has_error = False  # set by `pedantic`; the rounds until now are a timing
            if benchmark.enabled:
                refuse_impossible(benchmark.stats.stats.data)

        try:
            self._runner.budget = self.options.budget(item)
            if not benchmark.enabled and processes_of(case.device) is not None:
                self._record(item.nodeid, OutcomeKind.SKIPPED, "needs processes, and benchmarks are disabled")
                return None
            if not benchmark.enabled:
                self._runner.run_once(case, device, recipe, time_rounds)
                self._record(item.nodeid, OutcomeKind.SKIPPED, "ran once untimed: benchmarks are disabled")
                return None
            self.canary_s[item.nodeid] = self._machine.before_case(self.plan, ended=len(self.timings))
            facts = self._runner.measure(case, device, recipe, time_rounds, self._earlier(item.nodeid))
        except Exception as error:
            benchmark.has_error = True
            if (stop := _exit_in(error)) is not None:
                self.record_exit(item.nodeid, stop)
                raise stop from None
            if isinstance(error, CaseSkipped) and error.step_s is not None:
                self.step_s[item.nodeid] = error.step_s
            outcome = self._record(item.nodeid, *self._runner.note_failure(case, error))
            hint = "" if isinstance(error, BreakevenError) else "; --tb=short shows where"
            return Untimed(outcome, error if self.options.wants_traceback else None, hint)
        except BaseException:
            benchmark.has_error = True
            raise
        self._keep(item.nodeid, case, facts, benchmark)
        self._retiming.keep(self.timings[item.nodeid], device, recipe)
        return None

    def record_report(self, nodeid: str, outcome: str, longrepr: Any) -> None:
        """Record pytest's report of a case that ended without reaching `measure`, or failed after it."""
        super().record_report(nodeid, outcome, longrepr)
        if outcome == OutcomeKind.FAILED and nodeid in self._ended:
            reason = reason_of(longrepr)
            if not reason.startswith("[XPASS"):  # a replayed case passes unexpectedly again
                self._ended[nodeid].reason = reason

    def forget(self, nodeid: str) -> None:
        """Drop how an attempt at a case ended, before another one."""
        self._retiming.forget(self.timings.get(nodeid))
        self._ended.pop(nodeid, None)
        super().forget(nodeid)

    def retract(self, nodeid: str, benchmark: Any) -> Untimed:
        """Drop the timing of a function that calls `train_benchmark` again: its time would be ambiguous."""
        self._retiming.forget(self.timings.get(nodeid))
        return super().retract(nodeid, benchmark)

    def finish(self) -> None:
        """Time the first cell again, unless no other one was timed after it."""
        if len({timing.case.cell for timing in self.timings.values()}) > 1:
            self._machine.retimed = self._retiming.time_again()

    def machine(self) -> dict[str, Any]:
        """Return the machine's facts for the run file."""
        return self._machine.facts(self.plan.devices)

    def machine_at_start(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """Return the machine's facts before the first case; `known` as in `machine_facts`."""
        return self._machine.at_start(known)

    def record(self) -> dict[str, Any]:
        """Return what the run file has of this process."""
        return {
            "processes": [{"seed": self.seed, "order": self._order}],
            "settings": self._settings,
            "spent_s": self._runner.spent,
            "wall_s": self.wall_s,
        }

    def ended(self, nodeid: str) -> CaseEnded:
        """Return the journal's line of a case."""
        outcome = self.outcomes.get(nodeid)
        if nodeid in self.timings and outcome is None:
            ended = self._ended.pop(nodeid)
        else:
            kind = OutcomeKind.FAILED if outcome is None else outcome.outcome
            reason = "ended without a reason" if outcome is None else outcome.reason
            key = self.plan.cases.get(nodeid)
            info = {} if key is None else key.as_extra_info()
            ended = CaseEnded(process=0, case=nodeid, outcome=kind, reason=reason, extra_info=info)
        ended.step_s, ended.canary_s = self.step_s.get(nodeid), self.canary_s.get(nodeid, 0.0)
        return ended

    def release(self, nodeid: str) -> None:
        """Drop the rounds and the facts of a journaled case: pytest-benchmark keeps each case to the end."""
        benchmark = self._benchmarks.pop(nodeid, None)
        if benchmark is not None:
            benchmark.stats.stats.data.clear()
            benchmark.stats.extra_info = benchmark.extra_info = {}

    def _earlier(self, nodeid: str) -> Earlier | None:
        """Return what the processes before this one found of a case."""
        return None if self.worker is None else Earlier.of(self.worker.hand_on(nodeid))

    def _keep(self, nodeid: str, case: CaseKey, facts: dict[str, Any], benchmark: Any) -> None:
        times = benchmark.stats.stats.data
        interval = median_interval(times)
        self.step_s[nodeid] = facts.pop("step_s")
        steady, load = facts.pop("steady"), facts.pop("load")
        hand_on = facts.pop("hand_on")
        target = facts["target_precision"]
        facts["half_width"] = interval.half_width
        facts["evidence"] |= evidence_in(times, interval, target, steady=steady)
        facts["flags"] = sorted(facts["evidence"])
        if load is not None:
            facts |= load_facts(load, times, facts["steps"], facts["state"].get("samples", {}))
        benchmark.extra_info.update(facts)
        self.timings[nodeid] = Timing(case, interval, tuple(facts["flags"]), facts.get("batch_bytes"))
        if self.worker is not None:
            self._ended[nodeid] = ended_case(nodeid, benchmark, hand_on)
            self._benchmarks[nodeid] = benchmark


def _exit_in(error: BaseException | None) -> Exception | None:
    """Return the exception of `pytest.exit()` that an error is, or was raised from.

    What calls the recipe and the model takes it for an error of theirs.
    """
    while error is not None:
        if isinstance(error, pytest.exit.Exception):
            return error
        error = error.__cause__
    return None


class FollowingSession(MeasuringSession):
    """Follows rank 0 of a group through the same cases, and keeps nothing of them."""

    worker: Follower

    def _begin(self, session: pytest.Session, show: Callable[[str], None]) -> None:  # noqa: ARG002
        self._together = self._join()

    def measure(
        self,
        item: pytest.Item,
        case: CaseKey,  # noqa: ARG002 - the worker knows it
        device: Device,  # noqa: ARG002
        recipe: Recipe,
        benchmark: Any,  # noqa: ARG002
    ) -> None:
        """Do what rank 0 announces."""
        self.worker.follow(item, recipe)

    def forget(self, nodeid: str) -> None:
        """Leave it to rank 0, which alone has timings."""

    def retract(self, nodeid: str, benchmark: Any) -> Untimed:
        """Leave it to rank 0."""
        return BenchmarkSession.retract(self, nodeid, benchmark)

    def finish(self) -> None:
        """Follow rank 0 also where it times a cell again."""
        assert self._together is not None
        self._together.follow_rest()


class MachineLog:
    """The machine's state at the start and the end of a run, and the canary there and in the middle.

    `look` is what was found before the first case, `retimed` what `Retiming` returns.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.retimed: list[dict[str, Any]] = []
        self.look: Look | None = None
        self._start: dict[str, Any] | None = None
        self._is_past_middle = False
        self._facts: dict[str, Any] | None = None

    @warnings_shown()
    def at_start(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """Return the machine's facts before the first case; `known` as in `machine_facts`."""
        return machine_facts(known)

    @warnings_shown()
    def before_case(self, plan: CasePlan, ended: int) -> float:
        """Run the canary before the first case and before the one in the middle; return its seconds."""
        before_s = sum(self._runner.spent.values())
        if self._start is None:
            self._start = machine_state()
            self._runner.run_canary("start", plan.devices)
        elif not self._is_past_middle and 2 * ended >= len(plan.cases):
            self._is_past_middle = True
            self._runner.run_canary("middle", plan.devices)
        return sum(self._runner.spent.values()) - before_s

    @warnings_shown()
    def facts(self, devices: list[Device]) -> dict[str, Any]:
        """Return the machine's facts; the first call ends the run, because pytest-benchmark asks twice."""
        if self._facts is None:
            if self._start is not None:
                self._runner.run_canary("end", devices)
            self._facts = machine_facts()
            self._facts["state"] |= {
                "start": self._start,
                "end": machine_state(),
                "look": None if self.look is None else self.look.as_dict(),
                "canary": self._runner.canary,
                "retimed": self.retimed,
                "device_init_s": self._runner.device_init_s,
            }
        return self._facts
