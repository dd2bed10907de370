"""Reads run files for `report`, `compare`, `ab`, `calibrate` and `history`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from breakeven.collector import collection_off
from breakeven.errors import NewerSchemaError, RunFileError, UsageError
from breakeven.format import joined, one_line, ratio
from breakeven.grouping import grouped
from breakeven.runs.canary import moves
from breakeven.runs.journal import is_being_written
from breakeven.runs.json_files import Place, journal_of, load_json, moment_of, recovery
from breakeven.runs.labels import Label, names_of
from breakeven.runs.machine import Machine, classes_of, partly_recorded, with_unique_labels
from breakeven.runs.merged_facts import missing_indices
from breakeven.runs.schema import REQUIRED, CaseResult, Run, parse

if TYPE_CHECKING:
    import pandas as pd

Paths = Sequence[str | os.PathLike[str]]

_NO_FILE = "no run file was given; expected the path of at least one, such as run.json"


@dataclass(frozen=True)
class Runs:
    """The runs of one report. `machines` are their classes in the order given, with unique labels.

    `left_out` has a line for each file that was not read; `warnings` repeat them. `moved` has a line for each
    canary, and each case timed again at the end, that changed.
    """

    runs: tuple[Run, ...]
    machines: tuple[Machine, ...]
    warnings: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()

    @cached_property
    def rounds(self) -> pd.DataFrame:
        """A frame with one row per round, in the order they ran.

        Columns: run, machine, class_id, workload, axes (as text), batch_size, phase, device, round (0, 1,
        ...), latency_s (seconds).
        """
        from breakeven.runs.frame import rounds

        return rounds(self.runs, {machine.class_id: machine.label for machine in self.machines})


def read(paths: str | os.PathLike[str] | Paths, labels: Sequence[Label] = ()) -> Runs:
    """Read run files for a report; a run that is given twice is used once, with a warning.

    A file of a newer schema is left out if others can be read.

    Args:
        paths: one path, or several.
        labels: the names of machines, each with the path or the file name of one of their runs.

    Raises:
        RunFileError: one line that names the file, the field and the remedy.
        UsageError: `paths` is empty, or a label names none of them or a name that is taken.
    """
    if not paths:
        raise UsageError(_NO_FILE)
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    readable, left_out = _readable([os.fspath(path) for path in paths])
    runs, warnings = _distinct(readable)
    names = _short_names([run.path for run in runs])
    classes = classes_of(run.machine for run in runs)
    files = grouped((machine.class_id, run.path) for run, machine in zip(runs, classes, strict=True))
    machine_names, unused = names_of(files, labels)
    known = {machine.class_id: machine for machine in classes}
    machines = with_unique_labels(
        [replace(machine, name=machine_names.get(class_id, "")) for class_id, machine in known.items()]
    )
    named = {machine.class_id: machine for machine in machines}
    pooled = [run.of_class(named[machine.class_id]) for run, machine in zip(runs, classes, strict=True)]
    return Runs(
        runs=tuple(replace(run, name=name) for run, name in zip(pooled, names, strict=True)),
        machines=tuple(machines),
        warnings=(
            *(f"left out: {reason}" for reason in left_out),
            *warnings,
            *unused,
            *newer_journals(run.path for run in runs),
            *_missing_shards(runs),
            *_partly_recorded(runs, pooled),
        ),
        left_out=tuple(left_out),
        moved=tuple(line for run in runs for line in _moved(run)),
    )


def read_run(path: str | os.PathLike[str]) -> Run:
    """Read one file that any pytest-benchmark from 3.4 on wrote; it may contain no benchmarks.

    Raises:
        RunFileError: one line that names file, field and remedy.
    """
    with collection_off():
        return parse(os.fspath(path), plain=True)


def read_side(paths: Paths) -> list[Run]:
    """Read the runs of one side of a comparison; a copy of a run is an error, because it is not a replicate.

    Raises:
        RunFileError: as `read_run`.
        UsageError: no file was given, or two of them hold the same run.
    """
    if not paths:
        raise UsageError(_NO_FILE)
    runs: dict[str, Run] = {}
    for path in paths:
        run = read_run(path)
        if run.digest in runs:
            again = _again(run, runs[run.digest])
            raise UsageError(
                f"{one_line(run.path, 300)} {again} on one side, and a copy is not a second run; leave it out"
            )
        runs[run.digest] = run
    for run, whole in _parts_of_others(list(runs.values())):
        raise UsageError(
            f"{one_line(run.path, 300)} is in {one_line(whole.path, 300)} on one side, and a copy is not a "
            "second run; leave it out"
        )
    return list(runs.values())


def newer_journals(paths: Iterable[str]) -> list[str]:
    """Return a line for each run file beside which a newer run has its journal."""
    found = []
    for path in paths:
        journal = journal_of(path)
        with suppress(OSError):  # there is no journal
            if journal.stat().st_mtime_ns > Path(path).stat().st_mtime_ns:
                why = (
                    f"a run is writing it; {one_line(path, 300)} is that of an earlier one"
                    if is_being_written(journal)
                    else f"a run that died left it; {recovery(journal)}"
                )
                found.append(f"{one_line(journal.name, 300)} is newer: {why}")
    return found


def newest(directory: str | os.PathLike[str]) -> Path:
    """Return the run file under `directory` whose recorded ``datetime`` is the latest.

    The recorded time is used because in a fresh clone all files have the same modification time. Other JSON
    files are ignored.

    Raises:
        RunFileError: there is none.
    """
    found: list[tuple[datetime, str, Path]] = []
    for path in sorted(Path(directory).rglob("*.json")):
        try:
            content = load_json(str(path))
        except RunFileError:
            continue
        if _is_a_run(content):
            found.append((_when(content.get("datetime")), str(path), path))
    if not found:
        raise RunFileError(
            f"no run file under {directory}{os.sep}; "
            "measure one with `pytest bench --benchmark-json=run.json`, then `breakeven report run.json`"
        )
    return max(found)[2]


def _readable(paths: Sequence[str]) -> tuple[list[Run], list[str]]:
    """Return the runs with a supported schema, and the reasons why others were left out."""
    runs, newer = [], []
    for path in paths:
        try:
            with collection_off():
                run = parse(path, plain=False)
        except NewerSchemaError as error:
            newer.append(error)
            continue
        if not run.cases and not run.outcomes:
            found = "none of its benchmarks has breakeven's keys" if run.plain else "it holds no benchmarks"
            Place(path).refuse(
                f"{found} ({', '.join(REQUIRED)} in extra_info)",
                "a report needs `@pytest.mark.sweep` benchmarks: `pytest bench --benchmark-json=FILE`",
            )
        runs.append(run)
    if not runs:
        raise newer[0]
    return runs, [str(error) for error in newer]


def _distinct(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    kept: dict[str, Run] = {}
    warnings = []
    for run in runs:
        if run.rounds_digest in kept:
            again = _again(run, kept[run.rounds_digest])
            warnings.append(f"{run.path} {again}; it is used once, since a copy is not a second run")
            continue
        kept[run.rounds_digest] = run
        if run.plain:
            warnings.append(
                f"{run.path}: {run.plain} of its benchmarks have none of breakeven's keys and are left "
                "out; only `@pytest.mark.sweep` benchmarks can be reported"
            )
    merged = dict(_parts_of_others(list(kept.values())))
    warnings += [f"{run.path} is in {whole.path}; it is used once" for run, whole in merged.items()]
    return [run for run in kept.values() if run not in merged], warnings


def _parts_of_others(runs: Sequence[Run]) -> Iterator[tuple[Run, Run]]:
    """Yield each run that was merged into another one of them, with that one."""
    for whole in runs:
        for run in runs if whole.parts > 1 else ():
            if run is not whole and run.cases and all(_has(whole, case) for case in run.cases.values()):
                yield run, whole


def _has(run: Run, case: CaseResult) -> bool:
    return case.name in run.cases and np.array_equal(run.cases[case.name].times_s, case.times_s)


def _partly_recorded(runs: Sequence[Run], pooled: Sequence[Run]) -> Iterator[str]:
    members = grouped((of.machine.label, run.machine) for run, of in zip(runs, pooled, strict=True))
    for label, machines in members.items():
        partly = partly_recorded(machines)
        if partly:
            yield (
                f"{label}: only some of its run files record "
                f"{joined([one_line(name, 40) for name in partly], 6)}; they count as one machine class, "
                "because all other fields agree"
            )


def _missing_shards(runs: Iterable[Run]) -> Iterator[str]:
    sweeps = grouped(((shard.sweep_id, shard.count), shard) for run in runs for shard in run.shards)
    for (_, count), shards in sweeps.items():
        missing = [str(index) for index in missing_indices(shards)]
        if missing:
            noun, verb, them = ("shard", "is", "it") if len(missing) == 1 else ("shards", "are", "them")
            yield (
                f"{noun} {joined(missing, 6)} of {count} of the sweep {verb} not in these files; measure, "
                f"and add {them}"
            )


def _again(run: Run, first: Run) -> str:
    return "is given twice" if run.path == first.path else f"holds the same run as {first.path}"


def _moved(run: Run) -> Iterator[str]:
    for move in moves(run.state):
        yield (
            f"{run.path}: {move.work} ran {ratio(move.ratio)} slower at the {one_line(move.slowest, 40)} "
            f"than at the {one_line(move.fastest, 40)} of the run: the machine "
            "changed, not your code; let it settle and measure again"
        )


def _is_a_run(content: Any) -> bool:
    if not isinstance(content, dict) or not isinstance(content.get("benchmarks"), list):
        return False
    ours = content.get("breakeven")
    if isinstance(ours, dict) and ours.get("outcomes"):
        return True
    infos = (b.get("extra_info") for b in content["benchmarks"] if isinstance(b, dict))
    return any(isinstance(info, dict) and all(key in info for key in REQUIRED) for info in infos)


def _when(text: Any) -> datetime:
    try:
        return moment_of(text)
    except (TypeError, ValueError, OverflowError):
        return datetime.min.replace(tzinfo=UTC)


def _short_names(paths: list[str]) -> list[str]:
    names = [Path(path).name for path in paths]
    return [name if names.count(name) == 1 else path for name, path in zip(names, paths, strict=True)]
