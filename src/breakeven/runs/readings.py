"""Any pytest-benchmark file -> one checked reading a case, also where breakeven never saw the benchmark.

Owns what `compare`, `ab`, `calibrate` and `history` know of a run: what each case read, by its one name,
which cases gave no timing, and on what machine. The strict reader of reports is
`breakeven.runs.reader`; what a value may be is checked for both in `breakeven.runs.schema`.
"""

from __future__ import annotations

import gc
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from breakeven.case import case_text
from breakeven.errors import UsageError
from breakeven.format import one_line
from breakeven.runs.json_files import MEASURE_AGAIN, Place, load_json
from breakeven.runs.machine import machine_of
from breakeven.runs.schema import (
    Ended,
    Sample,
    benchmarks_of,
    is_amount,
    is_ours,
    outcomes_of,
    sample_of,
    state_of,
    times_of,
)

_NO_ROUNDS: NDArray[np.float64] = np.empty(0)


@dataclass(frozen=True)
class Reading:
    """What one case read in one run.

    `case` is its one name: ``workload phase device batch=64 key=value``, else pytest's ``fullname``.
    `times_s`, shape (rounds,), seconds, in the order they ran, is empty where the file keeps statistics only.
    `sample` is None where breakeven did not measure the benchmark.
    """

    case: str
    median_s: float
    times_s: NDArray[np.float64]
    sample: Sample | None


@dataclass(frozen=True)
class Run:
    """One checked file. `readings` and `ended` are keyed by case, in the order of the file.

    `class_id` is None where the file tells none; `facts` are what it was made from. `digest` is equal for two
    files that hold the same run, wherever they lie and whatever order their benchmarks stand in. `machine_id`
    is the class id, or a hash of the hardware where there is none. `branch` is empty and `dirty` None where
    the file does not tell.
    """

    path: str
    label: str
    class_id: str | None
    facts: Mapping[str, Any]
    state: Mapping[str, Any]
    datetime: str
    commit: str
    readings: Mapping[str, Reading]
    ended: Mapping[str, Ended]
    digest: str
    machine_id: str = ""
    branch: str = ""
    dirty: bool | None = None


def read_run(path: str | os.PathLike[str]) -> Run:
    """Read one file that any pytest-benchmark from 3.4 on wrote; it may hold no benchmark at all.

    Raises:
        RunFileError: one line that names file, field and remedy.
    """
    place = Place(os.fspath(path))
    content = load_json(place.path)
    readings: dict[str, Reading] = {}
    for benchmark, here in benchmarks_of(content, place):
        reading = _reading(benchmark, here)
        if reading.case in readings:
            here.refuse(
                f"the case '{one_line(reading.case)}' stands twice in the file",
                "give each case its own name or axes, or measure into two files",
            )
        readings[reading.case] = reading
    info, commit = content.get("machine_info"), content.get("commit_info")
    machine = machine_of(info)
    ended = {_case_of(item): item for item in outcomes_of(content.get("breakeven"), place.at("breakeven"))}
    head = (content.get("datetime"), commit, sorted(ended))
    return Run(
        path=place.path,
        label=machine.label,
        class_id=_class_id(info),
        facts=machine.facts,
        state=state_of(info),
        datetime=one_line(content.get("datetime") or ""),
        commit=one_line(commit.get("id") or "") if isinstance(commit, dict) else "",
        readings=readings,
        ended={case: item for case, item in ended.items() if case not in readings},
        digest=_digest(readings.values(), head),
        machine_id=machine.class_id,
        branch=_branch(commit),
        dirty=commit.get("dirty") if isinstance(commit, dict) and type(commit.get("dirty")) is bool else None,
    )


def read_side(paths: Sequence[str | os.PathLike[str]]) -> list[Run]:
    """Read the runs of one side; the same run twice would count noise as knowledge.

    Raises:
        RunFileError: as `read_run`.
        UsageError: no file was given, or two of them hold the same run.
    """
    if not paths:
        raise UsageError("no run file was given; expected the path of at least one, such as run.json")
    runs: dict[str, Run] = {}
    for path in paths:
        with _no_collection():
            run = read_run(path)
        if run.digest in runs:
            first = runs[run.digest].path
            again = "is given twice" if first == run.path else f"holds the same run as {first}"
            raise UsageError(
                f"{one_line(run.path, 300)} {again} on one side, and a copy is no second run; leave it out"
            )
        runs[run.digest] = run
    return list(runs.values())


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector from walking, again and again, a million numbers that hold no cycle."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _reading(benchmark: Mapping[str, Any], here: Place) -> Reading:
    times_s, median_s = _timing(benchmark, here)
    if is_ours(benchmark):
        sample = sample_of(benchmark, here, times_s)
        case = case_text(sample.workload, sample.phase, sample.device, sample.batch_size, sample.axes_text)
        return Reading(case, median_s, times_s, sample)
    name = benchmark.get("fullname") or benchmark.get("name")
    if not isinstance(name, str):
        here.at("fullname").refuse("is missing, and nothing else tells the case apart", MEASURE_AGAIN)
    return Reading(name, median_s, times_s, None)


def _timing(benchmark: Mapping[str, Any], here: Place) -> tuple[NDArray[np.float64], float]:
    """Return the rounds and their median; without rounds, the median that the file tells."""
    stats = benchmark.get("stats")
    if not isinstance(stats, dict) or stats.get("data") is not None:
        times_s = times_of(benchmark, here)
        return times_s, _median(times_s)
    median_s: Any = stats.get("median")
    if not is_amount(median_s):
        here.at("stats.median").refuse(
            f"{one_line(repr(median_s), 40)} is no time in seconds, and there is no `data`", MEASURE_AGAIN
        )
    return _NO_ROUNDS, float(median_s)


def _median(times_s: NDArray[np.float64]) -> float:
    """Return the median; numpy's own takes five times as long, which a file of 2,000 cases feels."""
    ordered, half = np.sort(times_s), len(times_s) // 2
    return float(ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2)


def _case_of(ended: Ended) -> str:
    if ended.workload and ended.phase and ended.device and ended.batch_size and ended.axes is not None:
        return case_text(ended.workload, ended.phase, ended.device, ended.batch_size, ended.axes)
    return ended.fullname


def _branch(commit: Any) -> str:
    branch = commit.get("branch") if isinstance(commit, dict) else None
    # pytest-benchmark writes "(unknown)" and "(detached head)" where there is none.
    return one_line(branch) if isinstance(branch, str) and not branch.startswith("(") else ""


def _class_id(machine_info: Any) -> str | None:
    ours = machine_info.get("breakeven") if isinstance(machine_info, dict) else None
    class_id = ours.get("class_id") if isinstance(ours, dict) else None
    return class_id if isinstance(class_id, str) and class_id.strip() else None


def _digest(readings: Iterable[Reading], head: object) -> str:
    digest = hashlib.sha256(repr(head).encode("utf-8", "surrogatepass"))
    for reading in sorted(readings, key=lambda reading: reading.case):
        digest.update(repr((reading.case, reading.median_s)).encode("utf-8", "surrogatepass"))
        digest.update(reading.times_s.tobytes())
    return digest.hexdigest()
