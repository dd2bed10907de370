"""The only reader of run files: paths -> tidy frames of rounds, cases and outcomes.

Owns what concerns several files together: the same run given twice, runs of one machine class, labels,
and which run under a directory is the newest. What one file may hold is checked in
`breakeven.runs.schema`. Computes no statistics and writes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from breakeven.case import axes_text
from breakeven.errors import NewerSchemaError, RunFileError, UsageError
from breakeven.format import one_line
from breakeven.runs.json_files import load_json
from breakeven.runs.machine import Machine, with_unique_labels
from breakeven.runs.schema import FACTS, REQUIRED, RunFile, Sample, parse

IDENTITY = ["run", "machine", "class_id", "workload", "axes", "batch_size", "phase", "device"]
"""The identifiers that stand first in every frame."""

OUTCOME = ["fullname", "outcome", "reason"]


@dataclass(frozen=True)
class Source:
    """Where a run came from. `run` is the name it has in the frames, unique among the runs read.

    `command` is the shell line that made it, empty where the file does not tell; `state` what came and went
    on the machine, ``start`` and ``end`` among others; `device_init_s` the seconds each device took to start.
    """

    run: str
    path: str
    class_id: str
    datetime: str
    commit: str
    command: str = ""
    state: Mapping[str, Any] = field(default_factory=dict)
    device_init_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Runs:
    """Everything read, as frames that begin with the columns of `IDENTITY`.

    `rounds` has a row a round: then ``round`` (0, 1, ... in the order they ran) and ``latency_s``.
    `facts` has a row a case and run: then ``flags`` (a tuple) and the columns of
    `breakeven.runs.schema.FACTS`, None where the file does not tell.
    `outcomes` has a row a case without a timing: then ``fullname, outcome, reason``; an identifier that
    the file does not tell is None.
    `axes` gives the object behind each text in the column ``axes``. `left_out` says of each file that was
    left out why, in a line; `warnings` say so too. `moved` says of each canary that moved how far.
    """

    rounds: pd.DataFrame
    facts: pd.DataFrame
    outcomes: pd.DataFrame
    machines: tuple[Machine, ...]
    sources: tuple[Source, ...]
    axes: Mapping[str, Mapping[str, Any]]
    warnings: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()


def read(paths: Sequence[str | os.PathLike[str]]) -> Runs:
    """Read run files into frames; a run that is given twice is used once, with a warning.

    A file of a newer schema is left out where others can be read: it is no reason to lose those.

    Raises:
        RunFileError: one line that names the file, the field and the remedy.
        UsageError: when `paths` is empty.
    """
    if not paths:
        raise UsageError("no run file was given; expected the path of at least one, such as run.json")
    parsed, left_out = _readable([os.fspath(path) for path in paths])
    files, warnings = _distinct(parsed)
    machines = with_unique_labels(
        list({file.machine.class_id: file.machine for file in reversed(files)}.values())
    )
    machines.reverse()
    label = {machine.class_id: machine.label for machine in machines}
    names = _short_names([file.path for file in files])
    heads = [
        (name, label[file.machine.class_id], file.machine.class_id)
        for name, file in zip(names, files, strict=True)
    ]
    return Runs(
        rounds=_rounds(files, heads),
        facts=_facts(files, heads),
        outcomes=_outcomes(files, heads),
        machines=tuple(machines),
        sources=tuple(
            Source(
                head[0],
                file.path,
                head[2],
                file.datetime,
                file.commit,
                file.command,
                file.state,
                file.device_init_s,
            )
            for head, file in zip(heads, files, strict=True)
        ),
        axes=_axes(files),
        warnings=(*(f"left out: {reason}" for reason in left_out), *warnings),
        left_out=tuple(left_out),
        moved=tuple(_moved(files)),
    )


def _readable(paths: Sequence[str]) -> tuple[list[RunFile], list[str]]:
    """Return the files of a schema that this breakeven reads, and why the others were left out."""
    files, newer = [], []
    for path in paths:
        try:
            files.append(parse(path))
        except NewerSchemaError as error:
            newer.append(error)
    if not files:
        raise newer[0]
    return files, [str(error) for error in newer]


def _moved(files: Sequence[RunFile]) -> list[str]:
    return [
        f"{file.path}: the canary on {one_line(move.device, 40)} ran {move.ratio:.2f}x slower at the "
        f"{one_line(move.slowest, 40)} than at the {one_line(move.fastest, 40)} of the run: the machine "
        "changed, not your code; let it settle and measure again"
        for file in files
        for move in file.moves
    ]


def newest(directory: str | os.PathLike[str]) -> Path:
    """Return the run file under `directory` whose recorded ``datetime`` is the latest.

    The recorded time decides, since in a fresh clone all files have the same modification time. JSON
    files that are no runs of ours are passed over.

    Raises:
        RunFileError: when there is none.
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
        when = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return datetime.min.replace(tzinfo=UTC)
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _distinct(files: list[RunFile]) -> tuple[list[RunFile], list[str]]:
    kept: dict[str, RunFile] = {}
    warnings = []
    for file in files:
        if file.digest in kept:
            first = kept[file.digest].path
            again = "was given twice" if file.path == first else f"holds the same run as {first}"
            warnings.append(f"{file.path} {again}; it is used once, since a copy is no second run")
            continue
        kept[file.digest] = file
        if file.foreign:
            warnings.append(
                f"{file.path}: {file.foreign} of its benchmarks carry none of breakeven's keys and are left "
                "out; only `@pytest.mark.sweep` benchmarks can be reported"
            )
    return list(kept.values()), warnings


def _short_names(paths: list[str]) -> list[str]:
    names = [Path(path).name for path in paths]
    return [name if names.count(name) == 1 else path for name, path in zip(names, paths, strict=True)]


_Head = tuple[str, str, str]


def _identity(head: _Head, sample: Sample) -> tuple[Any, ...]:
    return (*head, sample.workload, sample.axes_text, sample.batch_size, sample.phase, sample.device)


def _rounds(files: list[RunFile], heads: list[_Head]) -> pd.DataFrame:
    samples = [(head, sample) for head, file in zip(heads, files, strict=True) for sample in file.samples]
    counts = np.array([len(sample.times_s) for _, sample in samples], dtype=int)
    rows = pd.DataFrame([_identity(head, sample) for head, sample in samples], columns=IDENTITY)
    columns: dict[str, Any] = {}
    for name in IDENTITY:
        if name == "batch_size":
            columns[name] = np.repeat(rows[name].to_numpy(dtype=np.int64), counts)
        else:
            # One code a round instead of one string: a million rounds stay within some tens of MB.
            codes, words = pd.factorize(rows[name])
            columns[name] = pd.Categorical.from_codes(
                np.repeat(codes, counts), categories=pd.Index(words, dtype=object)
            )
    columns["round"] = np.concatenate([np.arange(count) for count in counts] or [np.array([], dtype=int)])
    columns["latency_s"] = np.concatenate([s.times_s for _, s in samples] or [np.array([], dtype=float)])
    return pd.DataFrame(columns)


def _facts(files: list[RunFile], heads: list[_Head]) -> pd.DataFrame:
    rows = [
        (*_identity(head, sample), sample.flags, *(sample.facts.get(key) for key in FACTS))
        for head, file in zip(heads, files, strict=True)
        for sample in file.samples
    ]
    return pd.DataFrame(rows, columns=[*IDENTITY, "flags", *FACTS], dtype=object)


def _outcomes(files: list[RunFile], heads: list[_Head]) -> pd.DataFrame:
    rows = [
        (
            *head,
            ended.workload,
            None if ended.axes is None else axes_text(ended.axes),
            ended.batch_size,
            ended.phase,
            ended.device,
            ended.fullname,
            ended.outcome,
            ended.reason,
        )
        for head, file in zip(heads, files, strict=True)
        for ended in file.outcomes
    ]
    return pd.DataFrame(rows, columns=[*IDENTITY, *OUTCOME], dtype=object)


def _axes(files: list[RunFile]) -> dict[str, Mapping[str, Any]]:
    known: dict[str, Mapping[str, Any]] = {}
    for file in files:
        known |= {sample.axes_text: sample.axes for sample in file.samples}
        known |= {axes_text(ended.axes): ended.axes for ended in file.outcomes if ended.axes is not None}
    return known
