"""The store, read: every run's facts and every case's values over the runs, by one query over all files.

Owns what counts as damaged: a file that DuckDB cannot read, that lacks our columns, or that a newer
breakeven wrote. Such files are named and the rest is read. Medians are recomputed from the stored rounds.
A file that appears while we read is not read, one that vanishes is as if it had never been there. Judges
nothing.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from breakeven.errors import StoreError
from breakeven.format import one_line
from breakeven.history.store import CLASS_PREFIX, STORE_SCHEMA, SUFFIX, connection, literal, problem_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Array = NDArray[np.float64]

OOM = 2.0
"""How `Track.ended` marks a case that ran out of memory; 1 is any other end without a timing."""

_SOURCE = "read_parquet($files, union_by_name = true, hive_partitioning = false)"

# A list of numbers a case, and not a row a case and run: half a million rows of text would take most of the
# time. One list for all four, so that what one run told stays together in whatever order runs are read.
_CASES = f"""
SELECT class_id, "case", any_value(workload) AS workload, any_value(phase) AS phase,
    any_value(device) AS device, coalesce(any_value(batch_size), 0) AS batch_size, any_value(axes) AS axes,
    flatten(list([
        file_index::DOUBLE,
        coalesce(list_median(times_s), median_s, 'nan'),
        coalesce(peak_memory_bytes, 'nan'),
        CASE outcome WHEN 'oom' THEN 2 ELSE (outcome IS NOT NULL)::INTEGER END::DOUBLE
    ])) AS cells
FROM {_SOURCE} GROUP BY class_id, "case" ORDER BY class_id, "case"
"""

_RUNS = f"""
SELECT file_index, max("schema") AS "schema", any_value(digest) AS digest,
    epoch_us(any_value("datetime"::TIMESTAMP)) AS moment, any_value("commit") AS "commit",
    any_value(branch) AS branch, any_value(dirty) AS dirty, any_value(class_id) AS class_id,
    any_value(label) AS label, count("case") AS cases
FROM {_SOURCE} GROUP BY file_index ORDER BY file_index
"""


@dataclass(frozen=True)
class StoredRun:
    """One run of a store. `commit` is empty where the run tells none, `dirty` None."""

    path: Path
    digest: str
    moment: datetime.datetime
    commit: str
    branch: str
    dirty: bool | None
    class_id: str
    label: str


@dataclass(frozen=True)
class Track:
    """One case on one machine class: `run` are ascending indices of `Archive.runs`, shape (n,).

    `time_s` and `peak_memory_bytes` are NaN where the run tells none; `ended` is 0 where the case was timed,
    `OOM` where it ran out of memory, 1 where it ended in another way. `workload` is empty for benchmarks that
    breakeven did not measure.
    """

    class_id: str
    case: str
    workload: str
    phase: str
    device: str
    batch_size: int
    axes: str
    run: NDArray[np.intp]
    time_s: Array
    peak_memory_bytes: Array
    ended: NDArray[np.intp]


@dataclass(frozen=True)
class Archive:
    """What a store holds: runs by time, a track a case, and a line for each file that could not be used."""

    runs: tuple[StoredRun, ...]
    tracks: tuple[Track, ...]
    damaged: tuple[str, ...]


def read_store(store: str | os.PathLike[str], branch: str | None = None) -> Archive:
    """Read a whole store; runs of other branches than `branch`, if given, are left out.

    Raises:
        StoreError: there is no such store.
    """
    import duckdb

    files = files_of(store)
    damaged: list[str] = []
    with connection() as database:
        try:
            return _archive(database, files, damaged, branch)
        except (duckdb.Error, _Unusable):
            # Only now is it worth opening every file by itself.
            usable = [file for file in files if _is_usable(database, file, damaged)]
            return _archive(database, usable, damaged, branch)


def files_of(store: str | os.PathLike[str]) -> list[Path]:
    """Return the files of a store, sorted by class and time; names of writers at work are none.

    Raises:
        StoreError: there is no such directory.
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
        problem = "there is no such directory" if isinstance(error, FileNotFoundError) else error.strerror
        raise StoreError(
            f"{one_line(home, 300)} is no store of runs ({problem}); "
            "`breakeven history add RUN.json --store DIR` makes one"
        ) from error
    return sorted(found)


_TEXTS = ("class_id", "case", "workload", "phase", "device", "axes")


class _Unusable(Exception):
    """Some file of the store was read and is none of ours."""


def _archive(
    database: DuckDBPyConnection, files: Sequence[Path], damaged: Sequence[str], branch: str | None
) -> Archive:
    if not files:
        return Archive((), (), tuple(damaged))
    listed = {"files": [literal(path) for path in files]}
    facts = _rows(database, _RUNS, listed)
    if len(facts) < len(files) or any(_objection(row) for row in facts):
        raise _Unusable
    cases = database.execute(_CASES, listed).fetchnumpy()
    runs = [_run(files[int(row["file_index"])], row) for row in facts]
    keep = _kept(runs, branch)
    rank = np.full(len(files), -1)
    rank[keep] = np.arange(len(keep))
    return Archive(tuple(runs[i] for i in keep), tuple(_tracks(cases, rank)), tuple(damaged))


def _kept(runs: Sequence[StoredRun], branch: str | None) -> list[int]:
    """Return the wished runs by time, each run once however many copies of its file there are."""
    order = sorted(range(len(runs)), key=lambda i: (runs[i].moment, runs[i].commit, runs[i].digest))
    seen: set[str] = set()
    kept = []
    for i in order:
        if runs[i].digest not in seen and branch in (None, runs[i].branch):
            kept.append(i)
        seen.add(runs[i].digest)
    return kept


def _run(path: Path, row: dict[str, Any]) -> StoredRun:
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


def _tracks(cases: dict[str, Any], rank: NDArray[np.intp]) -> list[Track]:
    tracks = []
    for i in range(len(cases["case"])):
        file, time_s, peak_memory_bytes, ended = np.asarray(cases["cells"][i], dtype=float).reshape(-1, 4).T
        run = rank[file.astype(int)]
        order = np.argsort(run, kind="stable")
        order = order[run[order] >= 0]
        if not len(order):
            continue
        texts = {key: _text(cases[key][i]) for key in _TEXTS}
        tracks.append(
            Track(
                **texts,
                batch_size=int(cases["batch_size"][i]),
                run=run[order],
                time_s=time_s[order],
                peak_memory_bytes=peak_memory_bytes[order],
                ended=ended[order].astype(int),
            )
        )
    return tracks


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _rows(database: DuckDBPyConnection, query: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    found = database.execute(query, values)
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


_FOREIGN = "it is no run that `breakeven history add` wrote; take it out of the store"


def _objection(row: dict[str, Any]) -> str:
    """Return why a readable file cannot be used; empty when it can."""
    if (row["schema"] or 0) > STORE_SCHEMA:
        newer = f"schema {row['schema']}, this one reads {STORE_SCHEMA}"
        return f"a newer breakeven wrote it ({newer}); upgrade breakeven"
    known = all(row[key] for key in ("schema", "digest", "class_id", "cases")) and row["moment"] is not None
    return "" if known else _FOREIGN


def _is_usable(database: DuckDBPyConnection, path: Path, damaged: list[str]) -> bool:
    """Read one file by itself; what is wrong with it joins `damaged`."""
    import duckdb

    try:
        values = {"files": [literal(path)]}
        facts = _rows(database, _RUNS, values)
        database.execute(_CASES, values).fetchnumpy()
        problem = _objection(facts[0]) if facts else "it holds no rows; delete it and add its run again"
    except duckdb.BinderException:
        problem = _FOREIGN
    except duckdb.Error as error:
        if not path.exists():
            return False
        problem = f"it is damaged ({problem_of(error)}); delete it and add its run again"
    if problem:
        damaged.append(f"{one_line(path, 300)} cannot be used: {problem}")
    return not problem
