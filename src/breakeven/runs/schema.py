"""One run file: its bytes -> checked samples. Nothing gets past here that Contract 1 does not allow.

Owns the refusals: each is one line that names the file, the field and the remedy. Never guesses a value,
never repairs one, and knows nothing of other files; `breakeven.runs.reader` puts files together.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from breakeven.case import SCHEMA, axes_text
from breakeven.errors import NewerSchemaError
from breakeven.format import one_line
from breakeven.runs.canary import Move, moves
from breakeven.runs.json_files import MEASURE_AGAIN, Place, load_json
from breakeven.runs.machine import Machine, machine_of

REQUIRED = ("schema", "workload", "phase", "device", "batch_size", "axes")
AMOUNTS = (
    "threads",
    "first_call_s",
    "model_transfer_s",
    "warmup_rounds",
    "half_width",
    "peak_memory_bytes",
    "parameters",
    "flops",
    "moved_bytes",
    "device_time_s",
    "enqueue_s",
    "enqueue_low_s",
    "enqueue_high_s",
    "enqueue_transfer_s",
    "compile_s",
    "capture_s",
)
"""Numbers of at least 0 that are constant in a case and may be recorded beside the required keys."""

TEXTS = ("device_name", "flops_unknown")
FACTS = (*TEXTS, *AMOUNTS, "parts_s")
"""Whatever may be so recorded. A value that cannot be is no fact: it is left out, and costs no timing."""

_OURS_FROM = 3  # required keys that make a benchmark ours; a plain test may well record its own `device`
_MAX_TIME_S = 1e9  # thirty years; larger numbers are no times, and would overflow where they are added
_MAX_AMOUNT = 1e30
_MAX_BATCH = 2**53  # beyond it a float, in which batch sizes are interpolated, no longer counts by ones


@dataclass(frozen=True)
class Sample:
    """All rounds of one case in one run: `times_s`, shape (rounds,), seconds, in the order they ran."""

    workload: str
    axes: Mapping[str, Any]
    axes_text: str
    batch_size: int
    phase: str
    device: str
    times_s: NDArray[np.float64]
    flags: tuple[str, ...]
    facts: Mapping[str, Any]

    @property
    def identity(self) -> tuple[str, str, int, str, str]:
        """What tells two cases apart."""
        return (self.workload, self.axes_text, self.batch_size, self.phase, self.device)


@dataclass(frozen=True)
class Ended:
    """A case that gave no timing; its identity is as far known as the run file tells."""

    fullname: str
    outcome: str
    reason: str
    workload: str | None = None
    axes: Mapping[str, Any] | None = None
    batch_size: int | None = None
    phase: str | None = None
    device: str | None = None


@dataclass(frozen=True)
class RunFile:
    """One checked run file. `digest` is equal for two files that hold the same rounds of the same cases."""

    path: str
    machine: Machine
    datetime: str
    commit: str
    samples: tuple[Sample, ...]
    outcomes: tuple[Ended, ...]
    foreign: int
    digest: str
    moves: tuple[Move, ...]
    command: str
    state: Mapping[str, Any]
    device_init_s: Mapping[str, float]


def parse(path: str) -> RunFile:
    """Read one run file and check every value that a report rests on.

    Raises:
        RunFileError: one line that names file, field and remedy.
    """
    place = Place(path)
    content = load_json(path)
    samples, foreign = _samples(content, place)
    outcomes = outcomes_of(content.get("breakeven"), place.at("breakeven"))
    if not samples and not outcomes:
        found = "its benchmarks carry none of breakeven's keys" if foreign else "it holds no benchmarks"
        place.refuse(
            f"{found} ({', '.join(REQUIRED)} in extra_info)",
            "a report needs runs of `@pytest.mark.sweep` benchmarks: `pytest bench --benchmark-json=FILE`",
        )
    commit = content.get("commit_info")
    state = state_of(content.get("machine_info"))
    return RunFile(
        path=path,
        machine=machine_of(content.get("machine_info")),
        datetime=one_line(content.get("datetime") or ""),
        commit=one_line(commit.get("id") or "") if isinstance(commit, dict) else "",
        samples=samples,
        outcomes=outcomes,
        foreign=foreign,
        digest=_digest(content.get("datetime"), samples, outcomes),
        moves=tuple(moves(state)),
        command=_command(content.get("breakeven")),
        state=state,
        device_init_s=_amounts_of(state.get("device_init_s")),
    )


def state_of(machine_info: Any) -> Mapping[str, Any]:
    """Return what came and went on the machine while the run was measured; empty where nobody tells."""
    ours = machine_info.get("breakeven") if isinstance(machine_info, dict) else None
    state = ours.get("state") if isinstance(ours, dict) else None
    return state if isinstance(state, dict) else {}


def _command(ours: Any) -> str:
    command = ours.get("command") if isinstance(ours, dict) else None
    return one_line(command, 2000) if isinstance(command, str) else ""


def benchmarks_of(content: Any, place: Place) -> Iterator[tuple[Mapping[str, Any], Place]]:
    """Yield every benchmark of a file with the place it stands at.

    Raises:
        RunFileError: the file is none of pytest-benchmark's.
    """
    if not isinstance(content, dict) or not isinstance(content.get("benchmarks"), list):
        place.refuse(
            "is not a pytest-benchmark file (no list of `benchmarks`)",
            "give a file that --benchmark-json wrote",
        )
    for index, benchmark in enumerate(content["benchmarks"]):
        here = place.at(f"benchmarks[{index}]")
        if not isinstance(benchmark, dict):
            here.refuse(
                f"{one_line(benchmark, 40)} is not an object", "give a file that --benchmark-json wrote"
            )
        if isinstance(benchmark.get("fullname"), str):
            here = Place(place.path, f"{here.field} ({one_line(benchmark['fullname'], 80)})")
        yield benchmark, here


def is_ours(benchmark: Mapping[str, Any]) -> bool:
    """Return whether a benchmark carries breakeven's keys, all or so many that it was meant to."""
    info = benchmark.get("extra_info")
    return isinstance(info, dict) and sum(key in info for key in REQUIRED) >= _OURS_FROM


def _samples(content: Any, place: Place) -> tuple[tuple[Sample, ...], int]:
    samples: dict[tuple[Any, ...], Sample] = {}
    foreign = 0
    for benchmark, here in benchmarks_of(content, place):
        if not is_ours(benchmark):
            foreign += 1
            continue
        sample = sample_of(benchmark, here, times_of(benchmark, here))
        if sample.identity in samples:
            here.refuse(
                f"the case '{one_line(' '.join(map(str, sample.identity)))}' stands twice in the file",
                "give each case its own axes, or measure into two files",
            )
        samples[sample.identity] = sample
    return tuple(samples.values()), foreign


def sample_of(benchmark: Mapping[str, Any], here: Place, times_s: NDArray[np.float64]) -> Sample:
    """Check the identity of one of our benchmarks, and what else is recorded of it.

    Raises:
        RunFileError: a required key is missing or cannot be.
    """
    info, extra = benchmark["extra_info"], here.at("extra_info")
    _check_schema(info, extra)
    for key in REQUIRED:
        if key not in info:
            extra.at(key).refuse("is missing", f"breakeven needs it to tell cases apart; {MEASURE_AGAIN}")
    for key in ("workload", "phase", "device"):
        if not isinstance(info[key], str) or not info[key].strip():
            extra.at(key).refuse(f"{one_line(info[key], 40)!r} is not a name", MEASURE_AGAIN)
    batch_size = info["batch_size"]
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or not 1 <= batch_size <= _MAX_BATCH:
        shown = one_line(repr(batch_size)[:40] if not isinstance(batch_size, int) else _int_text(batch_size))
        extra.at("batch_size").refuse(f"{shown} is not an integer of at least 1", MEASURE_AGAIN)
    if not isinstance(info["axes"], dict) or not _finite(info["axes"]):
        extra.at("axes").refuse(
            f"{one_line(repr(info['axes']), 60)} is not an object of plain, finite values", MEASURE_AGAIN
        )
    flags = info.get("flags")
    return Sample(
        workload=info["workload"],
        axes=dict(info["axes"]),
        axes_text=axes_text(info["axes"]),
        batch_size=batch_size,
        phase=info["phase"],
        device=info["device"],
        times_s=times_s,
        flags=tuple(f for f in flags if isinstance(f, str) and f) if isinstance(flags, list) else (),
        facts=_facts(info),
    )


def _facts(info: Mapping[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {key: info[key] for key in AMOUNTS if is_amount(info.get(key))}
    facts |= {key: info[key] for key in TEXTS if isinstance(info.get(key), str)}
    if isinstance(info.get("parts_s"), dict):
        facts["parts_s"] = _amounts_of(info["parts_s"])
    return facts


def _amounts_of(values: Any) -> dict[str, float]:
    """Return the entries of an object that are amounts; what else stands there says nothing."""
    return {k: v for k, v in values.items() if is_amount(v)} if isinstance(values, dict) else {}


def is_amount(value: Any) -> bool:
    """Return whether a value from a file is a number of at least 0 that can be reckoned with.

    >>> [is_amount(value) for value in (0, 1.5, -1, True, "1", math.inf, 10**400, None)]
    [True, True, False, False, False, False, False, False]
    """
    return type(value) in (int, float) and 0 <= value <= _MAX_AMOUNT


def times_of(benchmark: Mapping[str, Any], here: Place) -> NDArray[np.float64]:
    """Return every round of a benchmark, shape (rounds,), seconds.

    Raises:
        RunFileError: there are none, or one that is no time.
    """
    stats, here = benchmark.get("stats"), here.at("stats")
    if not isinstance(stats, dict):
        here.refuse("is missing", "give a file that --benchmark-json wrote")
    here = here.at("data")
    data = stats.get("data")
    if data is None:
        here.refuse("is missing", "a report needs every round: measure with --benchmark-save-data")
    if not isinstance(data, list):
        here.refuse(f"{one_line(data, 40)!r} is not a list of times", MEASURE_AGAIN)
    if not data:
        here.refuse("is empty", f"the case was not timed; {MEASURE_AGAIN}")
    if not set(map(type, data)) <= {int, float}:
        index = next(i for i, value in enumerate(data) if type(value) not in (int, float))
        Place(here.path, f"{here.field}[{index}]").refuse(
            f"{one_line(repr(data[index]), 40)} is not a number of seconds", MEASURE_AGAIN
        )
    try:
        times = np.array(data, dtype=float)
    except OverflowError:
        here.refuse("holds a number beyond any time", MEASURE_AGAIN)
    wrong = np.flatnonzero(~((times >= 0) & (times <= _MAX_TIME_S)))
    if len(wrong):
        Place(here.path, f"{here.field}[{wrong[0]}]").refuse(
            f"{times[wrong[0]]} is not the time of a round (seconds, finite, not below 0)", MEASURE_AGAIN
        )
    return times


def outcomes_of(ours: Any, here: Place) -> tuple[Ended, ...]:
    """Return the cases that ended without a timing, as the file's own part tells them."""
    if ours is None:
        return ()
    if not isinstance(ours, dict):
        here.refuse(f"{one_line(ours, 40)!r} is not an object", MEASURE_AGAIN)
    _check_schema(ours, here)
    listed = ours.get("outcomes")
    if listed is None:
        return ()
    here = here.at("outcomes")
    if not isinstance(listed, list):
        here.refuse(f"{one_line(listed, 40)!r} is not a list", MEASURE_AGAIN)
    return tuple(_ended(item, Place(here.path, f"{here.field}[{i}]")) for i, item in enumerate(listed))


def _ended(item: Any, here: Place) -> Ended:
    if not isinstance(item, dict):
        here.refuse(f"{one_line(item, 40)!r} is not an object", MEASURE_AGAIN)
    if not isinstance(item.get("outcome"), str) or not item["outcome"]:
        here.at("outcome").refuse("is missing or not a word", MEASURE_AGAIN)
    info = item.get("extra_info")
    info = info if isinstance(info, dict) else {}
    names = {key: info[key] for key in ("workload", "phase", "device") if isinstance(info.get(key), str)}
    batch_size, axes = info.get("batch_size"), info.get("axes")
    is_size = (
        isinstance(batch_size, int) and not isinstance(batch_size, bool) and 1 <= batch_size <= _MAX_BATCH
    )
    return Ended(
        fullname=str(item.get("fullname") or ""),
        outcome=item["outcome"],
        reason=str(item.get("reason") or ""),
        batch_size=batch_size if is_size else None,
        axes=axes if isinstance(axes, dict) and _finite(axes) else None,
        **names,
    )


def _check_schema(holder: Mapping[str, Any], here: Place) -> None:
    if "schema" not in holder:
        here.at("schema").refuse("is missing", f"it says how the file is to be read; {MEASURE_AGAIN}")
    schema = holder["schema"]
    if isinstance(schema, bool) or not isinstance(schema, int) or schema < 1:
        here.at("schema").refuse(f"{one_line(repr(schema), 40)} is no version number", MEASURE_AGAIN)
    if schema > SCHEMA:
        here.at("schema").refuse(
            f"{_int_text(schema)} is newer than this breakeven reads ({SCHEMA})",
            "upgrade breakeven",
            NewerSchemaError,
        )


def _int_text(value: int) -> str:
    return str(value) if value.bit_length() < 256 else "a number of hundreds of digits"


def _finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_finite(item) for item in value.values())
    if isinstance(value, list):
        return all(_finite(item) for item in value)
    return not isinstance(value, float) or math.isfinite(value)


def _digest(datetime: Any, samples: tuple[Sample, ...], outcomes: tuple[Ended, ...]) -> str:
    digest = hashlib.sha256()
    for sample in sorted(samples, key=lambda sample: sample.identity):
        digest.update(repr(sample.identity).encode("utf-8", "surrogatepass"))
        digest.update(sample.times_s.tobytes())
    if not samples:
        digest.update(repr((datetime, sorted(map(repr, outcomes)))).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
