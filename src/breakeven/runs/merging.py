"""Joins run files of one sweep, such as those of its shards, into one run file.

A merged file is the union of its parts. A part is a run without its cases: when, where and how it was
measured, under ``breakeven.parts``. Each case names its part, and everything else in the file follows from
the parts and the cases. So the files may come in any order, one by one or all at once, and a file that is
given twice, or is already in a merged one, changes nothing: the bytes are the same.

- A case that is timed in several files must have the same rounds in all of them.
- Its ``processes`` count the processes of all parts, in their order, because no two parts share a process.
- A case without a timing is listed unless another file has timed it. Only a skipped one may be timed
  elsewhere: another outcome and a timing are two results.
- The parts are of one machine class, one commit, the same settings of torch, and either all shards of one
  sweep or all none; a model has the same number of parameters in all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from breakeven.case import CaseKey, Outcome, OutcomeKind
from breakeven.collector import collection_off
from breakeven.device_names import device_order
from breakeven.errors import SeparateRunsError
from breakeven.format import one_line
from breakeven.grouping import grouped
from breakeven.phases import Phase
from breakeven.runs.json_files import Place, encoded, load_json, mapping
from breakeven.runs.merged_facts import content_of, missing_shards
from breakeven.runs.merged_parts import (
    MERGE_AGAIN,
    SIDE_BY_SIDE,
    Part,
    check_parts,
    named,
    parts_of,
    preferred,
)
from breakeven.runs.schema import CaseResult, checked

PART = "part"
"""The key of a benchmark's ``extra_info`` in a merged file that names its part."""

_PHASES = {phase.value: place for place, phase in enumerate(Phase)}
_OUTCOMES = [
    OutcomeKind.SKIPPED,
    OutcomeKind.OOM,
    OutcomeKind.TIMEOUT,
    OutcomeKind.CRASHED,
    OutcomeKind.FAILED,
]


@dataclass(frozen=True)
class TimedCase:
    """A case with rounds: as JSON its benchmark without ``extra_info``, and ``extra_info``.

    `info` leaves out what depends on the other parts. `counts` are the rounds of each process of its part;
    `part` is empty for a benchmark that breakeven did not measure. `rounds` are hashed.
    """

    key: CaseKey | None
    name: str
    part: str
    counts: tuple[int, ...]
    benchmark: bytes
    info: bytes
    rounds: bytes
    parameters: float | None
    path: str

    @property
    def rank(self) -> tuple[Any, ...]:
        """Of equal cases the one with the smallest rank is kept."""
        return self.part, self.counts, self.benchmark, self.info


@dataclass(frozen=True)
class UntimedCase:
    """A case without a timing: its outcome, also as JSON."""

    outcome: Outcome
    raw: bytes
    path: str

    @property
    def rank(self) -> tuple[int, bool, bytes]:
        """Of several outcomes of a case that of the highest rank is kept: a failure rather than a skip."""
        kind = self.outcome.outcome
        place = _OUTCOMES.index(OutcomeKind(kind)) if kind in _OUTCOMES else len(_OUTCOMES)
        return place, not self.outcome.reason.startswith("not reached"), self.raw

    @property
    def is_skipped(self) -> bool:
        """Whether nothing was tried, so that a timing of another file does not contradict it."""
        return self.outcome.outcome == OutcomeKind.SKIPPED


@dataclass
class Merged:
    """The union of run files; `conflicts` are the cases that two files have with other rounds."""

    parts: dict[str, Part] = field(default_factory=dict)
    timed: dict[str, TimedCase] = field(default_factory=dict)
    untimed: dict[str, UntimedCase] = field(default_factory=dict)
    conflicts: list[tuple[TimedCase, TimedCase]] = field(default_factory=list)

    def add(self, content: Any, path: str) -> None:
        """Add the content of a run file.

        Raises:
            RunFileError: it is not a valid one.
        """
        run = checked(content, path, plain=True)
        parts = parts_of(content, path)
        for part, _ in parts.values():
            self.parts[part.id] = preferred(part, self.parts.get(part.id))
        for index, (case, raw) in enumerate(zip(run.cases.values(), content["benchmarks"], strict=True)):
            self._add_timed(_timed_case(case, raw, parts, Place(path).at(f"benchmarks[{index}]")))
        raws = mapping(content.get("breakeven")).get("outcomes") or []
        for outcome, raw in zip(run.outcomes, raws, strict=True):
            if outcome.name not in run.cases:
                self._add_untimed(UntimedCase(outcome, encoded(raw), path))

    def _add_timed(self, case: TimedCase) -> None:
        known = self.timed.get(case.name)
        if known is not None and known.rounds != case.rounds:
            self.conflicts.append((known, case))
        self.timed[case.name] = case if known is None else min(known, case, key=lambda one: one.rank)

    def _add_untimed(self, case: UntimedCase) -> None:
        name = case.outcome.name
        known = self.untimed.get(name)
        self.untimed[name] = case if known is None else max(known, case, key=lambda one: one.rank)

    def check(self) -> None:
        """Refuse parts, or results of a case, that do not belong together.

        Raises:
            DifferentMachinesError, SeparateRunsError: naming two files and what differs.
        """
        check_parts(self.parts.values())
        self._check_models()
        for one, other in self.conflicts:
            raise SeparateRunsError(
                f"{one_line(one.name, 200)} has other rounds in {named(one.path, other.path)}: these are "
                f"separate runs of the same case; {SIDE_BY_SIDE}"
            )
        for name in sorted(self.timed.keys() & self.untimed.keys()):
            timed, untimed = self.timed[name], self.untimed[name]
            if not untimed.is_skipped:
                raise SeparateRunsError(
                    f"{one_line(name, 200)} is timed in {one_line(timed.path, 200)}, and in "
                    f"{one_line(untimed.path, 200)} it is {one_line(untimed.outcome.outcome, 40)}: these are "
                    f"separate runs of the same case; {SIDE_BY_SIDE}"
                )

    def _check_models(self) -> None:
        """Refuse two parts without a common number of parameters for a model of one name."""
        of_model = grouped(
            (case.key.model, case) for case in self.timed.values() if case.key and case.parameters
        )
        for model, cases in of_model.items():
            parts = grouped((case.part, case) for case in cases).values()
            for one, other in combinations(parts, 2):
                if {case.parameters for case in one}.isdisjoint(case.parameters for case in other):
                    raise SeparateRunsError(
                        f"{one_line(model.label())} has {one[0].parameters:,.0f} parameters in "
                        f"{one_line(one[0].path, 200)} and {other[0].parameters:,.0f} in "
                        f"{one_line(other[0].path, 200)}: these are two networks of one name; give them "
                        "different names or axes"
                    )

    def missing_shards(self) -> list[str]:
        """Return the shards, as K/N, that have cells of the sweep and are in none of the files."""
        return missing_shards([part.ours for part in self.parts.values()])

    def as_json(self) -> bytes:
        """Return the run file."""
        parts = sorted(self.parts.values(), key=lambda part: part.order)
        processes = self._processes(parts)
        starts, total = {"": 0}, 0
        for part in parts:
            starts[part.id], total = total, total + processes[part.id]
        timed = sorted(self.timed.values(), key=lambda case: _case_order(case.key, case.name))
        untimed = [case for name, case in self.untimed.items() if name not in self.timed]
        untimed.sort(key=lambda case: _case_order(case.outcome.key, case.outcome.name))
        content = content_of(
            [part.content for part in parts],
            [{"id": part.id, "processes": processes[part.id], "run": part.content} for part in parts],
            [processes[part.id] for part in parts],
        )
        ours = content.pop("breakeven")
        return b"\n".join(
            [
                b'{"benchmarks":[',
                b",\n".join(_benchmark(case, starts[case.part]) for case in timed),
                b"],",
                *(encoded(name) + b":" + encoded(value) + b"," for name, value in content.items()),
                b'"breakeven":{"outcomes":[',
                b",\n".join(case.raw for case in untimed),
                b"],",
                encoded(ours)[1:] + b"}",
            ]
        )

    def _processes(self, parts: Iterable[Part]) -> dict[str, int]:
        """Return the number of processes of each part."""
        found = {part.id: max(1, len(part.process_records)) for part in parts}
        for case in self.timed.values():
            if case.part:
                found[case.part] = max(found[case.part], len(case.counts))
        return found


def merge(paths: Sequence[str]) -> Merged:
    """Return the union of run files.

    Raises:
        RunFileError: one cannot be read.
        DifferentMachinesError, SeparateRunsError: two do not belong together.
    """
    found = Merged()
    with collection_off():
        for path in paths:
            found.add(load_json(path), path)
    found.check()
    return found


def _timed_case(
    case: CaseResult, raw: Mapping[str, Any], parts: Mapping[str, tuple[Part, int]], here: Place
) -> TimedCase:
    rest = {name: value for name, value in raw.items() if name != "extra_info"}
    info = dict(mapping(raw.get("extra_info")))
    part, counts = "", case.processes
    if case.key is not None:
        part = info.pop(PART, None) if PART in info else next(iter(parts))
        if part not in parts:
            here.at(f"extra_info.{PART}").refuse(
                f"{one_line(part, 40)} is not in `breakeven.parts`", MERGE_AGAIN
            )
        info.pop("processes", None)
        counts = counts[parts[part][1] :] or (len(case.times_s),)
    rounds = hashlib.sha256(case.times_s.tobytes() or repr(case.median_s).encode()).digest()
    parameters = case.facts.parameters
    return TimedCase(
        case.key, case.name, part, counts, encoded(rest), encoded(info), rounds, parameters, here.path
    )


def _benchmark(case: TimedCase, start: int) -> bytes:
    """Return a benchmark as JSON; its part begins with that process of the run."""
    info = case.info
    if case.part:
        counts = encoded([0] * start + list(case.counts))
        info = _with(info, b'"processes":' + counts + b',"part":' + encoded(case.part))
    return _with(case.benchmark, b'"extra_info":' + info)


def _with(raw: bytes, fields: bytes) -> bytes:
    """Return a JSON object with more fields."""
    return raw[:-1] + (b"," if raw != b"{}" else b"") + fields + b"}"


def _case_order(key: CaseKey | None, name: str) -> tuple[Any, ...]:
    """Return the sort key of cases: by model, batch size, device and phase; others by name after them."""
    if key is None:
        return (1, name)
    phase = (_PHASES.get(key.phase, len(_PHASES)), key.phase)
    return (
        0,
        key.workload,
        key.axes.sort_key,
        key.batch_size,
        device_order(key.device),
        key.device,
        phase,
        name,
    )
