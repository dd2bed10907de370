"""Reads and encodes JSON; an error is one line with the file, the field, the value and the remedy."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import msgspec

from breakeven.case import SCHEMA
from breakeven.errors import NewerSchemaError, RunFileError
from breakeven.files import read_file
from breakeven.format import one_line

MIN_AMOUNT, MAX_AMOUNT = 1e-30, 1e30

Amount = Annotated[float, msgspec.Meta(ge=0, le=MAX_AMOUNT)]
"""What a file may have as seconds, bytes or a count."""

MAX_DEPTH = 64
"""How deep the values of a file may be nested; what breakeven writes has at most ten levels."""

MAX_BYTES = 1 << 31
"""The size of the largest run file that is read, which would take several times as much memory."""

MEASURE_AGAIN = "measure again with `pytest bench --benchmark-json=FILE`"
JOURNAL = ".journal"
"""What the name of a run's journal adds to that of its run file."""

NOT_OURS = "give a file that --benchmark-json wrote"

_NESTED = frozenset({dict, list})
_Decoded = TypeVar("_Decoded")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")


@dataclass(frozen=True)
class Place:
    """A field of a file, named at the start of each error."""

    path: str
    field: str = ""

    def at(self, field: str) -> Place:
        """Return the place of a field, or of an index such as ``[3]``, inside this one."""
        joint = "." if self.field and not field.startswith("[") else ""
        return Place(self.path, f"{self.field}{joint}{field}")

    def refuse(self, problem: str, remedy: str, error: type[RunFileError] = RunFileError) -> NoReturn:
        """Raise an error that names this place, what is wrong there and what to do."""
        where = f"{self.path}: {self.field}" if self.field else self.path
        raise error(f"{one_line(where, 300)}: {problem}; {remedy}")

    def refuse_newer(self, schema: int) -> None:
        """Raise an error if this place has the schema of a newer breakeven."""
        if schema > SCHEMA:
            shown = schema if schema.bit_length() < 256 else "a number of hundreds of digits"
            problem = f"{shown} is newer than this breakeven reads ({SCHEMA})"
            self.at("schema").refuse(problem, "upgrade breakeven", NewerSchemaError)

    def decode(self, value: Any, kind: type[_Decoded], remedy: str = MEASURE_AGAIN) -> _Decoded:
        """Return a parsed value as a type that msgspec knows.

        Raises:
            RunFileError: naming the first field that does not fit, its value and the remedy.
        """
        try:
            return convert(value, kind)
        except msgspec.ValidationError as error:
            problem, _, path = str(error).partition(" - at `$")
            missing = re.fullmatch(r"Object missing required field `(.+)`", problem)
            here, found = self, value
            for name, index in _STEP.findall(path.rstrip("`")):
                here = here.at(name or f"[{index}]")
                found = _inside(found, name, index)
            if missing:
                here.at(missing[1]).refuse("is missing", remedy)
            here.refuse(f"{_shown(found)}: {problem[:1].lower()}{problem[1:]}", remedy)


def convert(value: Any, kind: type[_Decoded]) -> _Decoded:
    """Return the result of `msgspec.convert`, also for strings with lone surrogates.

    Raises:
        msgspec.ValidationError: where the value does not fit.
    """
    try:
        return msgspec.convert(value, kind)
    except UnicodeEncodeError:  # msgspec encodes a text as UTF-8 if it expects another type
        text = json.dumps(value, ensure_ascii=False)
        return msgspec.convert(json.loads(text.encode("utf-8", "replace")), kind)


def moment_of(text: str) -> datetime:
    """Return a date and time in UTC, which one without a zone is taken to be.

    Raises:
        ValueError, OverflowError: it is not one.
    """
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def mapping(value: object) -> Mapping[str, Any]:
    """Return an object of a file, empty where the file has something else."""
    return value if isinstance(value, Mapping) else {}


def journal_of(path: str | os.PathLike[str]) -> Path:
    """Return where the run that writes this run file keeps its journal until the file is written."""
    return Path(f"{os.fspath(path)}{JOURNAL}")


def recovery(journal: Path) -> str:
    """Return what to do with the journal of a run that died."""
    return (
        f"`breakeven recover {one_line(journal, 300)}` makes a run file of it, or repeat the run with "
        "--breakeven-resume"
    )


def load_json(path: str, remedy: str = "") -> Any:
    """Return the content of a JSON file; `remedy` is what to do about a damaged one, if not a run file.

    Raises:
        RunFileError: the file is missing, a directory, empty, truncated or not JSON.
    """
    place = Place(path)
    try:
        raw = read_file(path, MAX_BYTES)
    except FileNotFoundError:
        journal = journal_of(path)
        if os.path.exists(journal):  # noqa: PTH110 - which accepts a name that is too long
            problem = f"does not exist, but {journal.name} does: a run that died left it"
            place.refuse(problem, recovery(journal))
        place.refuse("does not exist", "give the path of a run file, such as run.json")
    except IsADirectoryError:
        place.refuse("is a directory", "give the run files in it, such as DIR/*.json")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        place.refuse(f"cannot be read ({one_line(reason)})", remedy or "give the path of a readable run file")
    if not raw or raw.isspace():
        place.refuse("is empty", remedy or f"the measuring run was probably stopped; {MEASURE_AGAIN}")
    try:
        return parsed(raw)
    except DepthError as error:
        place.refuse(str(error), remedy or NOT_OURS)
    except UnicodeDecodeError:
        place.refuse("is not JSON (not UTF-8 text)", remedy or NOT_OURS)
    except json.JSONDecodeError as error:
        if raw.lstrip()[:1] == b"{" and (error.pos >= len(error.doc.rstrip()) or "Untermin" in error.msg):
            place.refuse(
                f"is cut off in line {error.lineno}", remedy or f"the run did not finish; {MEASURE_AGAIN}"
            )
        place.refuse(f"is not JSON ({error})", remedy or NOT_OURS)
    except ValueError as error:
        place.refuse(f"is not JSON ({one_line(error)})", remedy or NOT_OURS)


class DepthError(ValueError):
    """The values of a JSON text are nested more than `MAX_DEPTH` deep."""

    def __init__(self) -> None:
        super().__init__(f"is nested too deeply, more than {MAX_DEPTH} levels")


def parsed(raw: bytes) -> Any:
    """Return the value of JSON text, which may begin with a byte order mark and contain NaN.

    Code that visits every value of a file may call itself for each level, since there are at most
    `MAX_DEPTH`.

    Raises:
        ValueError: it is not JSON, not UTF-8, or nested too deeply (`DepthError`).
    """
    try:
        value = _loads(raw)
    except RecursionError:
        raise DepthError from None
    if is_deeper(value, MAX_DEPTH):
        raise DepthError
    return value


def _loads(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError:  # json accepts NaN, and reports where a file is broken
        return json.loads(raw.decode("utf-8-sig"))


def is_deeper(value: Any, levels: int) -> bool:
    """Return whether a parsed value has more levels of lists and objects than this.

    >>> is_deeper([{"a": 1}], 2), is_deeper([{"a": []}], 2), is_deeper(1, 0)
    (False, True, False)
    """
    if not isinstance(value, dict | list):
        return False
    inside = value.values() if isinstance(value, dict) else value
    if levels and _NESTED.isdisjoint(map(type, inside)):  # the usual case of a million numbers
        return False
    return not levels or any(is_deeper(one, levels - 1) for one in inside)


def _inside(value: Any, name: str, index: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(name)
    return value[int(index)] if index and isinstance(value, list) else None


def _shown(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > 256:
        return "a number of hundreds of digits"
    return one_line(repr(value)[:200], 40)


def is_amount(value: Any) -> bool:
    """Return whether a value from a file is 0, or a positive number whose square a float can hold.

    >>> [is_amount(value) for value in (0, 1.5, -1, True, "1", float("inf"), 10**400, 1e-300, None)]
    [True, True, False, False, False, False, False, False, False]
    """
    return type(value) in (int, float) and (value == 0 or MIN_AMOUNT <= value <= MAX_AMOUNT)


def encoded(value: Any, *, is_sorted: bool = False) -> bytes:
    """Return a value as compact JSON; NaN and infinity, which JSON lacks, become null."""
    try:
        return msgspec.json.encode(value, order="sorted" if is_sorted else None)
    except (UnicodeEncodeError, OverflowError):  # a lone surrogate, or an integer of more than 64 bits
        return json.dumps(_finite(value), sort_keys=is_sorted, separators=(",", ":")).encode()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(inside) for name, inside in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inside) for inside in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
