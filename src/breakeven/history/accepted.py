"""The file of intended changes, and the changes that an entry covers.

The file is JSON, sorted, with one fact per line, so that a diff of it can be reviewed. An entry covers a
change of the same case in the same direction, up to `MAX_DISTANCE` measured commits away, because the
estimated place of a change moves as later runs arrive. An entry of a whole commit also covers the changes of
all other series that may be of that commit, since some of them are found only later. A run without a commit
is identified by its time.
"""

from __future__ import annotations

import datetime
import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any

import msgspec

from breakeven.case import SCHEMA
from breakeven.errors import UsageError
from breakeven.format import one_line
from breakeven.globs import Globs
from breakeven.history.query import StoredRun
from breakeven.history.storage import Location, StoredFile, open_storage
from breakeven.runs.json_files import DepthError, Place, mapping, moment_of, parsed

FILE = "accepted.json"
"""The name of the file in a store."""

MAX_DISTANCE = 5
"""How many measured commits a change may be away from the accepted one."""

_REMEDY = "fix it by hand, or delete it and accept again with `breakeven history accept`"

_Text = Annotated[str, msgspec.Meta(pattern=r"\S")]


class Direction(StrEnum):
    """Whether a change is for the worse."""

    WORSE = "worse"
    BETTER = "better"


@dataclass(frozen=True, order=True)
class Acceptance:
    """The changes of `cases`, which are names or patterns, around a commit are intended.

    With `whole`, so are those of every other series that may be of this commit. Where the run has no commit,
    `commit` is empty and `run` is when it was measured, in UTC and ISO 8601.
    """

    commit: str
    direction: Direction
    cases: tuple[str, ...]
    reason: str
    date: str
    run: str = ""
    whole: bool = False

    @property
    def place(self) -> str:
        """The run in a sentence."""
        return self.commit[:7] or self.run

    def covers(self, names: Iterable[str], direction: Direction) -> bool:
        """Return whether a change in this direction of a case with these names is intended."""
        return direction == self.direction and any(map(self._globs.match, names))

    @cached_property
    def _globs(self) -> Globs:
        return Globs(self.cases)

    def distance(self, at: StoredRun, own: Sequence[StoredRun], known: Sequence[StoredRun]) -> float:
        """Return the number of measured commits between a run of a series and this place; inf if unknown.

        A commit that the series was not measured at is placed among the series' runs by its date.

        Args:
            at: the run, one of `own`.
            own: the runs of the series, by time.
            known: all runs of the store, by time.
        """
        moments = {_commit_or_time(run): run.moment for run in reversed(own)}
        order = list(dict.fromkeys(map(_commit_or_time, own)))
        # Not by its date alone: another machine may have measured the commit long before.
        measured = (point for point in order if self.commit and point.startswith(self.commit))
        first = moments.get(next(measured, "")) or self._first(known)
        if first is None:
            return math.inf
        return abs(order.index(_commit_or_time(at)) - sum(moments[point] < first for point in order))

    def index_in(self, own: Sequence[StoredRun], known: Sequence[StoredRun]) -> int | None:
        """Return the index of this place among the runs of a series; None if it is unknown."""
        first = self._first(known)
        return None if first is None else first_index(own, self.commit, first)

    def _first(self, known: Sequence[StoredRun]) -> datetime.datetime | None:
        if self.run:
            return datetime.datetime.fromisoformat(self.run)
        return next((run.moment for run in known if run.commit.startswith(self.commit)), None)


def first_index(own: Sequence[StoredRun], commit: str, moment: datetime.datetime) -> int:
    """Return the index of the first run of a commit, or else of the first run at or after the moment."""
    measured = (i for i, run in enumerate(own) if commit and run.commit.startswith(commit))
    return next(measured, sum(run.moment < moment for run in own))


def _commit_or_time(run: StoredRun) -> str:
    """Return the key of a measured commit; a run without a commit counts by itself."""
    return run.commit or run.moment.isoformat()


class _Entry(msgspec.Struct):
    direction: Direction
    reason: _Text
    date: _Text
    cases: Annotated[list[str], msgspec.Meta(min_length=1)]
    commit: _Text | msgspec.UnsetType = msgspec.UNSET
    run: Any = msgspec.UNSET
    whole: bool = False


def accepted_file(store: Location, named: str | None) -> StoredFile:
    """Return the file of accepted changes: the one that was named, else the one in the store.

    Raises:
        UsageError: it is a malformed URL.
    """
    return StoredFile.at(named) if named else StoredFile(open_storage(store), FILE)


def read_accepted(path: str | os.PathLike[str] | StoredFile) -> tuple[Acceptance, ...]:
    """Return the entries of a file, none if it does not exist.

    Raises:
        RunFileError: the file is damaged; the message names the field.
        StorageError: its object store cannot be read.
    """
    file = StoredFile.at(path)
    place = Place(str(file))
    try:
        raw = file.read()
    except OSError as error:
        place.refuse(f"cannot be read ({error.strerror})", _REMEDY)
    return () if raw is None else _decoded(raw, place)


def _decoded(raw: bytes, place: Place) -> tuple[Acceptance, ...]:
    try:
        content = parsed(raw)
    except DepthError as error:
        place.refuse(str(error), _REMEDY)
    except ValueError as error:
        place.refuse(f"is not JSON ({one_line(error)})", _REMEDY)
    listed, schema = mapping(content).get("accepted"), mapping(content).get("schema")
    if type(schema) is int:
        place.refuse_newer(schema)
    if schema != SCHEMA or not isinstance(listed, list):
        place.refuse('holds no list of "accepted" changes', _REMEDY)
    try:
        entries = place.at("accepted").decode(listed, list[_Entry], _REMEDY)
    except UnicodeEncodeError:  # a lone surrogate, which msgspec cannot encode
        place.at("accepted").refuse("holds invalid text", _REMEDY)
    return tuple(_acceptance(entry, place.at(f"accepted[{i}]")) for i, entry in enumerate(entries))


def _acceptance(entry: _Entry, place: Place) -> Acceptance:
    decided = (entry.direction, tuple(entry.cases), entry.reason, entry.date)
    if isinstance(entry.commit, str):
        return Acceptance(entry.commit.lower(), *decided, whole=entry.whole)
    if entry.run is msgspec.UNSET:
        place.at("commit").refuse("is missing", _REMEDY)
    text = place.at("run").decode(entry.run, _Text, _REMEDY)
    try:
        return Acceptance("", *decided, moment_of(text).isoformat(), entry.whole)
    except (ValueError, OverflowError):
        place.at("run").refuse(f"{one_line(text, 40)!r} is not a date and time", _REMEDY)


def add_accepted(new: Sequence[Acceptance], path: str | os.PathLike[str] | StoredFile) -> None:
    """Add entries to the file; one replaces an older one for the same changes, including its reason.

    Raises:
        RunFileError: the file is damaged.
        UsageError: the file cannot be written; it is unchanged.
        StorageError: its object store cannot be written; it is unchanged.
    """
    file = StoredFile.at(path)

    def with_new(raw: bytes | None) -> bytes:
        known = () if raw is None else _decoded(raw, Place(str(file)))
        return _encoded({_changes(entry): entry for entry in (*known, *new)}.values())

    try:
        file.update(with_new)
    except OSError as error:
        raise UsageError(
            f"cannot write {one_line(file, 300)} ({error.strerror}); "
            "free some space, or choose another file with --accepted FILE"
        ) from error


def _changes(entry: Acceptance) -> tuple[object, ...]:
    """Return the key of the changes that an entry accepts."""
    return entry.commit, entry.run, entry.direction, "" if entry.whole else entry.cases


def _encoded(entries: Iterable[Acceptance]) -> bytes:
    """Return the content of a file, sorted."""
    content = {
        "schema": SCHEMA,
        "accepted": [
            {
                **({"commit": entry.commit} if entry.commit else {"run": entry.run}),
                "direction": entry.direction,
                "reason": entry.reason,
                "date": entry.date,
                **({"whole": True} if entry.whole else {}),
                "cases": list(entry.cases),
            }
            for entry in sorted(entries)
        ],
    }
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace")
