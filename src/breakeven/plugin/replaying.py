"""The session of a coordinator: measuring processes time the cases, and its own items replay their rounds."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from breakeven.case import SCHEMA, CaseKey, OutcomeKind
from breakeven.errors import UNFORESEEN, UnforeseenError, UsageError
from breakeven.fitness import Load
from breakeven.format import one_line, plural, printable
from breakeven.hardware.device import Device
from breakeven.measure.workload import Recipe
from breakeven.plugin.busy import BusyWatch
from breakeven.plugin.case_clock import CLOCK
from breakeven.plugin.coordinator import Coordinator, Stop
from breakeven.plugin.launching import Launcher
from breakeven.plugin.options import Options
from breakeven.plugin.progress import run_progress
from breakeven.plugin.session import BenchmarkSession, Untimed
from breakeven.plugin.summary import Timing
from breakeven.report.estimates import estimates
from breakeven.runs.joining import JoinedCase, join, joined_machine, process_records, spent
from breakeven.runs.journal import (
    Journal,
    JournalFile,
    JournalUnwritableError,
    LoadRead,
    RunStarted,
    read_journal,
    refuse_differences,
)
from breakeven.runs.json_files import JOURNAL, journal_of, recovery
from breakeven.runs.machine import machine_of
from breakeven.runs.recovery import benchmark_of
from breakeven.runs.schema import CaseFacts, CaseResult, Run
from breakeven.stats.intervals import median_interval

UNNAMED = Path(".breakeven", f"run.json{JOURNAL}")
"""The journal of a run without a run file."""


class ReplayingSession(BenchmarkSession):
    """Has the cases timed by measuring processes, and replays their rounds into pytest-benchmark."""

    journal: Journal
    is_timing_here = False

    def __init__(self, config: pytest.Config, options: Options) -> None:
        super().__init__(config, options)
        self._results: dict[str, CaseResult] = {}
        self._stop: Stop | None = None

    def arrange(self, items: list[pytest.Item], collected: Sequence[pytest.Item]) -> None:
        """Leave the cases in the order of the sweeps: each measuring process has its own."""

    def finish(self) -> None:
        """End the run as a measuring process has ended it."""
        if self._stop is not None:
            pytest.exit(self._stop.reason, returncode=self._stop.code)

    def _prepare(self, session: pytest.Session) -> None:
        path = journal_path(self.run_file.path)
        self._has_journal = path.exists()
        self._file = open_journal(path, self._run_started(session), resume=self.options.resume)
        self._open.callback(self._file.close)
        self.journal = read_journal(path)

    def _begin(self, session: pytest.Session, show: Callable[[str], None]) -> None:  # noqa: ARG002
        self.is_kept = False
        progress = run_progress(session, self)
        if self.options.resume and not self._has_journal:
            progress.say(f"nothing to resume: there is no {self.journal.path}; measuring from the start")
        launcher = Launcher(self.journal.path, session.config)
        look = BusyWatch(self.options.wait_idle_s, progress.say, self._keep_load)
        max_failures = session.config.getvalue("maxfail")
        coordinator = Coordinator(
            self.journal, self._file, launcher, self.options.timeout_s, max_failures, progress, look
        )
        try:
            self._stop = coordinator.run()
        except JournalUnwritableError as error:
            pytest.exit(printable(f"breakeven: {error}"), returncode=pytest.ExitCode.TESTS_FAILED)
        except UnforeseenError as error:
            pytest.exit(printable(f"breakeven: {error}{self.kept}"), returncode=UNFORESEEN)
        finally:
            progress.close()
        self.is_kept = True
        self._timed_first(session)

    def measure(
        self,
        item: pytest.Item,
        case: CaseKey,
        device: Device,  # noqa: ARG002 - the measuring processes have used them
        recipe: Recipe,  # noqa: ARG002
        benchmark: Any,
    ) -> Untimed | None:
        """Replay the rounds of a case; return how it ended if it has none, or if it crashed in a process."""
        joined = join(self.journal, item.nodeid)
        if not joined.is_timed:
            benchmark.has_error = True
            return self._untimed(item.nodeid, joined)
        benchmark.extra_info.update({**joined.extra_info, "processes": list(joined.processes)})
        item.stash[CLOCK].replay(joined.data)
        benchmark.pedantic(lambda: None, rounds=len(joined.data), warmup_rounds=0, iterations=1)
        self._keep(item.nodeid, joined)
        if joined.failure:
            text = f"{case.label()}: {joined.failure}; it was timed all the same"
            pytest.fail(printable(text), pytrace=False)
        return None

    def measured_s(self, nodeid: str) -> float:
        """Return the seconds that the measuring processes took for a case."""
        return sum(stored.seconds for stored in self.journal.ended.get(nodeid, {}).values())

    def machine(self) -> dict[str, Any]:
        """Return the machine's facts as the measuring processes found them."""
        return joined_machine(self.journal)

    def record(self) -> dict[str, Any]:
        """Return what the run file has of the processes."""
        finished = self.journal.finished
        return {
            "processes": process_records(self.journal),
            "settings": finished[min(finished)].settings if finished else {},
            "spent_s": spent(self.journal),
            "wall_s": self.wall_s,
        }

    def complete(self, output_json: dict[str, Any]) -> None:
        """Add breakeven's part to a run file before it is written, and the cases that were not replayed."""
        replayed = {one["fullname"] for one in output_json["benchmarks"]}
        for nodeid in self._timed - replayed - self.outcomes.keys():
            joined = join(self.journal, nodeid)
            output_json["benchmarks"].append(benchmark_of(joined))
            self._keep(nodeid, joined)
        super().complete(output_json)
        output_json["breakeven"]["complete"] &= self.journal.is_complete

    @property
    def kept(self) -> str:
        """Where the timings are if the run ends here, for the end of a message."""
        if not self.journal.ended:
            return ""
        return f"; what was measured is in {self.journal.path}: {recovery(self.journal.path)}"

    def close(self) -> None:
        """Remove the journal if the results have all of it, or if there is nothing in it."""
        if self.has_begun and (self._is_saved or not self.journal.ended):
            self.journal.path.unlink(missing_ok=True)
            if self.journal.path == UNNAMED:
                with suppress(OSError):  # there is something else in it
                    UNNAMED.parent.rmdir()
        super().close()

    def summary(self, columns: int) -> list[str]:
        """Return the last lines of the run."""
        lines: list[str] = []
        if self.is_kept:
            self._take_intervals_over_processes()
            lines = super().summary(columns)
            if self._timed <= self.timings.keys():
                return lines
        stored = [one for processes in self.journal.ended.values() for one in processes.values()]
        if not stored:
            return lines
        timed = plural(sum(one.is_timed for one in stored), "timing")
        return [
            *lines,
            "",
            f"breakeven: stopped with {timed} in {self.journal.path}; to go on, add --breakeven-resume to "
            "the command",
            f"breakeven: or make a run file of them: breakeven recover {shlex.quote(str(self.journal.path))}",
        ]

    def _take_intervals_over_processes(self) -> None:
        """Give the timings the intervals that a report gives them."""
        results = {result.name: result for result in self._results.values()}
        run = Run("", machine_of({"breakeven": self.machine()}), results)
        found = {estimate.key: estimate for estimate in estimates([run])}
        for nodeid, timing in self.timings.items():
            one = found[timing.case]
            interval = replace(timing.interval, low=one.low_s, median=one.median_s, high=one.high_s)
            self.timings[nodeid] = replace(timing, interval=interval)

    def _keep(self, nodeid: str, joined: JoinedCase) -> None:
        case = self.plan.cases[nodeid]
        assert case is not None
        self._results[nodeid] = _result(case, joined)
        facts = joined.extra_info
        self.timings[nodeid] = Timing(
            case, median_interval(joined.data), tuple(facts["flags"]), facts.get("batch_bytes")
        )

    def _keep_load(self, load: Load) -> None:
        self._file.write(LoadRead(load=load.as_dict()))

    def _untimed(self, nodeid: str, joined: JoinedCase) -> Untimed:
        outcome = self._record(nodeid, joined.outcome, joined.reason)
        if joined.stack and self.options.wants_traceback and joined.outcome == OutcomeKind.FAILED:
            # The summary at the end shows the first line.
            lines = [f"{outcome.name}: {outcome.reason}", *(line.expandtabs() for line in joined.stack)]
            pytest.fail("\n".join(map(printable, lines)), pytrace=False)
        return Untimed(outcome)

    def _timed_first(self, session: pytest.Session) -> None:
        """Let the cases with rounds come first, so that -x at one that failed loses none of them.

        Those that failed in some process come last of them.
        """
        ended = self.journal.ended
        failed = {
            nodeid for nodeid, stored in ended.items() if any(one.is_failure for one in stored.values())
        }
        timed = self._timed
        session.items.sort(key=lambda item: (item.nodeid not in timed, item.nodeid in failed))

    @property
    def _is_saved(self) -> bool:
        """Whether the results have all rounds of the journal."""
        return self.is_kept and self.run_file.problem is None and self._timed <= self.timings.keys()

    @property
    def _timed(self) -> set[str]:
        """The cases with rounds."""
        ended = self.journal.ended
        return {nodeid for nodeid, stored in ended.items() if any(one.is_timed for one in stored.values())}

    def _run_started(self, session: pytest.Session) -> RunStarted:
        config, options = session.config, self.options
        hook = config.hook
        cases = {nodeid: case.as_extra_info() for nodeid, case in self.plan.cases.items() if case is not None}
        files = {item.path for item in session.items if item.nodeid in self.plan.cases}
        budget = options.whole_budget()
        return RunStarted(
            schema=SCHEMA,
            pid=os.getpid(),
            began=datetime.now(UTC).isoformat(),
            command=options.command,
            processes=options.processes,
            seed=options.seed,
            shard=self.shard,
            cases=cases,
            sources={os.path.relpath(path, config.rootpath): _digest(path) for path in sorted(files)},
            settings={
                "breakeven": version("breakeven"),
                "torch": version("torch"),
                "max_time_s": budget.max_time_s,
                "min_rounds": budget.min_rounds,
                "precision": budget.target_precision,
            },
            machine_info=hook.pytest_benchmark_generate_machine_info(config=config),
            commit_info=hook.pytest_benchmark_generate_commit_info(config=config),
        )


def journal_path(run_file: Path | None) -> Path:
    """Return where the journal of a run goes: beside its run file, unless that is none, or a pipe."""
    is_a_file = run_file is not None and (run_file.is_file() or not run_file.exists())
    return journal_of(run_file) if run_file is not None and is_a_file else UNNAMED


def open_journal(path: Path, run: RunStarted, *, resume: bool) -> JournalFile:
    """Return the locked journal of a run: the one that is there if it is resumed, else a new one.

    An old one is renamed.

    Raises:
        UsageError: it cannot be written, another run has it, or it is of another run.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = JournalFile(path)
        if not file.lock():
            file.close()
            raise UsageError(
                f"{path} is being written by another run (process {read_journal(path).run.pid}); wait for "
                "it, or choose another file with --benchmark-json"
            )
        if path.stat().st_size:
            if resume:
                refuse_differences(read_journal(path), run)
                return file
            path.replace(path.with_name(f"{path.name}.old"))
            file.close()
            return open_journal(path, run, resume=False)
        file.write(run)
        file.flush()
    except (OSError, JournalUnwritableError) as error:
        reason = one_line(getattr(error, "strerror", None) or error)
        raise UsageError(
            f"the journal {path} cannot be written ({reason}); choose a directory that you may write and "
            "that has space, with --benchmark-json"
        ) from None
    return file


def _result(case: CaseKey, joined: JoinedCase) -> CaseResult:
    """Return a case as a reader of the run file will have it."""
    times_s, facts = np.array(joined.data), CaseFacts.of(joined.extra_info)
    name, processes = case.label(), tuple(joined.processes)
    return CaseResult(name, case, times_s, float(np.median(times_s)), (), facts, processes)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
