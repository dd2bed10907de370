"""One run of our cases, first to last: what was timed, what gave no timing and why, what the machine did.

Beside `doctor` the only place where the wings meet: it hands pytest-benchmark's timer to the measuring wing,
and the timings to the statistics. Refuses to read options and to know what is still to come. Importing it
loads torch, so the plugin does so once a sweep is collected.
"""

from __future__ import annotations

import re
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from breakeven.case import SCHEMA, Budget, CaseKey, Outcome
from breakeven.errors import BreakevenError
from breakeven.format import one_line
from breakeven.hardware.devices import Device
from breakeven.hardware.machine import machine_facts, machine_state
from breakeven.measure.runner import Runner
from breakeven.measure.timing import Plan, Round
from breakeven.measure.workload import Recipe
from breakeven.plugin.options import Options
from breakeven.plugin.output import make_room, write_elsewhere, write_without_timings
from breakeven.plugin.plan import CasePlan
from breakeven.plugin.progress import Last
from breakeven.plugin.summary import Timing, summary_lines
from breakeven.runs.flags import evidence_in, refuse_impossible
from breakeven.stats.intervals import median_interval

PYTESTS_WORDS = re.compile(r"^(_pytest\.outcomes\.)?(Skipped|Failed|XFailed): ")


@dataclass(frozen=True)
class LastOutcome:
    """How a case ended without a timing; `error` only where its traceback is wanted."""

    outcome: str
    reason: str
    error: Exception | None = None
    hint: str = ""


class BenchmarkSession:
    """One pytest session with at least one sweep: its options, its agenda, and how each case has ended."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.options = Options(config)
        self.plan = CasePlan(self.options)
        self.timed: dict[str, Timing] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.runner = Runner(Budget())
        self.begun = False
        self.lost: str | None = None
        self._content: dict[str, Any] | None = None
        self._on_sigterm: Any = None
        self._machine: dict[str, Any] | None = None
        self._start: dict[str, Any] | None = None
        self._halfway = False
        self._began = time.perf_counter()

    def begin(self) -> None:
        """Start the run: make room for its file.

        Raises:
            UsageError: the folder of ``--benchmark-json`` cannot be made or written to.
        """
        if self.options.json_path is not None:
            make_room(self.options.json_path)
        if threading.current_thread() is threading.main_thread():
            # A CI job that is canceled gets SIGTERM; as Ctrl-C it keeps what was measured so far.
            self._on_sigterm = signal.signal(signal.SIGTERM, signal.default_int_handler)
        self.begun = True
        self._began = time.perf_counter()

    def last(self, nodeid: str) -> Last:
        """Return how a case has ended, for the line that tells the progress."""
        name = one_line(case.label() if (case := self.plan.cases[nodeid]) else nodeid, 200)
        timing = self.timed.get(nodeid)
        if timing is not None:
            return Last.timed(name, timing.interval.median, timing.interval.half_width)
        return Last(name, self.outcomes[nodeid].outcome if nodeid in self.outcomes else "ended")

    def measure(
        self, item: pytest.Item, case: CaseKey, device: Device, recipe: Recipe, benchmark: Any
    ) -> LastOutcome | None:
        """Time one case into `benchmark`; return how it ended where it gave no timing.

        Ctrl-C and pytest's own exceptions pass through; `benchmark` is then marked as failed, since
        pytest-benchmark would lose the whole file over a case without rounds.
        """
        benchmark.extra_info.update(case.as_extra_info())

        def time_rounds(round_: Round, plan: Plan) -> None:
            benchmark.pedantic(
                round_.run, setup=round_.setup, rounds=plan.rounds, warmup_rounds=plan.lead_in, iterations=1
            )
            if benchmark.enabled:
                refuse_impossible(benchmark.stats.stats.data)

        try:
            self.runner.budget = self.options.budget(item)
            if not benchmark.enabled:
                self.runner.run_once(case, device, recipe, time_rounds)
                self._note(item.nodeid, "skipped", "ran once untimed: benchmarks are disabled")
                return None
            self._sing_when_due()
            facts = self.runner.measure(case, device, recipe, time_rounds)
        except Exception as error:
            benchmark.has_error = True
            outcome, reason = self.runner.note_failure(case, error)
            hint = "" if isinstance(error, BreakevenError) else "; --tb=short shows where"
            ending = LastOutcome(outcome, reason, error if self.options.wants_traceback else None, hint)
        except BaseException:
            benchmark.has_error = True
            raise
        else:
            self._keep(item.nodeid, case, facts, benchmark)
            return None
        self._note(item.nodeid, ending.outcome, ending.reason)
        return ending

    def retract(self, nodeid: str, benchmark: Any) -> LastOutcome:
        """Take a timing back: the function called `train_benchmark` again, so what is its time?"""
        benchmark.has_error = True
        self.timed.pop(nodeid, None)
        reason = "train_benchmark was called twice; call it once, and sweep or parametrize what differs"
        self._note(nodeid, "failed", reason)
        return LastOutcome("failed", reason)

    def note_report(self, nodeid: str, outcome: str, longrepr: Any) -> None:
        """Keep pytest's word on a case of which we have none of our own."""
        if nodeid in self.timed or nodeid in self.outcomes:
            return
        reason = longrepr[2] if isinstance(longrepr, tuple) else getattr(longrepr, "reprcrash", longrepr)
        text = PYTESTS_WORDS.sub("", str(getattr(reason, "message", reason))).strip()
        self._note(nodeid, outcome, text.splitlines()[0] if text else "no reason given")

    def machine(self) -> dict[str, Any]:
        """Return the machine's facts, read once, when the run ends."""
        if self._machine is None:
            if self._start is not None:
                self.runner.run_canary("end", self.plan.devices)
            self._machine = machine_facts()
            self._machine["state"] = {
                "start": self._start,
                "end": machine_state(),
                "canary": self.runner.canary,
                "device_init_s": self.runner.device_init_s,
            }
        return self._machine

    def complete(self, output_json: dict[str, Any]) -> None:
        """Put the outcomes into a run file that is about to be written."""
        self._content = output_json
        for nodeid in self.plan.cases:
            if nodeid not in self.timed and nodeid not in self.outcomes:
                self._note(nodeid, "skipped", "not reached: the run was stopped before it")
        output_json["breakeven"] = {
            "schema": SCHEMA,
            "command": self.options.command,
            "outcomes": [outcome.as_dict() for outcome in self.outcomes.values()],
            "spent_s": self.runner.spent,
            "wall_s": time.perf_counter() - self._began,
        }

    def end(self) -> None:
        """Write the run file where pytest-benchmark did not, since nothing was timed."""
        self.runner.close()
        if self._on_sigterm is not None:
            signal.signal(signal.SIGTERM, self._on_sigterm)
        if self.options.json_path is not None and self._content is None:
            write_without_timings(self.options.json_path, self._config)

    def lose(self, error: OSError) -> None:
        """Remember that the results could not be written, and keep them elsewhere if there is room."""
        why = f"the results could not be written ({one_line(error.strerror or error, 300)})"
        self.lost = f"{why}; give them room, and measure again"
        if self._content is not None:
            with suppress(OSError):
                self.lost = f"{why}, and are kept in {write_elsewhere(self._content)}; move that file"

    def summary(self) -> list[str]:
        """Return the lines that end the run."""
        wall_s = time.perf_counter() - self._began
        return summary_lines(
            list(self.timed.values()),
            list(self.outcomes.values()),
            self.runner.spent,
            wall_s,
            self.options.json_path,
            self.lost,
        )

    def _sing_when_due(self) -> None:
        """Time the canary before the first case and halfway through."""
        if self._start is None:
            self._start = machine_state()
            self.runner.run_canary("start", self.plan.devices)
        elif not self._halfway and 2 * len(self.timed) >= len(self.plan.cases):
            self._halfway = True
            self.runner.run_canary("middle", self.plan.devices)

    def _keep(self, nodeid: str, case: CaseKey, facts: dict[str, Any], benchmark: Any) -> None:
        times = benchmark.stats.stats.data
        interval = median_interval(times)
        steady, cut = facts.pop("steady"), facts.pop("cut_by_budget")
        facts["half_width"] = interval.half_width
        wished = facts["target_precision"]
        facts["evidence"] |= evidence_in(times, interval, wished, steady=steady, cut_by_budget=cut)
        facts["flags"] = sorted(facts["evidence"])
        benchmark.extra_info.update(facts)
        self.timed[nodeid] = Timing(case, interval, tuple(facts["flags"]))

    def _note(self, nodeid: str, outcome: str, reason: str) -> None:
        case = self.plan.cases.get(nodeid)
        self.outcomes[nodeid] = Outcome(nodeid, outcome, reason, case)
