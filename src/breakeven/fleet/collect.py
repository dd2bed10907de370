"""Keeps what the nodes send in the workspace: a directory for each class, and in it one for each instance.

``CLASS/INSTANCE/`` has `run.log`, `run.json` once the run has ended, and before that `run.json.journal`: the
cases that were finished, from which the same command resumes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from breakeven.errors import BreakevenError, RunFileError
from breakeven.experiment.run_command import last_lines
from breakeven.experiment.workspace import RunFacts, Workspace
from breakeven.files import read_file, write_whole
from breakeven.fleet.node import JOURNAL, LOG, RUN
from breakeven.fleet.plan import Place, mismatch
from breakeven.format import one_line
from breakeven.runs.journal import read_journal
from breakeven.runs.json_files import MAX_BYTES, encoded, parsed
from breakeven.runs.recovery import recovered_json, recovered_name, run_file_of

_PART = f"{RUN}.part"

_Kind = TypeVar("_Kind")


class _Parts(msgspec.Struct):
    machine_info: dict[str, object]
    benchmarks: list[msgspec.Raw]
    breakeven: dict[str, object] = {}


def check_whole(path: Path) -> _Parts:
    """Return the parts of a whole run file, at a tenth of the time of reading its cases.

    Raises:
        RunFileError: it is missing, cut or not a run file.
    """
    try:
        return _decoded(read_file(path, MAX_BYTES), _Parts)
    except (OSError, ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise RunFileError(f"{path} is not a whole run file ({one_line(error)})") from None


def _decoded(raw: bytes, kind: type[_Kind]) -> _Kind:
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError:  # it may have NaN, which JSON lacks and every other reader accepts
        return msgspec.json.decode(encoded(parsed(raw)), type=kind)


@dataclass(frozen=True)
class Collector:
    """Writes to an open workspace; its runs are the finished ones, by the name of their place.

    Args:
        workspace: where the files go.
        commit: pytest-benchmark's ``commit_info`` of the files that the nodes measure. The nodes have no
            repository, so run files get it here.
        resumes: whether a run goes on with what an earlier one finished on the same machine.
    """

    workspace: Workspace
    commit: Mapping[str, Any]
    resumes: bool = True

    @property
    def finished(self) -> dict[str, RunFacts]:
        """The finished runs."""
        return self.workspace.runs

    def count(self, class_id: str) -> int:
        """Return how many runs of a class are finished."""
        return sum(name.startswith(f"{class_id}/") for name in self.finished)

    def begin(self, place: Place) -> bytes:
        """Make room for a run, and return the journal of an earlier one on this instance."""
        directory = self.directory(place)
        with self.workspace.writing():
            directory.mkdir(parents=True, exist_ok=True)
            (directory / _PART).unlink(missing_ok=True)
            (directory / LOG).write_bytes(b"")
        if not self.resumes:
            self.set_aside(place)
        journal = directory / JOURNAL
        with self.workspace.writing():
            return read_file(journal, MAX_BYTES) if journal.exists() else b""

    def set_aside(self, place: Place) -> bool:
        """Rename the journal of a place, so that no run resumes it; return whether there was one."""
        journal = self.directory(place) / JOURNAL
        with self.workspace.writing():
            if not journal.exists():
                return False
            journal.replace(journal.with_name(f"{JOURNAL}.old"))
            return True

    def add(self, place: Place, file: str, data: bytes) -> None:
        """Append a piece to one of a run's files."""
        name = _PART if file == RUN else file
        with self.workspace.writing(), (self.directory(place) / name).open("ab") as stream:
            stream.write(data)

    def finish(self, place: Place, seconds: float, status: int) -> str | None:
        """Keep a run file, or return why it is not one of this place.

        Raises:
            RunFileError: there is no whole run file.
        """
        directory = self.directory(place)
        part = directory / _PART
        if not part.exists():
            return f"pytest wrote no run file{self.last_lines(place)}"
        found = check_whole(part)
        different = mismatch(place, found.machine_info)
        if different is not None:
            return f"its run does not have the node's settings: {different}; see {directory / LOG}"
        if not found.benchmarks and not found.breakeven.get("outcomes"):
            return f"its run measured nothing{self.last_lines(place)}"
        with self.workspace.writing():
            part.write_bytes(self._with_commit(read_file(part, MAX_BYTES)))
            part.replace(directory / RUN)
            for left in (directory / JOURNAL, recovered_name(directory / JOURNAL)):
                left.unlink(missing_ok=True)
            broken = [f"{place.node.host}: pytest ended with 1; see {directory / LOG}"] if status else []
            self.finished[place.run_name] = RunFacts(seconds=seconds, exit=status, warnings=broken)
            self.workspace.save()
        return None

    def _with_commit(self, run_file: bytes) -> bytes:
        commit = msgspec.Raw(json.dumps(self.commit).encode())
        return msgspec.json.encode({**_decoded(run_file, dict[str, msgspec.Raw]), "commit_info": commit})

    def last_lines(self, place: Place) -> str:
        """Return the last lines of a run's log, and its path."""
        return last_lines(self.directory(place) / LOG)

    def directory(self, place: Place) -> Path:
        """Return the directory of a place."""
        return (self.workspace.path / place.run_name).parent

    def run_files(self) -> list[Path]:
        """Return the finished run files, and what unfinished ones measured, recovered from their journals."""
        paths = [self.workspace.path / f"{name}.json" for name in sorted(self.finished)]
        for journal in sorted(self.workspace.path.glob(f"*/*/{JOURNAL}")):
            with suppress(BreakevenError):  # it has no whole line yet
                content = {**run_file_of(read_journal(journal)), "commit_info": self.commit}
                if content["benchmarks"]:
                    with self.workspace.writing():
                        write_whole(recovered_name(journal), recovered_json(content))
                    paths.append(recovered_name(journal))
        return paths
