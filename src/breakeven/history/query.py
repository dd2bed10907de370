"""Reads a store: every run, and every case's values over the runs, with one query over all files.

A file that DuckDB cannot read, that lacks breakeven's columns or that a newer breakeven wrote is reported as
damaged; the others are read. Medians are recomputed from the stored rounds: the median over the processes of
the median of each. A file that is added or removed while the store is read is left out.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from breakeven.case import CaseKey
from breakeven.errors import UsageError
from breakeven.format import one_line
from breakeven.grouping import grouped
from breakeven.history.database import connection, literal, reason_of
from breakeven.history.storage import Location, open_storage
from breakeven.history.store import STORE_SCHEMA
from breakeven.runs.json_files import MAX_AMOUNT, mapping, parsed
from breakeven.runs.machine import Machine, classes_of
from breakeven.runs.schema import MAX_TIME_S, waits_without_steps

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Array = NDArray[np.float64]

RUN_ID_DIGITS = 12

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MIN_MOMENT_US, _MAX_MOMENT_US = (
    (datetime.datetime(year, 1, 2, tzinfo=datetime.UTC) - _EPOCH) // datetime.timedelta(microseconds=1)
    for year in (1, 9999)
)
"""What a date can hold, in every time zone."""

_UNSOUND = -1
"""Marks the numbers of a case that cannot be what was measured."""

# The types of what is read; in a file that `history add` did not write, others may be converted to them.
_TYPES = {
    "schema": "INTEGER", "digest": "VARCHAR", "datetime": "TIMESTAMP", "commit": "VARCHAR",
    "branch": "VARCHAR", "dirty": "BOOLEAN", "class_id": "VARCHAR", "label": "VARCHAR", "facts": "VARCHAR",
    "case": "VARCHAR", "workload": "VARCHAR", "phase": "VARCHAR", "device": "VARCHAR",
    "batch_size": "BIGINT", "axes": "VARCHAR", "times_s": "DOUBLE[]", "median_s": "DOUBLE",
    "peak_memory_bytes": "DOUBLE", "steps": "DOUBLE", "processes": "BIGINT[]", "outcome": "VARCHAR",
}  # fmt: skip
_TYPES_FOUND = "[" + ", ".join(f'typeof("{name}")' for name in _TYPES) + "]"  # known without reading a value

# Files of version 1 have no columns for `steps` and `processes`.
_SOURCE = """(
    SELECT NULL::DOUBLE AS steps, NULL::BIGINT[] AS processes WHERE false UNION ALL BY NAME
    SELECT *, file_index FROM read_parquet($files, union_by_name = true, hive_partitioning = false)
)"""

# The process is the replicate, however many rounds it gave.
_MEDIAN_S = """
    CASE WHEN processes IS NULL THEN list_median(times_s) ELSE list_median([
        list_median(times_s[ifnull(list_sum(processes[:i - 1]), 0)::INT + 1:list_sum(processes[:i])::INT])
        for i in range(1, len(processes) + 1)
    ]) END
"""

# What `history add` takes from a run file.
_IS_SOUND = f"""
    ifnull(batch_size >= 1, true)
    AND ifnull(len(times_s) = list_count(times_s) AND list_min(times_s) >= 0
        AND list_max(times_s) <= {MAX_TIME_S}, true)
    AND ifnull(list_sum(processes) = len(times_s) AND list_min(processes) >= 0, true)
    AND ifnull(median_s BETWEEN 0 AND {MAX_TIME_S}, true)
    AND ifnull(peak_memory_bytes BETWEEN 0 AND {MAX_AMOUNT}, true)
    AND ifnull(steps BETWEEN 0 AND {MAX_AMOUNT}, true)
"""

# One list of numbers per case instead of a row per case and run, since half a million rows of text would take
# most of the time. All numbers go into one list, so that those of one run stay together.
_CASES = f"""
SELECT class_id, "case", any_value(workload) AS workload, any_value(phase) AS phase,
    any_value(device) AS device, coalesce(any_value(batch_size), 0) AS batch_size, any_value(axes) AS axes,
    flatten(list([
        file_index::DOUBLE,
        coalesce({_MEDIAN_S}, median_s, 'nan'),
        coalesce(peak_memory_bytes, 'nan'),
        coalesce(steps, 'nan'),
        CASE WHEN NOT ({_IS_SOUND}) THEN {_UNSOUND} WHEN outcome = 'oom' THEN 2
            ELSE (outcome IS NOT NULL)::INTEGER END::DOUBLE
    ])) AS numbers
FROM {_SOURCE} GROUP BY class_id, "case" ORDER BY class_id, "case"
"""

_NUMBERS = 5

_RUNS = f"""
SELECT file_index, max("schema") AS "schema", any_value(digest) AS digest,
    epoch_us(any_value("datetime"::TIMESTAMP)) AS moment, any_value("commit") AS "commit",
    any_value(branch) AS branch, any_value(dirty) AS dirty, any_value(class_id) AS class_id,
    any_value(label) AS label, any_value(facts) AS facts, any_value({_TYPES_FOUND}) AS types,
    count(DISTINCT "case") = count(*) AND min(digest) = max(digest) AND min(class_id) = max(class_id)
        AND min("datetime") = max("datetime") AND isfinite(min("datetime")) AS is_one_run
FROM {_SOURCE} GROUP BY file_index ORDER BY file_index
"""


@dataclass(frozen=True)
class StoredRun:
    """One run of a store. Where the run does not record them, `commit` is empty and `dirty` is None.

    `class_id` and `label` are those of the first run of its machine class.
    """

    digest: str
    moment: datetime.datetime
    commit: str
    branch: str
    dirty: bool | None
    class_id: str
    label: str

    @property
    def id(self) -> str:
        """The shortest name that `history accept` takes: of the commit, or else that of the run itself."""
        return self.commit[:7] or self.digest[:RUN_ID_DIGITS]

    @property
    def name(self) -> str:
        """The run in a sentence: its id and date, with the time if it has no commit."""
        day = f"{self.moment:%Y-%m-%d}" if self.commit else f"{self.moment:%Y-%m-%d %H:%M}"
        return f"{self.id} ({day})"


class TrackOutcome(IntEnum):
    """How a case ended in one run."""

    TIMED = 0
    UNTIMED = 1
    OOM = 2


@dataclass(frozen=True)
class Track:
    """One case on one machine class over its runs.

    `run` holds ascending indices into `Archive.runs`, shape (n,), as all arrays. `time_s` and
    `peak_memory_bytes` are NaN where unknown; `outcome` holds values of `TrackOutcome`. `key` is None where
    breakeven did not measure the case. `uncounted` are the runs whose time is not comparable with the newest
    one, and unknown here: one of the two waited for an accelerator after each step, as version 1 did.
    """

    class_id: str
    case: str
    key: CaseKey | None
    run: NDArray[np.intp]
    time_s: Array
    peak_memory_bytes: Array
    outcome: NDArray[np.intp]
    uncounted: NDArray[np.intp]


@dataclass(frozen=True)
class Archive:
    """The content of a store.

    The runs are ordered by time, the machine classes by their first run; there is a track for each case of
    each class, and a line for each unusable file. `branches` are those of the whole store.
    """

    runs: tuple[StoredRun, ...]
    machines: tuple[Machine, ...]
    tracks: tuple[Track, ...]
    damaged: tuple[str, ...]
    branches: tuple[str, ...] = ()


def read_store(store: Location, branch: str | None = None) -> Archive:
    """Read a whole store, or its runs of one branch.

    Raises:
        StoreError: the store does not exist, or cannot be read.
    """
    import duckdb

    storage = open_storage(store)
    with storage.as_files(storage.names()) as files, connection() as database:
        try:
            return _archive(database, list(files.values()), (), branch)
        except (duckdb.Error, _UnusableFile):
            # Opening every file separately is slow, so it is done only now.
            problems = {name: _problem(database, file) for name, file in files.items()}
            usable = [files[name] for name, problem in problems.items() if problem is None]
            damaged = [
                f"{one_line(storage.where(name), 300)} cannot be used: {text}"
                for name, text in problems.items()
                if text
            ]
            return _archive(database, usable, damaged, branch)


class _UnusableFile(Exception):
    """DuckDB can read a file of the store, but breakeven did not write it, or a newer one did."""


def _archive(
    database: DuckDBPyConnection, files: Sequence[Path], damaged: Sequence[str], branch: str | None
) -> Archive:
    if not files:
        return Archive((), (), (), tuple(damaged))
    values = {"files": [literal(path) for path in files]}
    rows = _rows(database, _RUNS, values)
    if len(rows) < len(files) or any(map(_problem_of_row, rows)):
        raise _UnusableFile
    cases = _sound_cases(database, values)
    runs = [_run(row) for row in rows]
    kept = _kept(runs, branch)
    classes = classes_of(_machine(rows[i]) for i in kept)
    by_id = {runs[i].class_id: machine for i, machine in zip(kept, classes, strict=True)}
    rank = np.full(len(files), -1)
    rank[kept] = np.arange(len(kept))
    return Archive(
        tuple(
            replace(runs[i], class_id=machine.class_id, label=machine.label)
            for i, machine in zip(kept, classes, strict=True)
        ),
        tuple({machine.class_id: machine for machine in classes}.values()),
        tuple(track for track in _tracks(cases, by_id, rank) if len(track.run)),
        tuple(damaged),
        tuple(sorted({run.branch for run in runs} - {""})),
    )


def _sound_cases(database: DuckDBPyConnection, values: Mapping[str, Any]) -> Mapping[str, Any]:
    cases: Mapping[str, Any] = database.execute(_CASES, values).fetchnumpy()
    if any(_UNSOUND in numbers[_NUMBERS - 1 :: _NUMBERS] for numbers in cases["numbers"]):
        raise _UnusableFile
    return cases


def _tracks(
    cases: Mapping[str, Any], by_id: Mapping[str, Machine], rank: NDArray[np.intp]
) -> Iterator[Track]:
    rows = [{name: column[i] for name, column in cases.items()} for i in range(len(cases["case"]))]
    alike = grouped(
        ((by_id[row["class_id"]].class_id, row["case"]), row) for row in rows if row["class_id"] in by_id
    )
    for (class_id, _), members in alike.items():
        numbers = np.concatenate([row["numbers"] for row in members])
        yield _track({**members[0], "class_id": class_id, "numbers": numbers}, rank)


def _kept(runs: Sequence[StoredRun], branch: str | None) -> list[int]:
    """Return the indices of the branch's runs by time, each run once even if its file was copied."""
    order = sorted(range(len(runs)), key=lambda i: (runs[i].moment, runs[i].commit, runs[i].digest))
    first = {runs[i].digest: i for i in reversed(order)}
    return [i for i in order if first[runs[i].digest] == i and branch in (None, runs[i].branch)]


def _run(row: Mapping[str, Any]) -> StoredRun:
    return StoredRun(
        digest=row["digest"],
        moment=_EPOCH + datetime.timedelta(microseconds=int(row["moment"])),
        commit=row["commit"] or "",
        branch=row["branch"] or "",
        dirty=row["dirty"],
        class_id=row["class_id"],
        label=row["label"] or row["class_id"],
    )


def _machine(row: Mapping[str, Any]) -> Machine:
    try:
        facts = mapping(parsed((row["facts"] or "{}").encode()))
    except ValueError:  # another program may have written the file
        facts = {}
    return Machine(row["label"] or row["class_id"], row["class_id"], facts)


def _track(row: Mapping[str, Any], rank: NDArray[np.intp]) -> Track:
    file, time_s, peak_memory_bytes, steps, outcome = (
        np.asarray(row["numbers"], dtype=float).reshape(-1, _NUMBERS).T
    )
    run = rank[file.astype(int)]
    order = np.argsort(run, kind="stable")
    order = order[run[order] >= 0]
    run, time_s, key = run[order], time_s[order], _key(row)
    uncounted = _unlike_the_newest(key, time_s, steps[order])
    return Track(
        class_id=row["class_id"],
        case=row["case"],
        key=key,
        run=run,
        time_s=np.where(uncounted, np.nan, time_s),
        peak_memory_bytes=peak_memory_bytes[order],
        outcome=outcome[order].astype(int),
        uncounted=run[uncounted],
    )


def _unlike_the_newest(key: CaseKey | None, time_s: Array, steps: Array) -> NDArray[np.bool_]:
    """Return which times are of another kind than the newest: with or without a wait after each step."""
    timed, waits = np.isfinite(time_s), np.isnan(steps)
    if key is None or not waits_without_steps(key) or not timed.any():
        return np.zeros(len(time_s), dtype=bool)
    unlike: NDArray[np.bool_] = timed & (waits != waits[timed][-1])
    return unlike


def _key(row: Mapping[str, Any]) -> CaseKey | None:
    workload, phase, device, axes = (row[name] or "" for name in ("workload", "phase", "device", "axes"))
    try:
        values = dict(parsed((axes or "{}").encode()))
        return CaseKey.of(workload, int(row["batch_size"]), phase, device, values, row["class_id"])
    except (UsageError, ValueError, TypeError):  # another program may have written the file
        return None


def _rows(database: DuckDBPyConnection, query: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = database.execute(query, values)
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


_FOREIGN = "`breakeven history add` did not write it; remove it from the store"


def _problem(database: DuckDBPyConnection, path: Path) -> str | None:
    """Return why a file cannot be used: None if it can, empty if it no longer exists."""
    import duckdb

    try:
        values = {"files": [literal(path)]}
        rows = _rows(database, _RUNS, values)
        _sound_cases(database, values)
    except (duckdb.BinderException, _UnusableFile):
        return _FOREIGN
    except duckdb.Error as error:
        return f"it is damaged ({reason_of(error)}); delete it and add its run again" if path.exists() else ""
    return _problem_of_row(rows[0]) if rows else "it holds no rows; delete it and add its run again"


def _problem_of_row(row: Mapping[str, Any]) -> str | None:
    """Return why a readable file cannot be used, None if it can."""
    schema = row["schema"]
    if type(schema) is int and schema > STORE_SCHEMA:
        newer = f"schema {schema}, this one reads {STORE_SCHEMA}"
        return f"a newer breakeven wrote it ({newer}); upgrade breakeven"
    if row["types"] != list(_TYPES.values()) or schema != STORE_SCHEMA or not row["is_one_run"]:
        return _FOREIGN
    is_dated = _MIN_MOMENT_US <= row["moment"] <= _MAX_MOMENT_US
    return None if is_dated and row["digest"] and row["class_id"] else _FOREIGN
