"""Parses one run file into a checked `Run`.

An invalid value that would affect a result is rejected, with the field and the remedy in one line; additional
facts (`CaseFacts`, flags, the machine's state) are omitted if they make no sense.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from itertools import accumulate
from operator import attrgetter
from statistics import median
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from breakeven.case import CaseKey, Outcome
from breakeven.device_names import is_cpu
from breakeven.format import one_line
from breakeven.grouping import grouped
from breakeven.phases import HEADLINE
from breakeven.runs.flags import recorded_flags, recorded_losses
from breakeven.runs.json_files import MEASURE_AGAIN, NOT_OURS, Place, convert, is_amount, load_json, mapping
from breakeven.runs.large_files import read_large
from breakeven.runs.machine import Machine, machine_of
from breakeven.runs.merged_facts import Shard, shards_of
from breakeven.stats.intervals import median_of_sorted

REQUIRED = ("schema", "workload", "phase", "device", "batch_size", "axes")
"""The keys of ``extra_info`` that identify breakeven's benchmarks."""

_MIN_OURS = 3  # required keys that make a benchmark ours; a plain test may well record its own `device`
MIN_TIME_S, MAX_TIME_S = 1e-15, 1e9
"""The times that a round may take, unless it was too short for the clock and has 0. Other numbers are not
times (a femtosecond, thirty years), and would overflow in ratios and sums."""

NO_TIME = f"is not the time of a round (seconds: 0, or from {MIN_TIME_S:g} to {MAX_TIME_S:g})"
_MAX_BATCH = 2**53  # floats, in which batch sizes are interpolated, count by ones up to here
_NO_ROUNDS: NDArray[np.float64] = np.empty(0)

_Name = Annotated[str, msgspec.Meta(min_length=1)]
_Counts = list[Annotated[int, msgspec.Meta(ge=0)]]


@dataclass(frozen=True, slots=True)  # of tens of thousands of cases, with 40 fields each
class CaseFacts:
    """The recorded facts of a case besides its rounds: base units, None if unknown.

    `lost` has a phrase for each process that lost the case's rounds.
    """

    device_name: str | None = None
    flops_unknown: str | None = None
    operators_unknown: str | None = None
    threads: float | None = None
    init_s: float | None = None
    first_call_s: float | None = None
    model_transfer_s: float | None = None
    warmup_rounds: float | None = None
    half_width: float | None = None
    peak_memory_bytes: float | None = None
    parameters: float | None = None
    flops: float | None = None
    operators: float | None = None
    kernels: float | None = None
    moved_bytes: float | None = None
    device_time_s: float | None = None
    steps: float | None = None
    enqueue_s: float | None = None
    enqueue_low_s: float | None = None
    enqueue_high_s: float | None = None
    enqueue_transfer_s: float | None = None
    compile_s: float | None = None
    capture_s: float | None = None
    load_s: float | None = None
    burst_s: float | None = None
    burst_low_s: float | None = None
    burst_high_s: float | None = None
    burst_clock_mhz: float | None = None
    sustained_s: float | None = None
    sustained_low_s: float | None = None
    sustained_high_s: float | None = None
    sustained_clock_mhz: float | None = None
    accumulate: float | None = None
    batches: float | None = None
    batch_bytes: float | None = None
    batch_shapes: float | None = None
    closure_calls: float | None = None
    loader_workers: float | None = None
    loader_batches: float | None = None
    loader_start_s: float | None = None
    parts_s: Mapping[str, float] = field(default_factory=dict)
    flops_by_format: Mapping[str, float] = field(default_factory=dict)
    lost: tuple[str, ...] = ()

    @property
    def passes(self) -> float:
        """The passes of one training step, each over a batch of its own."""
        return max(1.0, self.accumulate or 1.0)

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> CaseFacts:
        """Return the facts in `info`, an ``extra_info``; impossible values are omitted."""
        texts = {key: info[key] for key in _TEXTS if isinstance(info.get(key), str)}
        amounts: dict[str, Any] = {
            key: float(value) for key, value in info.items() if key in _AMOUNTS and is_amount(value)
        }
        mappings: dict[str, Any] = {key: _amounts_of(info.get(key)) for key in _MAPPINGS}
        return cls(**texts, **amounts, **mappings, lost=recorded_losses(info))

    @classmethod
    def over_runs(cls, several: Iterable[CaseFacts]) -> CaseFacts:
        """Return the median of each number over the runs that have it, the first text, and all losses."""
        known = list(several)
        if len(known) == 1:
            return known[0]
        amounts = dict(zip(_AMOUNTS, map(_median, zip(*map(_amounts_in, known), strict=True)), strict=True))
        texts = {key: next((text for one in known if (text := getattr(one, key))), None) for key in _TEXTS}
        facts: dict[str, Any] = {**texts, **amounts}
        for key in _MAPPINGS:
            entries = grouped(item for one in known for item in getattr(one, key).items())
            facts[key] = {name: float(median(values)) for name, values in entries.items()}
        return cls(**facts, lost=tuple(dict.fromkeys(text for one in known for text in one.lost)))


_TEXTS = ("device_name", "flops_unknown", "operators_unknown")
_MAPPINGS = ("parts_s", "flops_by_format")
_AMOUNTS = tuple(item.name for item in fields(CaseFacts) if item.name not in (*_TEXTS, *_MAPPINGS, "lost"))
_amounts_in = attrgetter(*_AMOUNTS)


@dataclass(frozen=True, eq=False)
class CaseResult:
    """One case in one run.

    `name` is the label of its key, or pytest's ``fullname`` where `key` is None: breakeven did not measure
    it. `times_s`, shape (rounds,), seconds, in the order they ran, is empty if the file has statistics only.
    A round of `facts.steps` training steps has the time of one step. `processes` are the numbers of rounds of
    each process of the run, 0 where one gave none.
    """

    name: str
    key: CaseKey | None
    times_s: NDArray[np.float64]
    median_s: float
    flags: tuple[str, ...] = ()
    facts: CaseFacts = field(default_factory=CaseFacts)
    processes: tuple[int, ...] = ()

    @cached_property
    def samples(self) -> tuple[NDArray[np.float64], ...]:
        """The rounds of each process of the run, in seconds, empty for a process that gave none."""
        if not self.processes:
            return (self.times_s,)
        ends = accumulate(self.processes)
        return tuple(self.times_s[end - n : end] for n, end in zip(self.processes, ends, strict=True))

    @cached_property
    def process_medians_s(self) -> NDArray[np.float64]:
        """The median of each process of the run, shape (processes,), seconds; NaN where one gave no round."""
        if not len(self.times_s) or not self.processes:
            return np.array([self.median_s])
        return _process_medians(self.times_s, self.processes)

    @property
    def timed_processes(self) -> int:
        """The number of processes that gave a round."""
        return int(np.isfinite(self.process_medians_s).sum())

    @property
    def waits(self) -> bool:
        """Whether it is a training step that waited for its accelerator at the end, as version 1 timed it."""
        return self.facts.steps is None and self.key is not None and waits_without_steps(self.key)


@dataclass(frozen=True, eq=False)
class Run:
    """One checked run file.

    `cases` are keyed by name, in the order of the file. `state` is the recorded state of the machine during
    the run, `command` the shell line that made it (empty where unknown), `device_init_s` the seconds that
    each device took to start. `plain` counts the ignored benchmarks without breakeven's keys. `is_complete`
    is whether the run reached its end. `name` is unique among the runs that were read together. `processes`
    are the recorded states of its processes, empty where the file has none. `parts` is the number of runs
    that were merged into it, and `shards` those of them, or itself, that are shards of a sweep.
    `instance_id` identifies the machine itself among those of its class, empty where the file does not record
    it.
    """

    path: str
    machine: Machine
    cases: Mapping[str, CaseResult]
    outcomes: tuple[Outcome, ...] = ()
    datetime: str = ""
    commit: str = ""
    branch: str = ""
    dirty: bool | None = None
    command: str = ""
    state: Mapping[str, Any] = field(default_factory=dict)
    device_init_s: Mapping[str, float] = field(default_factory=dict)
    plain: int = 0
    is_complete: bool = True
    digest: str = ""
    name: str = ""
    processes: tuple[Mapping[str, Any], ...] = ()
    parts: int = 1
    shards: tuple[Shard, ...] = ()
    instance_id: str = ""

    def of_class(self, machine: Machine) -> Run:
        """Return the run with this machine class, also in the keys of its cases."""
        if machine.class_id == self.machine.class_id:
            return replace(self, machine=machine)
        cases = {name: replace(case, key=_on(case.key, machine)) for name, case in self.cases.items()}
        outcomes = tuple(replace(one, key=_on(one.key, machine)) for one in self.outcomes)
        return replace(self, machine=machine, cases=cases, outcomes=outcomes)

    @cached_property
    def untimed(self) -> Mapping[str, Outcome]:
        """The cases without a timing in this run, by name."""
        return {one.name: one for one in self.outcomes if one.name not in self.cases}

    @cached_property
    def rounds_digest(self) -> str:
        """Equal for two runs with the same rounds of the same cases, regardless of their dates."""
        if not self.cases:
            return self.digest
        digest = hashlib.sha256()
        for name, case in sorted(self.cases.items()):
            digest.update(name.encode("utf-8", "surrogatepass"))
            digest.update(case.times_s.tobytes())
        return digest.hexdigest()


def _on(key: CaseKey | None, machine: Machine) -> CaseKey | None:
    return None if key is None else replace(key, machine=machine.class_id)


class _Identity(msgspec.Struct):
    workload: _Name
    phase: _Name
    device: _Name
    batch_size: Annotated[int, msgspec.Meta(ge=1, le=_MAX_BATCH)]
    axes: dict[str, Any]

    def key(self, machine: str) -> CaseKey:
        return CaseKey.of(self.workload, self.batch_size, self.phase, self.device, self.axes, machine)


class _StoredOutcome(msgspec.Struct):
    outcome: _Name
    fullname: Any = None
    reason: Any = None
    extra_info: Any = None


def parse(path: str, *, plain: bool) -> Run:
    """Read and check one run file.

    Args:
        path: the file.
        plain: read any pytest-benchmark file, also one with statistics only; otherwise ignore benchmarks
        without breakeven's keys, and require every round of the others.

    Raises:
        RunFileError: one line that names file, field and remedy.
    """
    large = read_large(path)
    return checked(load_json(path) if large is None else large, path, plain=plain)


def checked(content: Any, path: str, *, plain: bool) -> Run:
    """Check the content of a run file, as `parse` does.

    Raises:
        RunFileError: one line that names file, field and remedy.
    """
    place = Place(path)
    info, ours = (mapping(content).get(name) for name in ("machine_info", "breakeven"))
    machine = machine_of(info)
    cases, passed_over = _cases(content, place, machine.class_id, plain)
    outcomes = _outcomes(ours, place.at("breakeven"), machine.class_id)
    commit = mapping(content.get("commit_info"))
    facts = mapping(mapping(info).get("breakeven"))
    state = mapping(facts.get("state"))
    command = mapping(ours).get("command")
    branch = commit.get("branch")
    ended = sorted({one.name for one in outcomes})
    parts = _objects(mapping(ours).get("parts"))
    return Run(
        path=path,
        machine=machine,
        cases=cases,
        outcomes=outcomes,
        datetime=one_line(content.get("datetime") or ""),
        commit=one_line(commit.get("id") or ""),
        # pytest-benchmark writes "(unknown)" and "(detached head)" if there is none.
        branch=one_line(branch) if isinstance(branch, str) and not branch.startswith("(") else "",
        dirty=dirty if isinstance(dirty := commit.get("dirty"), bool) else None,
        command=one_line(command, 2000) if isinstance(command, str) else "",
        state=state,
        device_init_s=_amounts_of(state.get("device_init_s")),
        plain=passed_over,
        is_complete=mapping(ours).get("complete") is not False,
        processes=_objects(mapping(ours).get("processes")),
        parts=len(parts) or 1,
        shards=tuple(
            shards_of([mapping(ours), *(mapping(mapping(one.get("run")).get("breakeven")) for one in parts)])
        ),
        instance_id=one_line(facts.get("instance_id") or ""),
        digest=_digest(cases.values(), (content.get("datetime"), content.get("commit_info"), ended)),
    )


def waits_without_steps(key: CaseKey) -> bool:
    """Return whether a case without `steps` waited after each step: it is a `train` on an accelerator.

    On a CPU there is nothing to wait for.
    """
    return key.phase == HEADLINE and not is_cpu(key.device)


def is_ours(benchmark: Mapping[str, Any]) -> bool:
    """Return whether a benchmark has breakeven's keys, all of them or enough to recognize it."""
    info = benchmark.get("extra_info")
    return isinstance(info, dict) and sum(key in info for key in REQUIRED) >= _MIN_OURS


def _cases(content: Any, place: Place, machine: str, plain: bool) -> tuple[dict[str, CaseResult], int]:
    cases: dict[str, CaseResult] = {}
    passed_over = 0
    for benchmark, here in _benchmarks(content, place):
        if not plain and not is_ours(benchmark):
            passed_over += 1
            continue
        case = _case(benchmark, here, machine, plain)
        before = cases.get(case.name)
        if before is not None and is_ours(benchmark):
            here.refuse(
                f"the case '{one_line(case.name)}' is in the file twice",
                "give each case its own name or axes, or measure into two files",
            )
        cases[case.name] = case if before is None else _pooled(before, case)
    return cases, passed_over


def _pooled(first: CaseResult, second: CaseResult) -> CaseResult:
    """Return a benchmark that pytest ran twice, as with --keep-duplicates: with the rounds of both.

    Without the rounds of both it is the second one.
    """
    if not len(first.times_s) or not len(second.times_s):
        return second
    times_s = np.concatenate([first.times_s, second.times_s])
    return replace(second, times_s=times_s, median_s=float(np.median(times_s)))


def _benchmarks(content: Any, place: Place) -> Iterator[tuple[Mapping[str, Any], Place]]:
    if mapping(content).get("predicted") is True:
        place.refuse("is a prediction, which is never used as a run", NOT_OURS)
    if mapping(content).get("kind") == "card":
        place.refuse("is a card, which `breakeven predict --on` takes, and not a run", NOT_OURS)
    if not isinstance(content, dict) or not isinstance(content.get("benchmarks"), list):
        place.refuse("is not a pytest-benchmark file (no list of `benchmarks`)", NOT_OURS)
    for index, benchmark in enumerate(content["benchmarks"]):
        here = place.at(f"benchmarks[{index}]")
        if not isinstance(benchmark, dict):
            here.refuse(f"{one_line(benchmark, 40)} is not an object", NOT_OURS)
        if isinstance(benchmark.get("fullname"), str):
            here = Place(place.path, f"{here.field} ({one_line(benchmark['fullname'], 80)})")
        yield benchmark, here


def _case(benchmark: Mapping[str, Any], here: Place, machine: str, plain: bool) -> CaseResult:
    times_s, median_s = _timing(benchmark, here, plain)
    if is_ours(benchmark):
        info = benchmark["extra_info"]
        key = _key(info, here.at("extra_info"), machine)
        processes = _processes(info, here.at("extra_info.processes"), len(times_s))
        flags, facts = recorded_flags(info), CaseFacts.of(info)
        center_s = _center(times_s, processes) if median_s is None else median_s
        return CaseResult(key.label(), key, times_s, center_s, flags, facts, processes)
    name = benchmark.get("fullname") or benchmark.get("name")
    if not isinstance(name, str):
        here.at("fullname").refuse("is missing, and nothing else identifies the case", MEASURE_AGAIN)
    return CaseResult(name, None, times_s, _center(times_s, ()) if median_s is None else median_s)


def _center(times_s: NDArray[np.float64], processes: Sequence[int]) -> float:
    """Return the median of the processes' medians: the process is the replicate, whatever its rounds."""
    if len(processes) < 2:
        return median_of_sorted(np.sort(times_s))
    medians: list[float] = _process_medians(times_s, processes).tolist()
    return median(known for known in medians if not math.isnan(known))


def _process_medians(times_s: NDArray[np.float64], processes: Sequence[int]) -> NDArray[np.float64]:
    """Return the median of each process; NaN where one gave no round."""
    count = processes[0]
    if processes.count(count) == len(processes):  # the usual case, at a third of the time
        ordered = times_s.reshape(len(processes), count).copy()
        ordered.sort(axis=1)
        return (ordered[:, (count - 1) // 2] + ordered[:, count // 2]) / 2
    medians, start = [], 0
    for count in processes:
        ordered = times_s[start : start + count].copy()
        ordered.sort()  # np.split and np.sort would double the time of reading a case
        medians.append(median_of_sorted(ordered) if count else math.nan)
        start += count
    return np.array(medians)


def _processes(info: Mapping[str, Any], here: Place, rounds: int) -> tuple[int, ...]:
    """Return how many rounds each process gave; empty where the file does not record it."""
    if info.get("processes") is None or not rounds:
        return ()
    counts = here.decode(info["processes"], _Counts, MEASURE_AGAIN)
    if sum(counts) != rounds:
        here.refuse(f"its numbers of rounds sum to {sum(counts)}, and `data` has {rounds}", MEASURE_AGAIN)
    return tuple(counts)


def _key(info: Mapping[str, Any], here: Place, machine: str) -> CaseKey:
    _check_schema(info, here)
    found = here.decode(info, _Identity, f"breakeven identifies cases by it; {MEASURE_AGAIN}")
    for name in ("workload", "phase", "device"):
        if not getattr(found, name).strip():
            here.at(name).refuse(f"{getattr(found, name)!r} is not a name", MEASURE_AGAIN)
    if not _is_finite(found.axes):
        here.at("axes").refuse(
            f"{one_line(repr(found.axes), 60)} is not an object of plain, finite values", MEASURE_AGAIN
        )
    return found.key(machine)


def _timing(
    benchmark: Mapping[str, Any], here: Place, plain: bool
) -> tuple[NDArray[np.float64], float | None]:
    """Return the rounds; without rounds, the median in the file if that is allowed."""
    stats = benchmark.get("stats")
    if not isinstance(stats, dict):
        here.at("stats").refuse("is missing", NOT_OURS)
    if stats.get("data") is not None:
        return _times(stats["data"], here.at("stats.data")), None
    if not plain:
        here.at("stats.data").refuse(
            "is missing", "a report needs every round: measure with --benchmark-save-data"
        )
    median_s: Any = stats.get("median")
    if not is_time(median_s):
        here.at("stats.median").refuse(
            f"{one_line(repr(median_s), 40)} {NO_TIME}, and `data` is missing", MEASURE_AGAIN
        )
    return _NO_ROUNDS, float(median_s)


def is_time(value: Any) -> bool:
    """Return whether a value from a file can be the time of a round in seconds."""
    return is_amount(value) and (value == 0 or MIN_TIME_S <= value <= MAX_TIME_S)


def _times(data: Any, here: Place) -> NDArray[np.float64]:
    if isinstance(data, list) and not data:
        here.refuse("is empty", f"the case was not timed; {MEASURE_AGAIN}")
    times = data if isinstance(data, np.ndarray) else np.array(here.decode(data, list[float]), dtype=float)
    wrong = np.flatnonzero(~((times == 0) | ((times >= MIN_TIME_S) & (times <= MAX_TIME_S))))
    if len(wrong):
        here.at(f"[{wrong[0]}]").refuse(f"{times[wrong[0]]} {NO_TIME}", MEASURE_AGAIN)
    return times


def _outcomes(ours: Any, here: Place, machine: str) -> tuple[Outcome, ...]:
    if ours is None:
        return ()
    if not isinstance(ours, dict):
        here.refuse(f"{one_line(ours, 40)!r} is not an object", MEASURE_AGAIN)
    _check_schema(ours, here)
    if ours.get("outcomes") is None:
        return ()
    listed = here.at("outcomes").decode(ours["outcomes"], list[_StoredOutcome])
    return tuple(
        Outcome(
            fullname=str(item.fullname or ""),
            outcome=item.outcome,
            reason=str(item.reason or ""),
            key=_key_if_known(item.extra_info, machine),
        )
        for item in listed
    )


def _key_if_known(info: Any, machine: str) -> CaseKey | None:
    try:
        found = convert(info, _Identity)
    except msgspec.ValidationError:
        return None
    return found.key(machine) if _is_finite(found.axes) else None


def _check_schema(holder: Mapping[str, Any], here: Place) -> None:
    if "schema" not in holder:
        here.at("schema").refuse("is missing", f"it gives the version of the format; {MEASURE_AGAIN}")
    schema = here.at("schema").decode(holder["schema"], int)
    if schema < 1:
        here.at("schema").refuse(f"{schema} is not a version number", MEASURE_AGAIN)
    here.refuse_newer(schema)


def _digest(cases: Iterable[CaseResult], head: object) -> str:
    digest = hashlib.sha256(repr(head).encode("utf-8", "surrogatepass"))
    for case in sorted(cases, key=lambda case: case.name):
        digest.update(repr((case.name, case.median_s)).encode("utf-8", "surrogatepass"))
        digest.update(case.times_s.tobytes())
    return digest.hexdigest()


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(median(known)) if known else None


def _amounts_of(values: Any) -> dict[str, float]:
    return {k: float(v) for k, v in values.items() if is_amount(v)} if isinstance(values, dict) else {}


def _objects(values: Any) -> tuple[Mapping[str, Any], ...]:
    return tuple(map(mapping, values)) if isinstance(values, list) else ()


def _is_finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
