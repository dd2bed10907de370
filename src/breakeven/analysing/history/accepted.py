"""Which changes are meant, and why: a JSON file that people review, beside the store or in their repository.

Owns the file: its shape, that it is sorted, and that it is replaced whole. Owns too when an entry speaks of a
change: the same case, the same direction, and a commit at most five measured ones away, because the estimated
place of a change moves a little as later runs arrive. Finds no changes itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from breakeven.analysing.naming import one_line
from breakeven.cases import SCHEMA
from breakeven.errors import NewerSchemaError, UsageError

FILE = "accepted.json"
"""The file's name, where it stands in the store."""

REACH = 5
"""How many measured commits a change may lie from the one that was accepted."""

WORSE, BETTER = "worse", "better"


@dataclass(frozen=True, order=True)
class Accepted:
    """A decision: the changes of `cases` around `commit` are meant; a case is a name, or a pattern."""

    commit: str
    direction: str
    cases: tuple[str, ...]
    reason: str
    date: str

    def covers(self, case: str, direction: str) -> bool:
        """Return whether the decision speaks of such a change of this case."""
        return direction == self.direction and any(matches(pattern, case) for pattern in self.cases)


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
                "commit": entry.commit,
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
    remedy = f"near it, and the newest: {listed}" if known else "the store names none"
    raise UsageError(f"commit {shown!r} {problem}; {remedy}")


def _shared(a: str, b: str) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _entry(item: Any, path: str | os.PathLike[str], index: int) -> Accepted:
    where = f"accepted[{index}]"
    if not isinstance(item, dict):
        raise _unusable(path, f"{where} is not an object")
    for key in ("commit", "direction", "reason", "date"):
        if not isinstance(item.get(key), str) or not item[key].strip():
            raise _unusable(path, f"{where}.{key} is missing or no text")
    if item["direction"] not in (WORSE, BETTER):
        shown = one_line(item["direction"], 40)
        raise _unusable(path, f"{where}.direction is {shown!r}, not {WORSE} or {BETTER}")
    cases = item.get("cases")
    if not isinstance(cases, list) or not cases or not all(isinstance(case, str) for case in cases):
        raise _unusable(path, f"{where}.cases is no list of names")
    return Accepted(item["commit"].lower(), item["direction"], tuple(cases), item["reason"], item["date"])


def _unusable(path: str | os.PathLike[str], problem: str) -> UsageError:
    return UsageError(
        f"{one_line(path, 300)}: {problem}; "
        "mend it by hand, or delete it and accept again with `breakeven history accept`"
    )
