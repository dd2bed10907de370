"""The working folder: what was asked for, and every run that is whole.

Owns the names in it, `plan.json`, and what happens to what an earlier call left there: whole runs of the same
commands stay and count, halves are cleared, other commands' are refused, a finished comparison is laid aside.
Knows nothing of schedules and statistics.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from breakeven.case import SCHEMA
from breakeven.errors import RunFileError, UsageError
from breakeven.files import write_whole
from breakeven.format import one_line
from breakeven.runs.json_files import load_json
from breakeven.runs.readings import Run, read_run
from breakeven.runs.schema import is_amount

PLAN, LOCK, UNFINISHED, PREVIOUS = "plan.json", ".lock", "unfinished", "previous"


@dataclass
class Folder:
    """An open folder. `plan` is what `plan.json` holds; `save` writes it.

    `runs` has the facts of every whole run: `seconds`, `exit`, and `said`, what is to be said of it. `said`
    is what there is to say of the folder.
    """

    path: Path
    plan: dict[str, Any]
    said: list[str] = field(default_factory=list)

    @property
    def runs(self) -> dict[str, dict[str, Any]]:
        """The facts of every whole run, by its name."""
        runs: dict[str, dict[str, Any]] = self.plan["runs"]
        return runs

    @property
    def spent_s(self) -> float:
        """How many seconds the whole runs took."""
        return float(sum(run["seconds"] for run in self.runs.values()))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is to be said of the runs, in their order."""
        return tuple(said for _, run in sorted(self.runs.items()) for said in run["said"])

    def run_path(self, name: str) -> Path:
        """Return where the whole run of that name lies."""
        return self.path / f"{name}.json"

    def log_path(self, name: str) -> Path:
        """Return where what its command said lies."""
        return self.path / f"{name}.log"

    def begin(self, name: str) -> Path:
        """Return where a run may be written until it is whole; nothing is there."""
        with self.writing():
            shutil.rmtree(self.path / UNFINISHED, ignore_errors=True)
            (self.path / UNFINISHED).mkdir()
        return self.path / UNFINISHED / f"{name}.json"

    def keep(self, name: str, facts: Mapping[str, Any]) -> Run:
        """Put a run that is whole in its place, remember the facts of it, and return it as it lies there."""
        with self.writing():
            (self.path / UNFINISHED / f"{name}.json").replace(self.run_path(name))
            shutil.rmtree(self.path / UNFINISHED, ignore_errors=True)
            self.runs[name] = dict(facts)
            self.save()
        return self.read(name)

    def read(self, name: str) -> Run:
        """Return a whole run."""
        return read_run(self.run_path(name))

    def save(self) -> None:
        """Write the plan, whole or not at all."""
        with self.writing():
            write_whole(self.path / PLAN, json.dumps(self.plan, indent=1).encode())

    def finish(self) -> None:
        """Remember that the outcome was shown: the same command then begins anew."""
        self.plan["finished"] = True
        self.save()

    def write(self, name: str, text: str) -> Path:
        """Write a file of that name beside the runs."""
        with self.writing():
            write_whole(self.path / name, text.encode("utf-8", "surrogateescape"))
        return self.path / name

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn a full disk, or one that may not be written, into one line."""
        try:
            yield
        except OSError as error:
            raise UsageError(
                f"the folder {self.path} cannot be written ({one_line(error)}); give it room and repeat the "
                "command, which goes on where it stopped"
            ) from None


@contextmanager
def opened(directory: Path, asked: Mapping[str, Any], started: str, *, fresh: bool) -> Iterator[Folder]:
    """Open the folder for what is asked; nobody else may have it open.

    Args:
        directory: where; made when it is not there.
        asked: plain JSON; whoever resumes must have asked for the same.
        started: the time of day, for people.
        fresh: begin anew, whatever is there.

    Raises:
        UsageError: the folder is of other commands, is in use, or cannot be written.
    """
    folder = Folder(directory.absolute(), {})
    with folder.writing():
        folder.path.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        found = _found(folder.path)
        if found is not None and found["runs"] and not fresh:  # of a typing error nothing is to be kept
            _check_same(found["asked"], asked, directory)
        if found is None or fresh or found.get("finished") or not found["runs"]:
            if found is not None and found["runs"]:
                _lay_aside(folder, directory)
            found = {"schema": SCHEMA, "asked": dict(asked), "started": started, "runs": {}}
        folder.plan = found
        _drop_halves(folder)
        folder.save()
        yield folder


@contextmanager
def _locked(folder: Folder) -> Iterator[None]:
    """Hold the folder until this process ends or is done with it."""
    try:
        import fcntl
    except ImportError:  # Windows: two at once in one folder go unnoticed
        yield
        return
    with folder.writing():
        lock = (folder.path / LOCK).open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"another breakeven is measuring in {folder.path}; wait for it, or name another folder with "
                "--output"
            ) from None
        yield


def _found(path: Path) -> dict[str, Any] | None:
    """Return the plan that is there, None where there is none.

    Raises:
        UsageError: there is something else.
    """
    if not (path / PLAN).exists():
        strange = sorted(item.name for item in path.iterdir() if item.name not in (LOCK, UNFINISHED))
        if strange:
            raise UsageError(
                f"{path} is not empty ({one_line(', '.join(strange), 60)}) and holds no {PLAN}; name another "
                "folder with --output"
            )
        return None
    try:
        content = load_json(str(path / PLAN))
    except RunFileError:
        content = None  # damaged: the runs beside it may be whole, but nothing says of which command
    is_plan = (
        isinstance(content, dict)
        and isinstance(content.get("asked"), dict)
        and isinstance(content.get("runs"), dict)
        and content.get("schema") == SCHEMA
        and all(map(_is_facts, content["runs"].values()))
    )
    if not is_plan:
        raise UsageError(
            f"{path / PLAN} is damaged, or no plan of this breakeven; name another folder with --output"
        )
    return dict(content)


def _is_facts(run: Any) -> bool:
    return isinstance(run, dict) and is_amount(run.get("seconds")) and isinstance(run.get("said"), list)


def _check_same(found: Mapping[str, Any], asked: Mapping[str, Any], directory: Path) -> None:
    for name in dict.fromkeys([*asked, *found]):
        if found.get(name) != asked.get(name):
            raise UsageError(
                f"{directory} holds runs of something else: {name} was {found.get(name)!r} and is now "
                f"{asked.get(name)!r}; name another folder with --output, or begin anew with --fresh"
            )


def _lay_aside(folder: Folder, directory: Path) -> None:
    """Move what is there into a folder of its own, in place of what lay there: it was worth minutes."""
    previous = folder.path / PREVIOUS
    with folder.writing():
        shutil.rmtree(previous, ignore_errors=True)
        previous.mkdir()
        for item in list(folder.path.iterdir()):
            if item.name not in (LOCK, PREVIOUS):
                item.replace(previous / item.name)
    folder.said.append(f"the runs that were in {directory} now lie in {directory}{os.sep}{PREVIOUS}")


def _drop_halves(folder: Folder) -> None:
    """Forget whatever is no whole run: it is measured again."""
    with folder.writing():
        shutil.rmtree(folder.path / UNFINISHED, ignore_errors=True)
    for name in list(folder.runs):
        try:
            folder.read(name)
        except RunFileError as error:
            folder.said.append(f"measured again: {error}")
            del folder.runs[name]
