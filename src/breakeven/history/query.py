"""Reads a store: every run, and every case's values over the runs, with one query over all files.

A file that DuckDB cannot read, that lacks breakeven's columns or that a newer breakeven wrote is reported as
damaged; the others are read. Medians are recomputed from the stored rounds. A file that is added or removed
while the store is read is left out.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from breakeven.case import CaseKey
from breakeven.errors import StoreError, UsageError
from breakeven.format import one_line
from breakeven.history.store import CLASS_PREFIX, STORE_SCHEMA, SUFFIX, connection, literal, reason_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Array = NDArray[np.float64]

RUN_ID_DIGITS = 12

_SOURCE = "read_parquet($files, union_by_name = true, hive_partitioning = false)"

# One list of numbers per case instead of a row per case and run, since half a million rows of text would take
# most of the time. All four numbers go into one list, so that those of one run stay together.
_CASES = f"""
SELECT class_id, "case", any_value(workload) AS workload, any_value(phase) AS phase,
    any_value(device) AS device, coalesce(any_value(batch_size), 0) AS batch_size, any_value(axes) AS axes,
    flatten(list([
        file_index::DOUBLE,
        coalesce(list_median(times_s), median_s, 'nan'),
        coalesce(peak_memory_bytes, 'nan'),
        CASE outcome WHEN 'oom' THEN 2 ELSE (outcome IS NOT NULL)::INTEGER END::DOUBLE
    ])) AS numbers
FROM {_SOURCE} GROUP BY class_id, "case" ORDER BY class_id, "case"
"""

_RUNS = f"""
SELECT file_index, max("schema") AS "schema", any_value(digest) AS digest,
    epoch_us(any_value("datetime"::TIMESTAMP)) AS moment, any_value("commit") AS "commit",
    any_value(branch) AS branch, any_value(dirty) AS dirty, any_value(class_id) AS class_id,
    any_value(label) AS label, any_value(facts) AS facts, count("case") AS cases
FROM {_SOURCE} GROUP BY file_index ORDER BY file_index
"""


@dataclass(frozen=True)
class StoredRun:
    """One run of a store. Where the run does not record them, `commit` is empty and `dirty` is None."""

    path: Path
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
    breakeven did not measure the case.
    """

    class_id: str
    case: str
    key: CaseKey | None
    run: NDArray[np.intp]
    time_s: Array
    peak_memory_bytes: Array
    outcome: NDArray[np.intp]


@dataclass(frozen=True)
class Archive:
    """The content of a store: its runs by time, a track per case, and a line for each unusable file."""

    runs: tuple[StoredRun, ...]
    tracks: tuple[Track, ...]
    damaged: tuple[str, ...]


def read_store(store: str | os.PathLike[str], branch: str | None = None) -> Archive:
    """Read a whole store, or its runs of one branch.

    Raises:
        StoreError: the store does not exist.
    """
    import duckdb

    files = files_of(store)
    with connection() as database:
        try:
            return _archive(database, files, (), branch)
        except (duckdb.Error, _UnusableFile):
            # Opening every file separately is slow, so it is done only now.
            problems = {file: _problem(database, file) for file in files}
            usable = [file for file, problem in problems.items() if problem is None]
            damaged = [
                f"{one_line(file, 300)} cannot be used: {text}" for file, text in problems.items() if text
            ]
            return _archive(database, usable, damaged, branch)


def files_of(store: str | os.PathLike[str]) -> list[Path]:
    """Return the files of a store, sorted by class and time, without temporary ones.

    Raises:
        StoreError: the directory does not exist.
    """
    home = Path(store)
    try:
        classes = [entry for entry in home.iterdir() if entry.name.startswith(CLASS_PREFIX)]
        found = [
            Path(entry.path)
            for directory in sorted(classes)
            for entry in os.scandir(directory)
            if entry.name.endswith(SUFFIX) and not entry.name.startswith(".")
        ]
    except OSError as error:
        problem = "it does not exist" if isinstance(error, FileNotFoundError) else error.strerror
        raise StoreError(
            f"{one_line(home, 300)} is not a store of runs ({problem}); "
            "create one with `breakeven history add RUN.json --store DIR`"
        ) from error
    return sorted(found)


class _UnusableFile(Exception):
    """DuckDB can read a file of the store, but breakeven did not write it, or a newer one did."""


def _archive(
    database: DuckDBPyConnection, files: Sequence[Path], damaged: Sequence[str], branch: str | None
) -> Archive:
    if not files:
        return Archive((), (), tuple(damaged))
    values = {"files": [literal(path) for path in files]}
    rows = _rows(database, _RUNS, values)
    if len(rows) < len(files) or any(map(_problem_of_row, rows)):
        raise _UnusableFile
    cases = database.execute(_CASES, values).fetchnumpy()
    runs = [_run(files[int(row["file_index"])], row) for row in rows]
    kept = _kept(runs, branch)
    rank = np.full(len(files), -1)
    rank[kept] = np.arange(len(kept))
    by_case = [{name: column[i] for name, column in cases.items()} for i in range(len(cases["case"]))]
    tracks = [_track(row, rank) for row in by_case]
    measured = tuple(track for track in tracks if len(track.run))
    return Archive(tuple(runs[i] for i in kept), measured, tuple(damaged))


def _kept(runs: Sequence[StoredRun], branch: str | None) -> list[int]:
    """Return the indices of the branch's runs by time, each run once even if its file was copied."""
    order = sorted(range(len(runs)), key=lambda i: (runs[i].moment, runs[i].commit, runs[i].digest))
    first = {runs[i].digest: i for i in reversed(order)}
    return [i for i in order if first[runs[i].digest] == i and branch in (None, runs[i].branch)]


def _run(path: Path, row: Mapping[str, Any]) -> StoredRun:
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return StoredRun(
        path=path,
        digest=row["digest"],
        moment=epoch + datetime.timedelta(microseconds=int(row["moment"])),
        commit=row["commit"] or "",
        branch=row["branch"] or "",
        dirty=row["dirty"],
        class_id=row["class_id"],
        label=row["label"] or row["class_id"],
    )


def _track(row: Mapping[str, Any], rank: NDArray[np.intp]) -> Track:
    file, time_s, peak_memory_bytes, outcome = np.asarray(row["numbers"], dtype=float).reshape(-1, 4).T
    run = rank[file.astype(int)]
    order = np.argsort(run, kind="stable")
    order = order[run[order] >= 0]
    return Track(
        class_id=row["class_id"],
        case=row["case"],
        key=_key(row),
        run=run[order],
        time_s=time_s[order],
        peak_memory_bytes=peak_memory_bytes[order],
        outcome=outcome[order].astype(int),
    )


def _key(row: Mapping[str, Any]) -> CaseKey | None:
    workload, phase, device, axes = (row[name] or "" for name in ("workload", "phase", "device", "axes"))
    try:
        values = dict(json.loads(axes or "{}"))
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
        database.execute(_CASES, values).fetchnumpy()
    except duckdb.BinderException:
        return _FOREIGN
    except duckdb.Error as error:
        return f"it is damaged ({reason_of(error)}); delete it and add its run again" if path.exists() else ""
    return _problem_of_row(rows[0]) if rows else "it holds no rows; delete it and add its run again"


def _problem_of_row(row: Mapping[str, Any]) -> str | None:
    """Return why a readable file cannot be used, None if it can."""
    if (row["schema"] or 0) > STORE_SCHEMA:
        newer = f"schema {row['schema']}, this one reads {STORE_SCHEMA}"
        return f"a newer breakeven wrote it ({newer}); upgrade breakeven"
    known = all(row[key] for key in ("schema", "digest", "class_id", "cases")) and row["moment"] is not None
    return None if known else _FOREIGN
