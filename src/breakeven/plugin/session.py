"""The benchmarks of one pytest session: what was planned, timed, and ended without a timing.

`measuring` has the session that times them, `replaying` the one that takes them from measuring processes.
"""

from __future__ import annotations

import re
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import pytest

from breakeven.case import SCHEMA, CaseKey, Outcome, OutcomeKind
from breakeven.experiment.shell import STOP_SIGNALS
from breakeven.format import one_line, printable
from breakeven.hardware.device import Device
from breakeven.measure.workload import Recipe
from breakeven.plugin.options import Options
from breakeven.plugin.order import sorted_in_place
from breakeven.plugin.output import RunFile
from breakeven.plugin.plan import CasePlan
from breakeven.plugin.summary import (
    Timing,
    answer_lines,
    closing_lines,
    ignored_lines,
    reason_lines,
    table_lines,
)
from breakeven.runs.joining import NOT_REACHED

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
            pytest.skip(printable(self.outcome.reason))
        if self.error is not None:
            raise self.error
        pytest.fail(printable(f"{self.outcome.name}: {self.outcome.reason}{self.hint}"), pytrace=False)


class BenchmarkSession(ABC):
    """One pytest session with at least one sweep: its options, its plan, and how each case ended.

    `shard` is what the run file records of the shard, None where every cell is measured. `is_kept` is whether
    the results may be written: a run that was stopped while it measured, or that times nothing because
    benchmarks are disabled, leaves the run file of the one before in its place.
    """

    is_timing_here = True
    """Whether the cases are timed in this process."""

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self.options = options
        self.plan = CasePlan(self.options)
        self.run_file = RunFile(config.getoption("benchmark_json", None))
        self.timings: dict[str, Timing] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.step_s: dict[str, float] = {}
        self.canary_s: dict[str, float] = {}
        self.shard: dict[str, Any] | None = None
        self.has_begun = False
        self.is_kept = True
        self._open = ExitStack()
        self._began_s = 0.0

    def begin(self, session: pytest.Session, show: Callable[[str], None]) -> None:
        """Start the run of a session's items, and show its plan.

        Raises:
            UsageError: the run file, or the journal, cannot be written.
        """
        self.run_file.begin(session.config)
        self._open.callback(self.run_file.close)
        path = self.run_file.path
        self.is_kept = self.options.is_timing or path is None or not path.exists()
        self._prepare(session)
        self._open.enter_context(signals_as_ctrl_c())
        self.has_begun = True
        self._began_s = time.perf_counter()
        for line in self.plan.summary():
            show(line)
        self._begin(session, show)

    @abstractmethod
    def arrange(self, items: list[pytest.Item], collected: Sequence[pytest.Item]) -> None:
        """Put the cases into the order of the run; `collected` are the items in that of the sweeps."""

    @abstractmethod
    def _prepare(self, session: pytest.Session) -> None:
        """Check what the run needs."""

    @abstractmethod
    def _begin(self, session: pytest.Session, show: Callable[[str], None]) -> None:
        """Start timing."""

    @abstractmethod
    def measure(
        self, item: pytest.Item, case: CaseKey, device: Device, recipe: Recipe, benchmark: Any
    ) -> Untimed | None:
        """Time one case into `benchmark`; return the outcome if there is no timing, or if it failed later."""

    @abstractmethod
    def machine(self) -> dict[str, Any]:
        """Return the machine's facts for the run file."""

    @abstractmethod
    def record(self) -> dict[str, Any]:
        """Return ``processes``, ``settings``, ``spent_s`` and ``wall_s`` of the run file."""

    def forget(self, nodeid: str) -> None:
        """Drop how an attempt at a case ended, before another one."""
        self.timings.pop(nodeid, None)
        self.outcomes.pop(nodeid, None)

    def retract(self, nodeid: str, benchmark: Any) -> Untimed:
        """Drop the timing of a function that calls `train_benchmark` again: its time would be ambiguous."""
        benchmark.has_error = True
        self.timings.pop(nodeid, None)
        reason = "train_benchmark was called twice; call it once, and sweep or parametrize the differences"
        return Untimed(self._record(nodeid, OutcomeKind.FAILED, reason))

    @abstractmethod
    def finish(self) -> None:
        """Do what is left when every case has ended."""

    def record_report(self, nodeid: str, outcome: str, longrepr: Any) -> None:
        """Record pytest's report of a case that ended without reaching `measure`."""
        if nodeid not in self.timings and nodeid not in self.outcomes:
            self._record(nodeid, outcome, reason_of(longrepr))

    def record_exit(self, nodeid: str, stop: Exception) -> None:
        """Record the case in which `pytest.exit()` ended the run, unless it has ended."""
        self.record_report(nodeid, OutcomeKind.SKIPPED, f"pytest.exit() ended the run: {one_line(stop, 200)}")

    def measured_s(self, nodeid: str) -> float:  # noqa: ARG002 - of a case that was timed elsewhere
        """Return the seconds that other processes took for a case."""
        return 0.0

    def result(self, nodeid: str) -> str:
        """Return the outcome of a case and its name, as shown by the progress."""
        outcome = self.outcomes.get(nodeid)
        result = self.timings.get(nodeid) or ("ended" if outcome is None else outcome.outcome)
        return f"{result}, {self.plan.label(nodeid)}"

    def complete(self, output_json: dict[str, Any]) -> None:
        """Add breakeven's part to a run file before it is written."""
        self.run_file.content = output_json
        for nodeid in self.plan.cases:
            if nodeid not in self.timings and nodeid not in self.outcomes:
                self._record(nodeid, OutcomeKind.SKIPPED, NOT_REACHED)
        places = {nodeid: place for place, nodeid in enumerate(self.plan.cases)}
        benchmarks = output_json["benchmarks"]
        benchmarks[:] = sorted_in_place(benchmarks, lambda benchmark: places.get(benchmark["fullname"]))
        outcomes = self._as_planned(self.outcomes)
        output_json["breakeven"] = {
            "schema": SCHEMA,
            "command": self.options.command,
            "complete": not any(outcome.reason == NOT_REACHED for outcome in outcomes),
            "outcomes": [outcome.as_dict() for outcome in outcomes],
            **({"shard": self.shard} if self.shard else {}),
            **self.record(),
        }

    @property
    def kept(self) -> str:
        """Where the timings are if the run ends here, for the end of a message."""
        return ""

    def close(self) -> None:
        """Release the devices and the signal handlers."""
        self._open.close()

    def summary(self, columns: int) -> list[str]:
        """Return the last lines of the run."""
        timings, outcomes = self._as_planned(self.timings), self._as_planned(self.outcomes)
        record = self.record()
        closing = closing_lines(timings, outcomes, record["spent_s"], record["wall_s"], self.run_file.path)
        if self.run_file.problem is not None:
            closing = [closing[0], f"breakeven: {self.run_file.problem}"]
        found = answer_lines(self.run_file.written, columns) or table_lines(timings, columns)
        return ["", *found, *reason_lines(outcomes), *ignored_lines(timings), *closing]

    @property
    def wall_s(self) -> float:
        """The seconds since the run began."""
        return time.perf_counter() - self._began_s

    def _as_planned(self, found: Mapping[str, Found]) -> list[Found]:
        """Return what was found by case in the order of the sweeps, not in that of the run."""
        return [found[nodeid] for nodeid in self.plan.cases if nodeid in found]

    def _record(self, nodeid: str, outcome: str, reason: str) -> Outcome:
        self.outcomes[nodeid] = Outcome(nodeid, outcome, reason, self.plan.cases.get(nodeid))
        return self.outcomes[nodeid]


def reason_of(longrepr: Any) -> str:
    """Return the first line of why a test failed or was skipped, from pytest's report."""
    reason = longrepr[2] if isinstance(longrepr, tuple) else getattr(longrepr, "reprcrash", longrepr)
    text = PYTEST_PREFIX.sub("", str(getattr(reason, "message", reason))).strip()
    return text.splitlines()[0] if text else "no reason given"


def cells_of(plan: CasePlan, nodeids: Iterable[str]) -> list[str]:
    """Return the labels of the cells of these cases, each once, in their order."""
    cases = [case for nodeid in nodeids if (case := plan.cases.get(nodeid)) is not None]
    return list(dict.fromkeys(case.cell.label() for case in cases))


@contextmanager
def signals_as_ctrl_c() -> Iterator[None]:
    """Treat what stops a process as Ctrl-C, so that a canceled job or a closed terminal keeps its results."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set a handler
        yield
        return
    # A program that nohup started ignores SIGHUP, and goes on doing so.
    heeded = [number for number in STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, signal.default_int_handler) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # None: the handler was not set from Python
                signal.signal(number, handler)
