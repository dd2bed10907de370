"""A JSON file -> what it holds, or one line that says why not; and where in which file a value stands.

Owns the shape of every refusal: file, field, problem, remedy. Knows nothing of what the values mean.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import orjson

from breakeven.errors import RunFileError
from breakeven.format import one_line

MEASURE_AGAIN = "measure again with `pytest bench --benchmark-json=FILE`"


@dataclass(frozen=True)
class Place:
    """Where in which file a value stands: what every refusal begins with."""

    path: str
    field: str = ""

    def at(self, field: str) -> Place:
        """Return the place of a field inside this one."""
        return Place(self.path, f"{self.field}.{field}" if self.field else field)

    def refuse(self, problem: str, remedy: str, error: type[RunFileError] = RunFileError) -> NoReturn:
        """Raise what names this place, what is wrong there and what to do."""
        where = f"{self.path}: {self.field}" if self.field else self.path
        raise error(f"{one_line(where, 300)}: {problem}; {remedy}")


def load_json(path: str) -> Any:
    """Return what the JSON file holds.

    Raises:
        RunFileError: a missing file, a directory, an empty, cut or non-JSON file.
    """
    place = Place(path)
    try:
        raw = Path(path).read_bytes()
    except FileNotFoundError:
        place.refuse("there is no such file", "give the path of a run file, such as run.json")
    except IsADirectoryError:
        place.refuse("is a directory", "give the run files in it, such as DIR/*.json")
    except (OSError, ValueError) as error:
        place.refuse(f"cannot be read ({one_line(error)})", "give the path of a readable run file")
    if not raw.strip():
        place.refuse("is empty", f"the measuring run was probably stopped; {MEASURE_AGAIN}")
    try:
        return orjson.loads(raw)  # three times as fast; what it refuses, json names as people know it
    except orjson.JSONDecodeError:
        return _slowly(raw, place)


def _slowly(raw: bytes, place: Place) -> Any:
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        place.refuse("is not JSON (not UTF-8 text)", "give a file that --benchmark-json wrote")
    except RecursionError:
        place.refuse("is nested too deeply for a run file", "give a file that --benchmark-json wrote")
    except json.JSONDecodeError as error:
        if raw.lstrip()[:1] == b"{" and (error.pos >= len(error.doc.rstrip()) or "Untermin" in error.msg):
            place.refuse(f"is cut off in line {error.lineno}", f"the run did not finish; {MEASURE_AGAIN}")
        place.refuse(f"is not JSON ({error})", "give a file that --benchmark-json wrote")
    except ValueError as error:
        place.refuse(f"is not JSON ({one_line(error)})", "give a file that --benchmark-json wrote")
