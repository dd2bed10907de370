"""Runs a command once: its run file is stored in the workspace, or one line states why there is none."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from breakeven.compare.noise_floor import check_one_class
from breakeven.errors import BreakevenError, RunFileError
from breakeven.experiment.shell import OUT, Executor, Job, fill_in
from breakeven.experiment.workspace import RunFacts, Workspace
from breakeven.format import duration, one_line, plural
from breakeven.runs.reader import read_run
from breakeven.runs.schema import Run

BROKEN = ("failed", "crashed")
"""The outcomes for which pytest exits with 1 although other cases were timed."""

PROCESSES_VARIABLE = "BREAKEVEN_PROCESSES"
"""The environment variable that limits a run to one measuring process: experiments schedule them by turns."""

SEED_VARIABLE = "BREAKEVEN_SEED"
"""The environment variable of a run's seed: each replicate takes its cells in another order."""

_TAIL_BYTES = 4096
_TAIL_LINES = 3
_REMEDY = "fix it, then run the same command to resume with this run"


class CommandError(BreakevenError):
    """A command failed, or wrote no usable run file."""


@dataclass(frozen=True)
class CommandRunner:
    """Runs commands and keeps their run files in a workspace; `clock` returns seconds."""

    workspace: Workspace
    execute: Executor
    clock: Callable[[], float]

    def run(
        self,
        name: str,
        label: str,
        command: str,
        seed: int,
        earlier: Sequence[Run],
        environment: Mapping[str, str] | None = None,
    ) -> Run:
        """Run the command once, in one measuring process, and store its run file.

        Args:
            name: of the run in the workspace.
            label: names the run in messages.
            command: contains `{out}`.
            seed: shuffles the order of its cells.
            earlier: the previous runs; a copy of one of them is an error.
            environment: other variables to add.

        Raises:
            CommandError: it failed, or did not write a new and complete run file.
        """
        out, log = self.workspace.begin(name), self.workspace.log_path(name)
        start = self.clock()
        with self.workspace.writing():
            given = {PROCESSES_VARIABLE: "1", SEED_VARIABLE: str(seed), **(environment or {})}
            status = self.execute(Job(fill_in(command, out), log, out, given))
        seconds = self.clock() - start
        warnings = _checked(out, label, status, log, earlier)
        return self.workspace.keep(name, RunFacts(seconds=seconds, exit=status, warnings=warnings))


def run_repeatedly(
    runner: CommandRunner, command: str, count: int, notify: Callable[[str], None]
) -> list[Run]:
    """Return `count` runs of the command; those in the workspace are reused.

    Raises:
        BreakevenError: the command failed, or the machine class is not the same in all runs.
        KeyboardInterrupt: completed runs are kept in the workspace.
    """
    workspace = runner.workspace
    notify(workspace.resume_message if workspace.runs else f"{plural(count, 'run')} of the same command")
    runs: list[Run] = []
    spent_s = 0.0
    for number in range(1, count + 1):
        name = f"run-{number:02}"
        if is_new := name not in workspace.runs:
            runs.append(runner.run(name, f"the command in run {number} of {count}", command, number, runs))
        else:
            runs.append(workspace.read(name))
        seconds = workspace.runs[name].seconds
        spent_s += seconds
        if is_new:
            left_s = (count - number) * spent_s / number
            left = f"; about {duration(left_s)} left" if number < count else ""
            notify(f"run {number} of {count}: {duration(seconds)}{left}")
        check_one_class(runs)  # after each run: an error after two runs costs less than one after ten
    return runs


def _checked(out: Path, label: str, status: int, log: Path, earlier: Sequence[Run]) -> list[str]:
    """Return the warnings about a usable run.

    Raises:
        CommandError: the run is not usable.
    """
    try:
        run = read_run(out)
    except RunFileError as error:
        if status:
            raise _failed(label, status, log) from None
        wrote = f"no complete run file ({error})" if out.exists() else f"nothing to {OUT}"
        raise CommandError(f"{label} exited with 0 but wrote {wrote}{last_lines(log)}; {_REMEDY}") from None
    broken = [case for case, outcome in run.untimed.items() if outcome.outcome in BROKEN]
    if status and not (status == 1 and broken):
        raise _failed(label, status, log)
    copied = next((other.path for other in earlier if other.digest == run.digest), None)
    if copied is not None:
        raise CommandError(f"{label} wrote the same run as {copied}, so it measured nothing new; {_REMEDY}")
    if not status:
        return []
    shown = one_line(", ".join(broken[:3]), 200) + (f" and {len(broken) - 3} more" if broken[3:] else "")
    return [f"{label}: {shown} failed (see {log}); the other cases are judged"]


def _failed(label: str, status: int, log: Path) -> CommandError:
    return CommandError(f"{label} failed ({_status_text(status)}){last_lines(log)}; {_REMEDY}")


def _status_text(status: int) -> str:
    number = -status if status < 0 else status - 128
    if status < 0 or number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGTERM):
        try:
            return f"ended by {signal.Signals(number).name}"
        except ValueError:
            return f"ended by signal {number}"
    return f"exit status {status}"


def last_lines(log: Path) -> str:
    """Return the last lines of a command's output, and the path of its log."""
    try:
        with log.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - _TAIL_BYTES))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [line.strip(" =_-") for line in text.splitlines()]
    last = [one_line(line, 200) for line in lines if line][-_TAIL_LINES:]
    return f", last output: {' | '.join(last)} (log: {log})" if last else ", without output"
