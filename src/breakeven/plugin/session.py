"""The benchmarks of one pytest session: timings, outcomes without a timing, and the machine's state.

It passes pytest-benchmark's timer to `breakeven.measure`, and timings to `breakeven.stats`. Importing it
loads torch.
"""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import pytest

from breakeven.case import SCHEMA, Budget, CaseKey, Outcome, OutcomeKind
from breakeven.errors import BreakevenError
from breakeven.fitness import Look
from breakeven.hardware.device import Device
from breakeven.hardware.load import wait_until_idle
from breakeven.hardware.machine import machine_facts, machine_state
from breakeven.measure.look import take_look
from breakeven.measure.outcomes import CaseSkipped, CaseTimeout
from breakeven.measure.runner import Runner
from breakeven.measure.sustained import load_facts
from breakeven.measure.timing import MIN_SLOW, Round, RoundPlan
from breakeven.measure.warnings_shown import warnings_shown
from breakeven.measure.workload import Recipe
from breakeven.plugin.options import Options
from breakeven.plugin.order import sorted_in_place
from breakeven.plugin.output import RunFile, check_writable
from breakeven.plugin.plan import CasePlan
from breakeven.plugin.retiming import Retiming
from breakeven.plugin.step_clock import CLOCKS
from breakeven.plugin.summary import Timing, closing_lines, reason_lines, table_lines
from breakeven.runs.flags import evidence_in, refuse_impossible
from breakeven.stats.intervals import median_interval

Found = TypeVar("Found", Timing, Outcome)

PYTEST_PREFIX = re.compile(r"^(_pytest\.outcomes\.)?(Skipped|Failed|XFailed): ")


@dataclass(frozen=True)
class Untimed:
    """A case without a timing: its outcome, and the error if its traceback was requested."""

    outcome: Outcome
    error: Exception | None = None
    hint: str = ""

    def end_test(self) -> NoReturn:
        """Skip or fail the running test, with one line unless a traceback was requested."""
        __tracebackhide__ = True
        if self.outcome.outcome in (OutcomeKind.SKIPPED, OutcomeKind.OOM, OutcomeKind.TIMEOUT):
            pytest.skip(self.outcome.reason)
        if self.error is not None:
            raise self.error
        pytest.fail(f"{self.outcome.name}: {self.outcome.reason}{self.hint}", pytrace=False)


class BenchmarkSession:
    """One pytest session with at least one sweep: its options, its plan, and how each case ended."""

    @warnings_shown()
    def __init__(self, config: pytest.Config) -> None:
        self.options = Options(config)
        self.plan = CasePlan(self.options)
        self.run_file = RunFile(config.getoption("benchmark_json", None))
        self.timings: dict[str, Timing] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.step_s: dict[str, float] = {}
        self.canary_s: dict[str, float] = {}
        self.has_begun = False
        self._runner = Runner(Budget())
        self._machine = MachineLog(self._runner)
        self._retiming = Retiming(self._runner)
        self._order: list[str] = []
        self._settings: dict[str, str] = {}
        self._open = ExitStack()
        self._began_s = 0.0

    def begin(self, order: Iterable[str]) -> None:
        """Start the run of the tests with these ids.

        Raises:
            UsageError: the run file cannot be written.
        """
        if self.run_file.path is not None:
            check_writable(self.run_file.path)
        self._open.callback(self._runner.close)
        self._open.enter_context(sigterm_as_ctrl_c())
        self._settings = self._runner.begin()
        self.has_begun = True
        cases = [case for nodeid in order if (case := self.plan.cases.get(nodeid)) is not None]
        self._order = list(dict.fromkeys(case.cell.label() for case in cases))
        self._began_s = time.perf_counter()

    def look(self, notify: Callable[[str], object]) -> None:
        """Notify of what makes the machine unfit for timing; wait for an idle one if that was requested."""
        if not self.options.is_timing:
            return
        if self.options.wait_idle_s:
            wait_until_idle(self.options.wait_idle_s, notify)
        self._machine.look = take_look(self.plan.devices)
        for problem in self._machine.look.problems():
            notify(f"these numbers cannot be trusted: {problem}")

    def measure(
        self, item: pytest.Item, case: CaseKey, device: Device, recipe: Recipe, benchmark: Any
    ) -> Untimed | None:
        """Time one case into `benchmark`; return the outcome if there is no timing.

        Ctrl-C and pytest's own exceptions pass through. `benchmark` is then marked as failed, because
        pytest-benchmark would not write the file if a case has no rounds.
        """
        benchmark.extra_info.update(case.as_extra_info())

        def time_rounds(round_: Round, plan: RoundPlan) -> None:
            if CLOCKS in item.stash:
                item.stash[CLOCKS].steps = round_.steps
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
            if not benchmark.enabled:
                self._runner.run_once(case, device, recipe, time_rounds)
                self._record(item.nodeid, OutcomeKind.SKIPPED, "ran once untimed: benchmarks are disabled")
                return None
            self.canary_s[item.nodeid] = self._machine.before_case(self.plan, ended=len(self.timings))
            facts = self._runner.measure(case, device, recipe, time_rounds)
        except Exception as error:
            benchmark.has_error = True
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

    def retract(self, nodeid: str, benchmark: Any) -> Untimed:
        """Drop the timing of a function that calls `train_benchmark` again: its time would be ambiguous."""
        benchmark.has_error = True
        self._retiming.forget(self.timings.pop(nodeid, None))
        reason = "train_benchmark was called twice; call it once, and sweep or parametrize the differences"
        return Untimed(self._record(nodeid, OutcomeKind.FAILED, reason))

    def time_again(self) -> None:
        """Time the first cell again, unless no other one was timed after it."""
        if len({timing.case.cell for timing in self.timings.values()}) > 1:
            self._machine.retimed = self._retiming.time_again()

    def record_report(self, nodeid: str, outcome: str, longrepr: Any) -> None:
        """Record pytest's report of a case that ended without reaching `measure`."""
        if nodeid in self.timings or nodeid in self.outcomes:
            return
        reason = longrepr[2] if isinstance(longrepr, tuple) else getattr(longrepr, "reprcrash", longrepr)
        text = PYTEST_PREFIX.sub("", str(getattr(reason, "message", reason))).strip()
        self._record(nodeid, outcome, text.splitlines()[0] if text else "no reason given")

    def result(self, nodeid: str) -> str:
        """Return the outcome of a case and its name, as shown by the progress."""
        outcome = self.outcomes.get(nodeid)
        result = self.timings.get(nodeid) or ("ended" if outcome is None else outcome.outcome)
        return f"{result}, {self.plan.label(nodeid)}"

    def machine(self) -> dict[str, Any]:
        """Return the machine's facts for the run file."""
        return self._machine.facts(self.plan.devices)

    def complete(self, output_json: dict[str, Any]) -> None:
        """Add breakeven's part to a run file before it is written."""
        self.run_file.content = output_json
        for nodeid in self.plan.cases:
            if nodeid not in self.timings and nodeid not in self.outcomes:
                self._record(nodeid, OutcomeKind.SKIPPED, "not reached: the run was stopped before it")
        places = {nodeid: place for place, nodeid in enumerate(self.plan.cases)}
        benchmarks = output_json["benchmarks"]
        benchmarks[:] = sorted_in_place(benchmarks, lambda benchmark: places.get(benchmark["fullname"]))
        output_json["breakeven"] = {
            "schema": SCHEMA,
            "command": self.options.command,
            "processes": [{"seed": self.options.seed, "order": self._order}],
            "outcomes": [outcome.as_dict() for outcome in self._as_planned(self.outcomes)],
            "settings": self._settings,
            "spent_s": self._runner.spent,
            "wall_s": time.perf_counter() - self._began_s,
        }

    def close(self) -> None:
        """Release the devices and the signal handler."""
        self._open.close()

    def summary(self, columns: int) -> list[str]:
        """Return the last lines of the run."""
        wall_s = time.perf_counter() - self._began_s
        timings, outcomes = self._as_planned(self.timings), self._as_planned(self.outcomes)
        closing = closing_lines(timings, outcomes, self._runner.spent, wall_s, self.run_file.path)
        if self.run_file.problem is not None:
            closing = [closing[0], f"breakeven: {self.run_file.problem}"]
        return ["", *table_lines(timings, columns), *reason_lines(outcomes), *closing]

    def _keep(self, nodeid: str, case: CaseKey, facts: dict[str, Any], benchmark: Any) -> None:
        times = benchmark.stats.stats.data
        interval = median_interval(times)
        self.step_s[nodeid] = facts.pop("step_s")
        steady, load = facts.pop("steady"), facts.pop("load")
        target = facts["target_precision"]
        facts["half_width"] = interval.half_width
        facts["evidence"] |= evidence_in(times, interval, target, steady=steady)
        facts["flags"] = sorted(facts["evidence"])
        if load is not None:
            facts |= load_facts(load, times, facts["steps"], facts["state"].get("samples", {}))
        benchmark.extra_info.update(facts)
        self.timings[nodeid] = Timing(case, interval, tuple(facts["flags"]))

    def _as_planned(self, found: Mapping[str, Found]) -> list[Found]:
        """Return what was found by case in the order of the sweeps, not in that of the run."""
        return [found[nodeid] for nodeid in self.plan.cases if nodeid in found]

    def _record(self, nodeid: str, outcome: str, reason: str) -> Outcome:
        self.outcomes[nodeid] = Outcome(nodeid, outcome, reason, self.plan.cases.get(nodeid))
        return self.outcomes[nodeid]


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


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C, so that a canceled CI job keeps its results."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set a handler
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        if before is not None:  # None: the handler was not set from Python
            signal.signal(signal.SIGTERM, before)
