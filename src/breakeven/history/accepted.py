"""Which changes are meant, and why: a JSON file that people review, beside the store or in their repository.

Owns the file: its shape, that it is sorted, and that it is replaced whole. Owns too when an entry speaks of a
change: the same case, the same direction, and a commit at most five measured ones away, because the estimated
place of a change moves a little as later runs arrive. Where the runs tell no commit, the time of a run stands
for it. Finds no changes itself.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import math
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from breakeven.case import SCHEMA
from breakeven.errors import NewerSchemaError, UsageError
from breakeven.format import one_line
from breakeven.history.query import StoredRun

FILE = "accepted.json"
"""The file's name, where it stands in the store."""

REACH = 5
"""How many measured commits a change may lie from the one that was accepted."""

WORSE, BETTER = "worse", "better"

_DATE = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True, order=True)
class Accepted:
    """A decision: the changes of `cases` around a commit are meant; a case is a name, or a pattern.

    Where the run tells no commit, `commit` is empty and `run` is when it was measured, in UTC and ISO 8601.
    """

    commit: str
    direction: str
    cases: tuple[str, ...]
    reason: str
    date: str
    run: str = ""

    @property
    def place(self) -> str:
        """How a sentence names where the change is."""
        return self.commit[:7] or self.run

    def covers(self, names: Iterable[str], direction: str) -> bool:
        """Return whether the decision speaks of such a change of the case that has these names."""
        return direction == self.direction and any(matches(p, name) for p in self.cases for name in names)

    def distance(self, at: StoredRun, own: Sequence[StoredRun], known: Sequence[StoredRun]) -> float:
        """Return how many commits of a series lie between a run of it and this decision; inf where unknown.

        A commit that the series was not measured at has its place among the series' runs by its date.

        Args:
            at: the run, one of `own`.
            own: the series' runs, by time.
            known: all runs of the store, by time.
        """
        moments = {_point(run): run.moment for run in reversed(own)}
        order = list(dict.fromkeys(map(_point, own)))
        # By its date alone, another machine that measured the commit long before would move it.
        measured = (point for point in order if self.commit and point.startswith(self.commit))
        first = moments.get(next(measured, "")) or self._first(known)
        if first is None:
            return math.inf
        return abs(order.index(_point(at)) - sum(moments[point] < first for point in order))

    def _first(self, known: Sequence[StoredRun]) -> datetime.datetime | None:
        if self.run:
            return datetime.datetime.fromisoformat(self.run)
        return next((run.moment for run in known if run.commit.startswith(self.commit)), None)


def _point(run: StoredRun) -> str:
    """Return what counts as one measured commit; a run that tells none is one by itself."""
    return run.commit or run.moment.isoformat()


def matches(pattern: str, case: str) -> bool:
    """Return whether a case is the one named, or fits a pattern of ``*`` and ``?``.

    Brackets mean nothing, since pytest's ids are full of them.

    >>> matches("mlp * cuda*", "mlp train cuda batch=64"), matches("a[1]", "a[1]"), matches("mlp", "mlp 2")
    (True, True, False)
    """
    if pattern == case:
        return True
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch("".join(parts), case, re.DOTALL) is not None


def read_accepted(path: str | os.PathLike[str]) -> tuple[Accepted, ...]:
    """Return the decisions that stand in a file; none where there is no file.

    Raises:
        UsageError: the file is not what `write_accepted` makes; names what is wrong in it.
    """
    try:
        raw = Path(path).read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise _unusable(path, f"cannot be read ({error.strerror})") from error
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _unusable(path, f"is not JSON ({one_line(error)})") from error
    schema = content.get("schema") if isinstance(content, dict) else None
    if type(schema) is int and schema > SCHEMA:
        raise NewerSchemaError(
            f"{one_line(path, 300)}: schema: {schema} is newer than this breakeven reads ({SCHEMA}); "
            "upgrade breakeven"
        )
    listed = content.get("accepted") if isinstance(content, dict) else None
    if schema != SCHEMA or not isinstance(listed, list):
        raise _unusable(path, 'holds no list of "accepted" changes')
    return tuple(_entry(item, path, i) for i, item in enumerate(listed))


def write_accepted(entries: Iterable[Accepted], path: str | os.PathLike[str]) -> None:
    """Replace the file by these decisions, sorted, each once; written aside first, so that no half stays.

    Raises:
        UsageError: it cannot be written; what stood there stays.
    """
    content = {
        "schema": SCHEMA,
        "accepted": [
            {
                **({"commit": entry.commit} if entry.commit else {"run": entry.run}),
                "direction": entry.direction,
                "reason": entry.reason,
                "date": entry.date,
                "cases": list(entry.cases),
            }
            for entry in sorted(set(entries))
        ],
    }
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    target, temporary = Path(path), None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
        with os.fdopen(handle, "wb") as stream:
            stream.write(text.encode("utf-8", "backslashreplace"))
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)  # mkstemp makes files that only we may read, and people review this one
        Path(temporary).replace(target)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink(missing_ok=True)
        raise UsageError(
            f"cannot write {one_line(path, 300)} ({error.strerror}); "
            "make room, or choose another with --accepted FILE"
        ) from error


def find_run(place: str, runs: Sequence[StoredRun]) -> StoredRun:
    """Return the run that a person means: the first of a commit, or the one that was measured then.

    Args:
        place: at least 7 hexadecimal digits of a commit; or a date, with as much of the time (UTC) as it
            takes to tell the run from others.
        runs: those of the store, by time.

    Raises:
        UsageError: there is none, or there are several; names those that are near.
    """
    wished = place.strip()
    if not _DATE.match(wished):
        commit = find_commit(place, [run.commit for run in runs])
        return next(run for run in runs if run.commit == commit)
    stamp = wished.replace(" ", "T", 1)
    found = {_point(run): run for run in reversed(runs) if run.moment.isoformat().startswith(stamp)}
    if len(found) == 1:
        return next(iter(found.values()))
    near = sorted(found.values(), key=lambda run: run.moment) or sorted(
        runs, key=lambda run: -_shared(run.moment.isoformat(), stamp)
    )
    listed = ", ".join(run.moment.isoformat() for run in near[:5])
    problem = f"is the time of {len(found)} runs; give all of one" if found else "is the time of no run"
    raise UsageError(f"{one_line(wished, 60)!r} {problem}; near it: {listed or 'none, the store is empty'}")


def find_commit(prefix: str, commits: Sequence[str]) -> str:
    """Return the one commit that begins so.

    Args:
        prefix: at least 7 hexadecimal digits.
        commits: those of the store, in the order of their runs.

    Raises:
        UsageError: none does, or several do; names those that are near.
    """
    wished = prefix.lower()
    known = list(dict.fromkeys(filter(None, commits)))
    found = [commit for commit in known if commit.startswith(wished)]
    if len(found) == 1 and len(wished) >= 7:
        return found[0]
    shown = one_line(prefix, 60)
    if len(wished) < 7 or not re.fullmatch(r"[0-9a-f]+", wished):
        problem = "is no commit: give at least 7 of its hexadecimal digits"
    else:
        problem = "is the beginning of several commits" if found else "was never measured"
    near = found or sorted(known, key=lambda commit: -_shared(commit, wished))[:3]
    listed = ", ".join(commit[:12] for commit in (*near[:5], *known[-3:]))
    remedy = (
        f"near it, and the newest: {listed}"
        if known
        else "no run of the store tells one: give a run's date and time, as `history check` prints it"
    )
    raise UsageError(f"commit {shown!r} {problem}; {remedy}")


def _shared(a: str, b: str) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _entry(item: Any, path: str | os.PathLike[str], index: int) -> Accepted:
    where = f"accepted[{index}]"
    if not isinstance(item, dict):
        raise _unusable(path, f"{where} is not an object")
    place = "run" if "run" in item and "commit" not in item else "commit"
    for key in (place, "direction", "reason", "date"):
        if not isinstance(item.get(key), str) or not item[key].strip():
            raise _unusable(path, f"{where}.{key} is missing or no text")
    if item["direction"] not in (WORSE, BETTER):
        shown = one_line(item["direction"], 40)
        raise _unusable(path, f"{where}.direction is {shown!r}, not {WORSE} or {BETTER}")
    cases = item.get("cases")
    if not isinstance(cases, list) or not cases or not all(isinstance(case, str) for case in cases):
        raise _unusable(path, f"{where}.cases is no list of names")
    entry = Accepted("", item["direction"], tuple(cases), item["reason"], item["date"])
    if place == "commit":
        return replace(entry, commit=item["commit"].lower())
    return replace(entry, run=_moment(item["run"], path, where))


def _moment(text: str, path: str | os.PathLike[str], where: str) -> str:
    try:
        moment = datetime.datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        return moment.astimezone(datetime.UTC).isoformat()
    except (ValueError, OverflowError) as error:
        raise _unusable(path, f"{where}.run is {one_line(text, 40)!r}, no date and time") from error


def _unusable(path: str | os.PathLike[str], problem: str) -> UsageError:
    return UsageError(
        f"{one_line(path, 300)}: {problem}; "
        "mend it by hand, or delete it and accept again with `breakeven history accept`"
    )
