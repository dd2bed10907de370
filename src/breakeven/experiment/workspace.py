"""The directory of an experiment: `plan.json`, the completed runs, and their logs.

An interrupted experiment resumes there: completed runs of the same commands are reused, incomplete ones are
deleted. The runs of a finished experiment stay, or move to `previous`; those of other commands are an error.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Literal

import msgspec

from breakeven.errors import RunFileError, UsageError
from breakeven.experiment.shell import KILL_AFTER_S, is_running
from breakeven.files import read_file, write_whole
from breakeven.format import one_line, plural
from breakeven.locks import try_lock
from breakeven.runs.json_files import MAX_BYTES, Amount, convert, parsed
from breakeven.runs.reader import read_run
from breakeven.runs.schema import Run
from breakeven.temporary import is_temporary

PLAN, LOCK, UNFINISHED, PREVIOUS = "plan.json", ".lock", "unfinished", "previous"

_CHOOSE_ANOTHER = "choose another directory with --output"

WAIT_S = 2 * KILL_AFTER_S
"""How long the command of a call that was killed is waited for; it ends on its own within `KILL_AFTER_S`."""


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What `plan.json` records of a completed run."""

    seconds: Amount
    warnings: list[str] = msgspec.field(name="said")
    exit: int = 0


class ExperimentPlan(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The content of `plan.json`.

    `asked` must be the same to resume. `finished` is set once the result was shown, `exhausted` if the limits
    ended the experiment. `chosen` has the options that chose a fleet's machines, once all of them measured.
    """

    schema: Literal[1]
    asked: dict[str, Any]
    started: str = ""
    runs: dict[str, RunFacts]
    finished: bool = False
    exhausted: bool = False
    chosen: dict[str, Any] = {}


@dataclass
class Workspace:
    """An open directory. `save` writes `plan`; `messages` were collected while opening it."""

    path: Path
    plan: ExperimentPlan
    messages: list[str] = field(default_factory=list)

    @property
    def runs(self) -> dict[str, RunFacts]:
        """The completed runs by name."""
        return self.plan.runs

    @property
    def spent_s(self) -> float:
        """The seconds that the completed runs took."""
        return sum(run.seconds for run in self.runs.values())

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings of the completed runs, in their order."""
        return tuple(warning for _, run in sorted(self.runs.items()) for warning in run.warnings)

    @property
    def resume_message(self) -> str:
        """One line about the runs that are reused."""
        if self.plan.finished:
            return self.finished_message("compared")
        return (
            f"resuming in {self.path}: {plural(len(self.runs), 'completed run')} since {self.plan.started} "
            f"{self._are} reused (--fresh starts over)"
        )

    def finished_message(self, used: str) -> str:
        """Return one line about a finished experiment, whose runs are compared or reported again."""
        return (
            f"finished in {self.path}: {plural(len(self.runs), 'run')} since {self.plan.started} {self._are} "
            f"{used} again (--fresh measures again)"
        )

    @property
    def _are(self) -> str:
        return "is" if len(self.runs) == 1 else "are"

    def log_path(self, name: str) -> Path:
        """Return the path of a run's log."""
        return self.path / f"{name}.log"

    def begin(self, name: str) -> Path:
        """Return the path that a command writes its run file to; an earlier attempt is deleted."""
        with self.writing():
            shutil.rmtree(self.path / UNFINISHED, ignore_errors=True)
            (self.path / UNFINISHED).mkdir()
        return self.path / UNFINISHED / f"{name}.json"

    def keep(self, name: str, facts: RunFacts) -> Run:
        """Move a complete run file to the completed runs, record its facts, and return the run."""
        with self.writing():
            (self.path / UNFINISHED / f"{name}.json").replace(self.path / f"{name}.json")
            shutil.rmtree(self.path / UNFINISHED, ignore_errors=True)
            self.runs[name] = facts
            self.save()
        return self.read(name)

    def read(self, name: str) -> Run:
        """Return a completed run."""
        return read_run(self.path / f"{name}.json")

    def save(self) -> None:
        """Write the plan."""
        # Not msgspec's encoder, which rejects lone surrogates: bytes of a command that are not UTF-8.
        # On one line: indentation takes ten times as long, and a large fleet saves after each of its runs.
        self.write(PLAN, json.dumps(msgspec.to_builtins(self.plan)))

    def finish(self) -> None:
        """Record that the result was shown: the same command measures nothing more."""
        self.plan.finished = True
        self.save()

    def write(self, name: str, text: str) -> Path:
        """Write a file next to the runs and return its path."""
        with self.writing():
            write_whole(self.path / name, text.encode("utf-8", "surrogatepass"))
        return self.path / name

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn an OSError into a UsageError of one line."""
        try:
            yield
        except OSError as error:
            raise UsageError(
                f"{self.path} cannot be written ({one_line(error)}); free some space or fix its permissions, "
                "then run the same command to resume"
            ) from None


@contextmanager
def open_workspace(
    directory: Path,
    asked: Mapping[str, Any],
    started: str,
    *,
    fresh: bool,
    keeps_finished: bool = False,
    check: Callable[[Path], object] = read_run,
) -> Iterator[Workspace]:
    """Open the directory of an experiment; no other process can have it open.

    Args:
        directory: made if missing.
        asked: plain JSON that identifies the experiment; it must be the same to resume.
        started: the time of day, shown when the experiment is resumed.
        fresh: start over even if there are completed runs.
        keeps_finished: do not start over where the experiment is finished.
        check: raises a RunFileError for a run file that cannot be used; that run is measured again.

    Raises:
        UsageError: the directory contains something else, is in use, or cannot be written.
    """
    new = ExperimentPlan(schema=1, asked=dict(asked), started=started, runs={})
    workspace = Workspace(directory.absolute(), new)
    with workspace.writing():
        workspace.path.mkdir(parents=True, exist_ok=True)
    with _locked(workspace):
        found = load_plan(workspace.path)
        _wait_for_commands(workspace, found)
        if found is not None and found.runs:  # a plan without runs, as after a typo, is replaced
            if not fresh:
                _check_same(found.asked, asked, directory)
            if fresh or (found.finished and not keeps_finished):
                _move_to_previous(workspace, directory)
            else:
                workspace.plan = found
        _drop_incomplete(workspace, check)
        workspace.save()
        yield workspace


def load_plan(path: Path) -> ExperimentPlan | None:
    """Return the plan in the directory; None where the directory is empty.

    Raises:
        UsageError: the directory contains something else.
    """
    plan = path / PLAN
    if not plan.exists():
        names = {item.name for item in path.iterdir()} - {LOCK, UNFINISHED}
        # A call that was killed while it wrote the first plan leaves a part of it.
        other = sorted(name for name in names if not is_temporary(name))
        if other:
            raise UsageError(
                f"{path} is not empty ({one_line(', '.join(other), 60)}) and has no {PLAN}; {_CHOOSE_ANOTHER}"
            )
        return None
    with suppress(OSError, ValueError):  # msgspec's errors and JSON's are ValueErrors
        found = convert(parsed(read_file(plan, MAX_BYTES)), ExperimentPlan)
        if all(map(_is_inside, found.runs)):
            return found
    raise UsageError(f"{plan} is damaged, or not a plan of this version of breakeven; {_CHOOSE_ANOTHER}")


def _is_inside(name: str) -> bool:
    """Return whether a run's name leads to no other directory."""
    path = Path(f"{name}.json")
    return not path.is_absolute() and ".." not in path.parts


@contextmanager
def _locked(workspace: Workspace) -> Iterator[None]:
    """Lock the directory until the end of the block or of this process."""
    with workspace.writing():
        lock = (workspace.path / LOCK).open("wb")
    with lock:
        if not try_lock(lock):
            raise UsageError(
                f"another breakeven is measuring in {workspace.path}; wait for it, or {_CHOOSE_ANOTHER}"
            )
        yield


def _wait_for_commands(workspace: Workspace, found: ExperimentPlan | None) -> None:
    """Wait for the command of a call that was killed: it would disturb what is measured now.

    Raises:
        UsageError: it does not end.
    """
    completed = {} if found is None else found.runs
    for log in workspace.path.glob("*.log"):
        if log.stem in completed or not is_running(log):
            continue
        workspace.messages.append("waited for the command of an earlier call, which was killed, to end")
        end_s = monotonic() + WAIT_S
        while is_running(log):
            if monotonic() > end_s:
                raise UsageError(
                    f"a process that an earlier call started still runs (`lsof {log}` lists it); end it, or "
                    f"{_CHOOSE_ANOTHER}"
                )
            sleep(0.05)


def _check_same(found: Mapping[str, Any], asked: Mapping[str, Any], directory: Path) -> None:
    for name in dict.fromkeys([*asked, *found]):
        if found.get(name) != asked.get(name):
            raise UsageError(
                f"{directory} contains runs of another experiment: {name} was {found.get(name)!r} and is now "
                f"{asked.get(name)!r}; {_CHOOSE_ANOTHER}, or start over with --fresh"
            )


def _move_to_previous(workspace: Workspace, directory: Path) -> None:
    """Move the files to `previous`, replacing its content: they took minutes to measure."""
    previous = workspace.path / PREVIOUS
    with workspace.writing():
        shutil.rmtree(previous, ignore_errors=True)
        previous.mkdir()
        for item in list(workspace.path.iterdir()):
            if item.name not in (LOCK, PREVIOUS):
                item.replace(previous / item.name)
    workspace.messages.append(f"moved the earlier runs in {directory} to {directory}{os.sep}{PREVIOUS}")


def _drop_incomplete(workspace: Workspace, check: Callable[[Path], object]) -> None:
    """Drop every run that is incomplete or can no longer be read: it is measured again."""
    with workspace.writing():
        shutil.rmtree(workspace.path / UNFINISHED, ignore_errors=True)
    for name in list(workspace.runs):
        try:
            check(workspace.path / f"{name}.json")
        except RunFileError as error:
            workspace.messages.append(f"will be measured again: {error}")
            del workspace.runs[name]
            workspace.plan.finished = False
