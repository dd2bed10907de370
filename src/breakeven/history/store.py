"""The store of a history: one immutable Parquet file per run, with every round, written by DuckDB.

The layout is ``STORE/class=CLASS/TIME-DIGEST.parquet``. `processes` has the number of rounds of each process
of the run, as the run file has it. Any number of writers and readers may work at once;
`breakeven.history.storage` makes each file appear complete or not at all. `breakeven.history.query` reads the
store.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from breakeven.case import CaseKey, Outcome
from breakeven.errors import RunFileError, StorageError, StoreError
from breakeven.format import one_line
from breakeven.history.database import connection, literal, quoted, reason_of
from breakeven.history.folder import CLASS_PREFIX, SUFFIX
from breakeven.history.storage import Location, Storage, open_storage
from breakeven.runs.json_files import moment_of
from breakeven.runs.reader import read_run
from breakeven.runs.schema import CaseResult, Run

STORE_SCHEMA = 1
"""The version of the files in a store; a reader refuses a newer one."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,48}")
_HEX_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_DIGEST_DIGITS = 16

_NUMBER_COLUMNS = ("median_s", "peak_memory_bytes", "steps")
_TEXT_COLUMNS = ("case", "workload", "phase", "device", "axes", "flags", "processes", "outcome", "reason")

# Facts of the run are repeated in every row, which Parquet's dictionary encoding compresses well.
_WRITE = """
COPY (
    SELECT $schema::INTEGER AS "schema", $digest AS digest, $datetime::TIMESTAMP AS "datetime",
        $commit::VARCHAR AS "commit", $branch::VARCHAR AS branch, $dirty::BOOLEAN AS dirty,
        $class_id AS class_id, $label AS label, $facts AS facts,
        "case"::VARCHAR AS "case", workload::VARCHAR AS workload, phase::VARCHAR AS phase,
        device::VARCHAR AS device, nullif(batch_size, 0)::BIGINT AS batch_size, axes::VARCHAR AS axes,
        rounds.times_s::DOUBLE[] AS times_s, median_s::DOUBLE AS median_s,
        peak_memory_bytes::DOUBLE AS peak_memory_bytes, steps::DOUBLE AS steps,
        from_json(flags, '["VARCHAR"]') AS flags, from_json(processes, '["BIGINT"]')::BIGINT[] AS processes,
        outcome::VARCHAR AS outcome, reason::VARCHAR AS reason
    FROM cases LEFT JOIN (
        SELECT "row", list(time_s ORDER BY "round") AS times_s FROM timed GROUP BY "row"
    ) AS rounds USING ("row")
    ORDER BY "row"
) TO {path} (FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false)
"""


@dataclass(frozen=True)
class Added:
    """A run file, and the path or URL of its file in the store; `new` is False if that already existed."""

    run: str
    path: str
    new: bool


def add(run_path: str | os.PathLike[str], store: Location) -> Added:
    """Add a run file to the store, which is created if missing; adding the same run again changes nothing.

    Raises:
        RunFileError: the file cannot be read, or holds no case or no date.
        StoreError: the store cannot be written; nothing incomplete is left.
    """
    return put(read_run(run_path), store)


def put(run: Run, store: Location) -> Added:
    """Add a run to the store, as `add` does.

    Raises:
        RunFileError: it holds no case or no date.
        StoreError: the store cannot be written; nothing incomplete is left.
    """
    if not run.cases and not run.untimed:
        raise RunFileError(
            f"{one_line(run.path, 300)}: holds no benchmarks, so there is nothing to store; "
            "measure with `pytest bench --benchmark-json=FILE`"
        )
    storage, name = open_storage(store), name_of(run)
    path = storage.where(name)
    try:
        if storage.exists(name):
            _check_same(storage, name, run.digest)
            return Added(run.path, path, new=False)
        return Added(run.path, path, new=storage.publish(name, partial(_write, run)))
    except StorageError as error:
        raise StorageError(
            f"{one_line(run.path, 300)} cannot be written into {one_line(storage.where(), 300)}",
            f"{error.problem}; nothing of it was added",
            f"{error.remedy}, and add it again",
        ) from error


def name_of(run: Run) -> str:
    """Return the name of a run's file in a store; it depends only on the run."""
    stamp = _moment(run).strftime("%Y%m%dT%H%M%SZ")
    return f"{CLASS_PREFIX}{safe_name(run.machine.class_id)}/{stamp}-{run.digest[:_DIGEST_DIGITS]}{SUFFIX}"


def safe_name(class_id: str) -> str:
    """Return a class id as the name of a directory: short, unique, without separators or blanks.

    >>> safe_name("0f3a9c"), safe_name("../etc")
    ('0f3a9c', '_etc-f7f9121fdb53')
    """
    if _NAME.fullmatch(class_id) and not class_id.startswith("."):
        return class_id
    kept = re.sub(r"[^A-Za-z0-9_-]+", "_", class_id)[:32]
    return f"{kept}-{hashlib.sha256(class_id.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def _write(run: Run, path: Path) -> None:
    rows = [*map(_timed_row, run.cases.values()), *map(_untimed_row, run.untimed.values())]
    times_s = [case.times_s for case in run.cases.values()]
    # DuckDB reads registered arrays without copying them into a frame.
    cases = {name: np.array([row.get(name) for row in rows], dtype=object) for name in _TEXT_COLUMNS}
    cases["batch_size"] = np.array([row.get("batch_size") or 0.0 for row in rows])
    cases |= {name: _masked([row.get(name) for row in rows]) for name in _NUMBER_COLUMNS}
    cases["row"] = np.arange(len(rows))
    rounds = {
        "row": np.repeat(np.arange(len(times_s)), [len(times) for times in times_s]),
        "round": np.concatenate([np.arange(len(times)) for times in times_s] or [np.empty(0, int)]),
        "time_s": np.concatenate([*times_s, np.empty(0)]),
    }
    with connection() as database:
        database.register("cases", cases)
        database.register("timed", rounds)
        database.execute(_WRITE.format(path=quoted(path)), _run_values(run))


def _timed_row(case: CaseResult) -> dict[str, Any]:
    return {
        "case": storable(case.name),
        "median_s": None if len(case.times_s) else case.median_s,
        "flags": json.dumps([storable(flag) for flag in case.flags]),
        "processes": json.dumps(case.processes) if case.processes else None,
        "peak_memory_bytes": case.facts.peak_memory_bytes,
        "steps": case.facts.steps,
        **_key_columns(case.key),
    }


def _untimed_row(outcome: Outcome) -> dict[str, Any]:
    return {
        "case": storable(outcome.name),
        "flags": "[]",
        "outcome": storable(outcome.outcome),
        "reason": storable(outcome.reason),
        **_key_columns(outcome.key),
    }


def _key_columns(key: CaseKey | None) -> Mapping[str, Any]:
    if key is None:
        return {}
    return {
        "workload": storable(key.workload),
        "phase": storable(key.phase),
        "device": storable(key.device),
        "batch_size": key.batch_size,
        "axes": json.dumps(dict(key.axes), sort_keys=True),
    }


def storable(text: str) -> str:
    """Return text that Parquet can hold: lone surrogates and NUL are escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def _masked(values: list[Any]) -> Any:
    return np.ma.masked_invalid(np.array([np.nan if value is None else float(value) for value in values]))


def _run_values(run: Run) -> dict[str, Any]:
    return {
        "schema": STORE_SCHEMA,
        "digest": run.digest,
        "datetime": _moment(run).replace(tzinfo=None),
        "commit": commit_of(run.commit),
        "branch": run.branch or None,
        "dirty": run.dirty,
        "class_id": storable(run.machine.class_id),
        "label": storable(run.machine.hardware),
        "facts": json.dumps(dict(run.machine.facts), sort_keys=True, default=str),
    }


def commit_of(text: str) -> str | None:
    """Return a commit's id, or None for anything else, such as pytest-benchmark's ``unversioned``.

    >>> commit_of("0123ABCdef"), commit_of("unversioned"), commit_of("")
    ('0123abcdef', None, None)
    """
    return text.lower() if _HEX_COMMIT.fullmatch(text.lower()) else None


def _moment(run: Run) -> datetime.datetime:
    """Return when the run was measured, in UTC; a time without a zone is taken as UTC."""
    try:
        return moment_of(run.datetime)
    except (ValueError, OverflowError) as error:
        shown = one_line(repr(run.datetime), 60) if run.datetime else "nothing"
        raise RunFileError(
            f"{one_line(run.path, 300)}: datetime: {shown} is not a date and time, "
            "by which a history is ordered; give a file that --benchmark-json wrote"
        ) from error


def _check_same(storage: Storage, name: str, digest: str) -> None:
    """Raise an error unless the file holds the run with this digest."""
    import duckdb

    path = one_line(storage.where(name), 300)
    try:
        with storage.as_files([name]) as files, connection() as database:
            query = "SELECT any_value(digest) FROM read_parquet(?, hive_partitioning = false)"
            found = database.execute(query, [literal(files[name])]).fetchone()
    except duckdb.Error as error:
        raise StoreError(
            f"{path} is damaged ({reason_of(error)}); delete it and add its run again"
        ) from error
    if found is None or found[0] != digest:
        raise StoreError(f"{path} holds another run; delete it and add the run again")
