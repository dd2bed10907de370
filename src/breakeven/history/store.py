"""The store of a history: one immutable Parquet file a run, raw rounds kept, written by DuckDB.

Owns the layout (``STORE/class=CLASS/STAMP-DIGEST.parquet``), the columns, and that a file appears whole or
not at all: it is written aside under a name that no reader looks at, synced, and linked to its place, which
never replaces what stands there. So there is no index and no lock: two writers need not know of each other,
a reader never sees half a file, and a killed writer leaves a name that nobody reads. Judges nothing;
`breakeven.history.query` reads the store.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from breakeven.errors import RunFileError, StoreError
from breakeven.format import one_line
from breakeven.history.rows import ended_row, read_row, storable
from breakeven.runs.readings import Run, read_run

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

STORE_SCHEMA = 1
"""The version of what stands in a store's files; a reader refuses a newer one."""

CLASS_PREFIX = "class="
SUFFIX = ".parquet"

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,48}")
_HEX_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_DIGEST_SHOWN = 16
_UP_TO_A_FILE = re.compile(r""".*(?:["']: |\\\\?": )|\s*(?:of|in|at end of) file '[^']*'""")

_TEXTS = ("case", "workload", "phase", "device", "axes", "flags", "outcome", "reason")
_NUMBERS = ("batch_size", "median_s", "peak_memory_bytes")

# What is the run's stands in every row: a dictionary makes it cost nothing, and no second file is needed.
_WRITE = """
COPY (
    SELECT $schema::INTEGER AS "schema", $digest AS digest, $datetime::TIMESTAMP AS "datetime",
        $commit::VARCHAR AS "commit", $branch::VARCHAR AS branch, $dirty::BOOLEAN AS dirty,
        $class_id AS class_id, $label AS label, $facts AS facts,
        "case"::VARCHAR AS "case", workload::VARCHAR AS workload, phase::VARCHAR AS phase,
        device::VARCHAR AS device, nullif(batch_size, 0)::BIGINT AS batch_size, axes::VARCHAR AS axes,
        rounds.times_s::DOUBLE[] AS times_s, median_s::DOUBLE AS median_s,
        peak_memory_bytes::DOUBLE AS peak_memory_bytes,
        from_json(flags, '["VARCHAR"]') AS flags, outcome::VARCHAR AS outcome, reason::VARCHAR AS reason
    FROM cells LEFT JOIN (
        SELECT "row", list(time_s ORDER BY "round") AS times_s FROM timed GROUP BY "row"
    ) AS rounds USING ("row")
    ORDER BY "row"
) TO {path} (FORMAT parquet, COMPRESSION zstd)
"""


@dataclass(frozen=True)
class Added:
    """What `add` did with one run file: `path` is its place in the store, `new` whether it was not there."""

    run: str
    path: Path
    new: bool
    cases: int


def add(run_path: str | os.PathLike[str], store: str | os.PathLike[str]) -> Added:
    """Put one run file into the store, which is made when it is missing; the same run again changes nothing.

    Raises:
        RunFileError: the file is none that can be kept: unreadable, without a case, or without a date.
        StoreError: the store cannot be written; nothing half-written stays.
    """
    return put(read_run(run_path), Path(store))


def put(run: Run, store: Path) -> Added:
    """Put a run that was read into the store, as `add` does.

    Raises:
        RunFileError: it has no case, or no date.
        StoreError: the store cannot be written; nothing half-written stays.
    """
    if not run.readings and not run.ended:
        raise RunFileError(
            f"{one_line(run.path, 300)}: holds no benchmarks, and a history has nothing to keep of it; "
            "measure with `pytest bench --benchmark-json=FILE`"
        )
    place = place_of(run, store)
    if place.exists():
        _check_same(place, run.digest)
        return Added(run.path, place, False, len(run.readings))
    new = _publish(run, place)
    return Added(run.path, place, new, len(run.readings))


def place_of(run: Run, store: Path) -> Path:
    """Return where a run belongs: the same place for the same run, whoever adds it."""
    stamp = _moment(run).strftime("%Y%m%dT%H%M%SZ")
    directory = store / f"{CLASS_PREFIX}{safe_name(run.machine_id)}"
    return directory / f"{stamp}-{run.digest[:_DIGEST_SHOWN]}{SUFFIX}"


def safe_name(class_id: str) -> str:
    """Return a class id as a directory's name: no separators, no blanks, not too long, never ambiguous.

    >>> safe_name("0f3a9c"), safe_name("../etc")
    ('0f3a9c', '_etc-f7f9121fdb53')
    """
    if _NAME.fullmatch(class_id) and not class_id.startswith("."):
        return class_id
    kept = re.sub(r"[^A-Za-z0-9_-]+", "_", class_id)[:32]
    return f"{kept}-{hashlib.sha256(class_id.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def connection() -> DuckDBPyConnection:
    """Return a connection of its own to an in-memory database, which fetches nothing from anywhere."""
    return _database().cursor()


@lru_cache(maxsize=1)
def _database() -> DuckDBPyConnection:
    import duckdb  # starting it takes as long as adding a run: once a process is enough

    settings: dict[str, Any] = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    return duckdb.connect(config={**settings, "threads": min(8, os.cpu_count() or 1)})


def quoted(path: Path) -> str:
    """Return a path as an SQL literal."""
    return "'" + str(path.absolute()).replace("'", "''") + "'"


def _publish(run: Run, place: Path) -> bool:
    """Write the file aside and link it to its place; return False when another writer was faster."""
    import duckdb

    aside = place.with_name(f".{place.stem}.{os.getpid()}-{os.urandom(4).hex()}.tmp")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        _write(run, aside)
        _sync(aside)
        new = _link(aside, place)
        _sync(place.parent)
    except (OSError, duckdb.Error) as error:
        raise StoreError(
            f"{one_line(run.path, 300)} cannot be written into {one_line(place.parent, 300)} "
            f"({problem_of(error)}); nothing of it was added: "
            "make room or choose another --store, and add it again"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
    return new


def _write(run: Run, path: Path) -> None:
    rows = [*(read_row(reading) for reading in run.readings.values())]
    rows += [ended_row(case, ended) for case, ended in run.ended.items()]
    timed = [reading.times_s for reading in run.readings.values()]
    # DuckDB finds both by their names; it reads arrays where they lie, without a frame.
    cells = {name: np.array([row.get(name) for row in rows], dtype=object) for name in _TEXTS}
    cells |= {name: np.array([row.get(name) or 0.0 for row in rows]) for name in ("batch_size",)}
    cells |= {name: _with_gaps([row.get(name) for row in rows]) for name in _NUMBERS[1:]}
    cells["row"] = np.arange(len(rows))
    rounds = {
        "row": np.repeat(np.arange(len(timed)), [len(times) for times in timed]),
        "round": np.concatenate([np.arange(len(times)) for times in timed] or [np.empty(0, int)]),
        "time_s": np.concatenate([*timed, np.empty(0)]),
    }
    with connection() as database:
        database.register("cells", cells)
        database.register("timed", rounds)
        database.execute(_WRITE.format(path=quoted(path)), _run_values(run))


def _with_gaps(values: list[Any]) -> Any:
    numbers = np.array([np.nan if value is None else float(value) for value in values])
    return np.ma.masked_invalid(numbers)


def _run_values(run: Run) -> dict[str, Any]:
    return {
        "schema": STORE_SCHEMA,
        "digest": run.digest,
        "datetime": _moment(run).replace(tzinfo=None),
        "commit": commit_of(run.commit),
        "branch": run.branch or None,
        "dirty": run.dirty,
        "class_id": storable(run.machine_id),
        "label": storable(run.label),
        "facts": json.dumps(dict(run.facts), sort_keys=True, default=str),
    }


def commit_of(text: str) -> str | None:
    """Return a commit's id, None for what names none, such as pytest-benchmark's ``unversioned``.

    >>> commit_of("0123ABCdef"), commit_of("unversioned"), commit_of("")
    ('0123abcdef', None, None)
    """
    return text.lower() if _HEX_COMMIT.fullmatch(text.lower()) else None


def _moment(run: Run) -> datetime.datetime:
    """Return when the run was measured, in UTC; pytest-benchmark's older naive times are UTC too."""
    try:
        moment = datetime.datetime.fromisoformat(run.datetime)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        return moment.astimezone(datetime.UTC)
    except (ValueError, OverflowError) as error:
        shown = one_line(repr(run.datetime), 60) if run.datetime else "nothing"
        raise RunFileError(
            f"{one_line(run.path, 300)}: datetime: {shown} is no date and time, "
            "and a history is ordered by it; give a file that --benchmark-json wrote"
        ) from error


def _check_same(place: Path, digest: str) -> None:
    """Refuse to take a damaged file for the run that should stand there."""
    import duckdb

    try:
        with connection() as database:
            query = "SELECT any_value(digest) FROM read_parquet(?, hive_partitioning = false)"
            found = database.execute(query, [literal(place)]).fetchone()
    except duckdb.Error as error:
        raise StoreError(
            f"{one_line(place, 300)} is damaged ({problem_of(error)}); delete it and add its run again"
        ) from error
    if found is None or found[0] != digest:
        raise StoreError(f"{one_line(place, 300)} holds another run; delete it and add the run again")


def literal(path: Path) -> str:
    """Return a path that DuckDB takes as it stands: in a pattern, brackets and stars would mean something."""
    import glob

    return glob.escape(str(path.absolute()))


def _link(aside: Path, place: Path) -> bool:
    """Give the finished file its name unless that is taken; a link fails where a rename would replace."""
    try:
        place.hardlink_to(aside)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        if place.exists():
            return False
        aside.rename(place)
    return True


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def problem_of(error: Exception) -> str:
    """Return why the operating system or DuckDB refused, in a line without the name of a file."""
    if isinstance(error, OSError):
        return one_line(error.strerror or error, 200)
    text = str(error).split("\n")[0].partition('","errno"')[0]
    # DuckDB names the file aside, which nobody knows; the reason stands behind it, and in JSON at times.
    return one_line(_UP_TO_A_FILE.sub("", text), 200)
