"""One run of a command: from its text to a run file that is whole, or one line that says why there is none.

Owns what counts as a run. The command writes beside; only what could be read takes its place among the runs.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from breakeven.errors import BreakevenError, RunFileError
from breakeven.experiment.shell import OUT, Executor, Job, filled_in
from breakeven.experiment.workspace import Folder
from breakeven.format import one_line
from breakeven.runs.readings import Run, read_run

Clock = Callable[[], float]

BROKEN = ("failed", "crashed")
"""Outcomes for which pytest exits with 1 though the other cases were timed."""

_TAIL_BYTES = 4096
_TAIL_LINES = 3


class CommandError(BreakevenError):
    """A command failed, or wrote no run file."""


@dataclass(frozen=True)
class Recorder:
    """Runs commands into a folder; `execute` runs a job to its exit status, `clock` tells seconds."""

    folder: Folder
    execute: Executor
    clock: Clock

    def record(
        self,
        name: str,
        what: str,
        command: str,
        environment: Mapping[str, str],
        earlier: Sequence[Run],
    ) -> Run:
        """Run the command once and keep its run, with its seconds and what is to be said of it.

        Args:
            name: of the run in the folder.
            what: how a message names it.
            command: with `{out}` in it.
            environment: what the command's has beside ours.
            earlier: the runs before it; a copy of one of them is no measurement.

        Raises:
            CommandError: it failed, or wrote no run file that is whole and new.
        """
        out, log = self.folder.begin(name), self.folder.log_path(name)
        began = self.clock()
        with self.folder.writing():
            status = self.execute(Job(filled_in(command, out), log, out, environment))
        seconds = self.clock() - began
        said = _checked(out, what, status, log, earlier)
        return self.folder.keep(name, {"seconds": seconds, "exit": status, "said": said})


def _checked(out: Path, what: str, status: int, log: Path, earlier: Sequence[Run]) -> list[str]:
    """Return what is to be said of a run that counts.

    Raises:
        CommandError: it does not.
    """
    try:
        run = read_run(out)
    except RunFileError as error:
        if status:
            raise _failed(what, status, log) from None
        wrote = "wrote no whole run file" if out.exists() else f"wrote nothing to {OUT}"
        because = f" ({error})" if out.exists() else ""
        raise CommandError(
            f"{what} {wrote}, though it exited with 0{because}{_heard(log)}; {_MEND}"
        ) from None
    broken = [case for case, ended in run.ended.items() if ended.outcome in BROKEN]
    if status and not (status == 1 and broken):
        raise _failed(what, status, log)
    copied = next((other.path for other in earlier if other.digest == run.digest), None)
    if copied is not None:
        raise CommandError(f"{what} wrote the same run as {copied}, so it measured nothing new; {_MEND}")
    if not status:
        return []
    shown = one_line(", ".join(broken[:3]), 200) + (f" and {len(broken) - 3} more" if broken[3:] else "")
    return [f"{what}: {shown} failed, see {log}; the other cases count"]


_MEND = "mend it and repeat the same command, which goes on with this run"


def _failed(what: str, status: int, log: Path) -> CommandError:
    return CommandError(f"{what} failed ({_status_words(status)}){_heard(log)}; {_MEND}")


def _status_words(status: int) -> str:
    number = -status if status < 0 else status - 128
    if status < 0 or number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGTERM):
        try:
            return f"ended by {signal.Signals(number).name}"
        except ValueError:
            return f"ended by signal {number}"
    return f"exit status {status}"


def _heard(log: Path) -> str:
    """Return the last lines that a command said, and where the rest is."""
    try:
        with log.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - _TAIL_BYTES))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [line.strip(" =_-") for line in text.splitlines()]
    last = [one_line(line, 200) for line in lines if line][-_TAIL_LINES:]
    return f", saying: {' | '.join(last)} (all in {log})" if last else ", saying nothing"
