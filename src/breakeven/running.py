"""What the plugin remembers from collection to the last line: options, cases, timings, outcomes.

The only place where the wings meet: it hands pytest-benchmark's timer to the measuring wing, and the
timings to the statistics. Importing it loads torch, so the plugin does so once a sweep is collected.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from breakeven.analysing.flags import evidence_in, refuse_impossible
from breakeven.analysing.intervals import median_interval
from breakeven.analysing.naming import one_line
from breakeven.cases import SCHEMA, Budget, Case, Outcome
from breakeven.errors import BreakevenError, UsageError
from breakeven.invocation import command, words
from breakeven.measuring.devices import Device, parse_devices, usable_threads
from breakeven.measuring.machine import machine_facts, machine_state
from breakeven.measuring.phases import Phase, parse_phases
from breakeven.measuring.rounds import Plan, Round
from breakeven.measuring.session import Session
from breakeven.measuring.workloads import Recipe
from breakeven.progress import Last, Progress
from breakeven.summary import Timing, summary_lines
from breakeven.sweeps import Choice, Sweep, check_choice, chosen, parse_choice

SECONDS_PER_CASE = {False: 0.2, True: 0.4}
"""What a case costs on average, by whether its device is an accelerator, at 1 s of max_time."""

WIDE_TABLE = (
    "columns",
    "sort",
    "group-by",
    "name",
    "time-unit",
    "histogram",
    "compare",
    "cprofile",
    "verbose",
)
"""Options of pytest-benchmark that ask for its own table."""

PYTESTS_WORDS = re.compile(r"^(_pytest\.outcomes\.)?(Skipped|Failed|XFailed): ")

CPU_CLOCKS = ("process_time", "thread_time")


@dataclass(frozen=True)
class Ending:
    """How a case ended without a timing; `error` only where its traceback is wanted."""

    outcome: str
    reason: str
    error: Exception | None = None
    hint: str = ""


class Run:
    """One pytest session with at least one sweep.

    Options that cannot be used are remembered and raised by `check`, since an error during collection
    would cost every function of the file.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.sweeps: list[Mapping[str | None, Sweep]] = []
        self.expected: dict[str, Case | None] = {}
        self.timed: dict[str, Timing] = {}
        self.outcomes: dict[str, Outcome] = {}
        self._identities: dict[tuple[Any, ...], str] = {}
        self.begun = False
        self._complaints: list[UsageError] = []
        self.devices: Sequence[Device] = self._read("devices", lambda text: parse_devices(_names(text)))
        self.phases: Sequence[Phase] = self._read("phases", lambda text: parse_phases(_names(text)))
        self.choice: Choice = self._read("sweep", parse_choice)
        self.session = Session(Budget())
        self._written = False
        self._on_sigterm: Any = None
        self._machine: dict[str, Any] | None = None
        self._start: dict[str, Any] | None = None
        self._halfway = False
        self._began = time.perf_counter()

    def choice_for(self, sweeps: Mapping[str | None, Sweep]) -> Choice:
        """Return the choice, or none of it where it does not fit a function (which `check` tells)."""
        try:
            chosen(sweeps, self.choice)
        except UsageError as error:
            self._complaints.append(error)
            return Choice()
        return self.choice

    def check(self) -> None:
        """Refuse what cannot be used.

        Raises:
            UsageError: the first complaint.
        """
        if self._complaints:
            raise self._complaints[0]
        if self.sweeps:  # none where every mark is wrong, and each function says so
            check_choice(self.choice, self.sweeps)
        clock = str(self.config.getoption("benchmark_timer", ""))
        if any(name in clock for name in CPU_CLOCKS):
            raise UsageError(
                f"--benchmark-timer={clock} does not count waiting for a device; leave the option out"
            )
        self._budget(None)

    def add(self, nodeid: str, case: Case | None) -> None:
        """Expect a case; None stands for a function with a wrong mark.

        Raises:
            UsageError: another item has the same identity.
        """
        if case is not None:
            other = self._identities.setdefault(case.identity, nodeid)
            if other != nodeid:
                raise UsageError(f"{nodeid} and {other} are the same case, {case}; rename one of them")
        self.expected[nodeid] = case

    def begin(self) -> None:
        """Start the run: make room for its file.

        Raises:
            UsageError: the folder of ``--benchmark-json`` cannot be made or written to.
        """
        path = self._json_path()
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                writable = os.access(path if path.exists() else path.parent, os.W_OK) and not path.is_dir()
            except OSError:
                writable = False
            if not writable:
                raise UsageError(
                    f"--benchmark-json={path} cannot be written; name a file in a folder of yours"
                )
        if threading.current_thread() is threading.main_thread():
            # A CI job that is cancelled gets SIGTERM; as Ctrl-C it keeps what was measured so far.
            self._on_sigterm = signal.signal(signal.SIGTERM, signal.default_int_handler)
        self.begun = True
        self._began = time.perf_counter()

    def plan(self) -> str:
        """Return one line: how many cases, where, and about how long."""
        cases = [case for case in self.expected.values() if case is not None]
        models, cells = len({case.cell[:2] for case in cases}), len({case.cell for case in cases})
        duration = self._duration(cases)
        # Of what was asked for, what is left: -k or a list may have deselected the rest.
        left = {case.phase for case in cases}
        phases = ", ".join(phase.name for phase in self.phases if phase.name in left or not cases)
        devices = self._devices_left()
        counts = (
            f"{_count(len(cases), 'case')} ({_count(models, 'model')} in {_count(cells, 'cell')}: {phases})"
        )
        line = f"breakeven: {counts} on {', '.join(device.name for device in devices)}"
        usable = usable_threads()
        return f"{line}; {duration}" + "".join(
            f"\nbreakeven: {device.name} asks for more threads than the {usable} this process may use"
            for device in devices
            if not device.is_accelerator and device.threads > usable
        )

    def progress(self) -> Progress | None:
        """Return what will count the cases as they end; None where nothing is timed."""
        planned_s = {
            nodeid: self._planned_s(case) for nodeid, case in self.expected.items() if case is not None
        }
        return Progress(planned_s) if planned_s and self._times() else None

    def last(self, nodeid: str) -> Last:
        """Return how a case has ended, for the line that tells the progress."""
        name = one_line(self.expected[nodeid], 200)
        timing = self.timed.get(nodeid)
        if timing is not None:
            return Last.timed(name, timing.interval.median, timing.interval.half_width)
        return Last(name, self.outcomes[nodeid].outcome if nodeid in self.outcomes else "ended")

    def _devices_left(self) -> list[Device]:
        """Return the devices that have cases; where no case is known, all that were asked for."""
        left = {case.device for case in self.expected.values() if case is not None}
        return [device for device in self.devices if device.name in left or not left]

    def _times(self) -> bool:
        return not (self.config.getoption("benchmark_disable") or self.config.getoption("benchmark_skip"))

    def _planned_s(self, case: Case) -> float:
        is_accelerator = any(device.is_accelerator for device in self.devices if device.name == case.device)
        return SECONDS_PER_CASE[is_accelerator] * min(1.0, self._budget(None).max_time_s)

    def _duration(self, cases: Sequence[Case]) -> str:
        if not self._times():
            return "nothing is timed"
        seconds = 3 + sum(map(self._planned_s, cases))
        return f"about {seconds / 60:.1f} min" if seconds >= 60 else f"about {seconds:.0f} s"

    def measure(
        self, item: pytest.Item, case: Case, device: Device, recipe: Recipe, benchmark: Any
    ) -> Ending | None:
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
            self.session.budget = self._budget(item)
            if not benchmark.enabled:
                self.session.run_once(case, device, recipe, time_rounds)
                self._note(item.nodeid, "skipped", "ran once untimed: benchmarks are disabled")
                return None
            self._sing_when_due()
            facts = self.session.measure(case, device, recipe, time_rounds)
        except Exception as error:
            benchmark.has_error = True
            outcome, reason = self.session.note_failure(case, error)
            hint = "" if isinstance(error, BreakevenError) else "; --tb=short shows where"
            ending = Ending(outcome, reason, error if self._wants_traceback() else None, hint)
        except BaseException:
            benchmark.has_error = True
            raise
        else:
            self._keep(item.nodeid, case, facts, benchmark)
            return None
        self._note(item.nodeid, ending.outcome, ending.reason)
        return ending

    def retract(self, nodeid: str, benchmark: Any) -> Ending:
        """Take a timing back: the function called `train_benchmark` again, so what is its time?"""
        benchmark.has_error = True
        self.timed.pop(nodeid, None)
        reason = "train_benchmark was called twice; call it once, and sweep or parametrize what differs"
        self._note(nodeid, "failed", reason)
        return Ending("failed", reason)

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
                self.session.sing("end", self._devices_left())
            self._machine = machine_facts()
            self._machine["state"] = {
                "start": self._start,
                "end": machine_state(),
                "canary": self.session.canary,
                "device_init_s": self.session.device_init_s,
            }
        return self._machine

    def _sing_when_due(self) -> None:
        """Time the canary before the first case and halfway through."""
        if self._start is None:
            self._start = machine_state()
            self.session.sing("start", self._devices_left())
        elif not self._halfway and 2 * len(self.timed) >= len(self.expected):
            self._halfway = True
            self.session.sing("middle", self._devices_left())

    def complete(self, output_json: dict[str, Any]) -> None:
        """Put the outcomes into a run file that is about to be written."""
        self._written = True
        for nodeid in self.expected:
            if nodeid not in self.timed and nodeid not in self.outcomes:
                self._note(nodeid, "skipped", "not reached: the run was stopped before it")
        output_json["breakeven"] = {
            "schema": SCHEMA,
            "command": command(self._arguments(), os.environ),
            "outcomes": [outcome.as_dict() for outcome in self.outcomes.values()],
            "spent_s": self.session.spent,
            "wall_s": time.perf_counter() - self._began,
        }

    def end(self) -> None:
        """Write the run file where pytest-benchmark did not, since nothing was timed."""
        self.session.close()
        if self._on_sigterm is not None:
            signal.signal(signal.SIGTERM, self._on_sigterm)
        path = self._json_path()
        if path is None or self._written:
            return
        hook = self.config.hook
        machine_info = hook.pytest_benchmark_generate_machine_info(config=self.config)
        hook.pytest_benchmark_update_machine_info(config=self.config, machine_info=machine_info)
        output = hook.pytest_benchmark_generate_json(
            config=self.config,
            benchmarks=[],
            include_data=True,
            machine_info=machine_info,
            commit_info=hook.pytest_benchmark_generate_commit_info(config=self.config),
        )
        hook.pytest_benchmark_update_json(config=self.config, benchmarks=[], output_json=output)
        path.write_text(json.dumps(output, indent=4, default=str), encoding="utf-8")

    def summary(self) -> list[str]:
        """Return the lines that end the run."""
        wall_s = time.perf_counter() - self._began
        return summary_lines(
            list(self.timed.values()),
            list(self.outcomes.values()),
            self.session.spent,
            wall_s,
            self._json_path(),
        )

    def wants_wide_table(self) -> bool:
        """Tell whether pytest-benchmark's own table, histogram or comparison was asked for."""
        asked = words(self._arguments(), self.config.getini("addopts"), os.environ)
        return any(word.startswith(f"--benchmark-{option}") for word in asked for option in WIDE_TABLE)

    def _arguments(self) -> tuple[str, ...]:
        return tuple(self.config.invocation_params.args)

    def _keep(self, nodeid: str, case: Case, facts: dict[str, Any], benchmark: Any) -> None:
        times = benchmark.stats.stats.data
        interval = median_interval(times)
        steady, cut = facts.pop("steady"), facts.pop("cut_by_budget")
        facts["half_width"] = interval.half_width
        wished = facts["wished_half_width"]
        facts["evidence"] |= evidence_in(times, interval, wished, steady=steady, cut_by_budget=cut)
        facts["flags"] = sorted(facts["evidence"])
        benchmark.extra_info.update(facts)
        self.timed[nodeid] = Timing(case, interval, tuple(facts["flags"]))

    def _note(self, nodeid: str, outcome: str, reason: str) -> None:
        case = self.expected.get(nodeid)
        self.outcomes[nodeid] = Outcome(
            nodeid, outcome, reason, case.as_extra_info() if case is not None else {}
        )

    def _read(self, name: str, parse: Callable[[str], Any]) -> Any:
        """Return a parsed option, else the ini key; what an empty text gives where it cannot be used."""
        key = f"breakeven_{name}"
        text = self.config.getoption(key) or self.config.getini(key) or ""
        try:
            if not isinstance(text, str):
                raise UsageError(f'{key}={text!r} is no text; write for instance {key} = "{text[0]}"')
            return parse(text)
        except UsageError as error:
            option = f"--breakeven-{name}"
            named = str(error) if option in str(error) or key in str(error) else f"{option}: {error}"
            self._complaints.append(UsageError(named))
            return parse("")

    def _budget(self, item: pytest.Item | None) -> Budget:
        """Return pytest-benchmark's wishes, those of the item's own ``benchmark`` mark first."""
        mark = item.get_closest_marker("benchmark") if item is not None else None
        wishes = {} if mark is None else mark.kwargs

        def wish(name: str, default: Any) -> Any:
            given = wishes.get(name, self.config.getoption(f"benchmark_{name}", None))
            return default if given is None else given

        return Budget(
            min_rounds=max(6, int(wish("min_rounds", 6))),
            max_time_s=float(wish("max_time", 1.0)),
            half_width=float(wish("precision", 0.02)),
        )

    def _json_path(self) -> Path | None:
        path: Path | None = self.config.getoption("benchmark_json", None)
        return path

    def _wants_traceback(self) -> bool:
        option = self.config.option
        return option.fulltrace or option.usepdb or option.tbstyle in ("long", "short", "native")


def _names(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")] if text else []


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
