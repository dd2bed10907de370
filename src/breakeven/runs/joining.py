"""The processes of a run joined: the rounds of each case in order, and what its run file says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from breakeven.case import OutcomeKind
from breakeven.flags import Flag
from breakeven.runs.journal import CaseEnded, Journal, ProcessEnded
from breakeven.stats.intervals import MIN_ROUNDS, pooled_half_width

_OF_ALL_ROUNDS = {Flag.NOISY, Flag.FEW_ROUNDS}
"""The flags that depend on the number of rounds."""

NOT_REACHED = "not reached: the run was stopped before it"


@dataclass(frozen=True)
class JoinedCase:
    """One case of a run over all processes.

    `data` are its rounds, `processes` how many each process gave. `outcome` and `reason` are those of the
    case where it has no rounds; `lost` is how it ended in the processes that lost it, by process. `failure`
    is how a case with rounds failed or crashed in the first process where it did, empty where it did not.
    """

    data: Sequence[float] = ()
    processes: Sequence[int] = ()
    extra_info: Mapping[str, Any] = field(default_factory=dict)
    benchmark: Mapping[str, Any] = field(default_factory=dict)
    outcome: str = ""
    reason: str = ""
    stack: Sequence[str] = ()
    lost: Mapping[int, str] = field(default_factory=dict)
    failure: str = ""

    @property
    def is_timed(self) -> bool:
        """Whether any process has rounds of it."""
        return len(self.data) > 0


def join(journal: Journal, case: str) -> JoinedCase:
    """Return a case with the rounds of all its processes."""
    stored = journal.ended.get(case, {})
    timed = {process: journal.whole(case, process) for process in sorted(stored) if stored[process].is_timed}
    if not timed:
        if not stored:
            return JoinedCase(outcome=OutcomeKind.SKIPPED, reason=NOT_REACHED)
        ended = journal.whole(case, min(stored))
        return JoinedCase(
            outcome=ended.outcome, reason=ended.reason, stack=ended.stack, extra_info=ended.extra_info
        )
    # A process that the run did not reach lost nothing.
    lost = {
        process: f"{stored[process].outcome}: {stored[process].reason}"
        for process in sorted(stored)
        if process not in timed
    }
    data = [seconds for ended in timed.values() for seconds in ended.data]
    counts = [len(timed[process].data) if process in timed else 0 for process in range(journal.run.processes)]
    first = next(iter(timed.values()))
    failures = [
        *(lost[process] for process in lost if process in stored and stored[process].is_failure),
        *(f"{OutcomeKind.FAILED}: {ended.reason}" for ended in timed.values() if ended.reason),
    ]
    return JoinedCase(
        data, counts, _facts(timed, data, lost), first.benchmark, lost=lost, failure=next(iter(failures), "")
    )


def process_records(journal: Journal) -> list[dict[str, Any]]:
    """Return what a run file says of each process, or group of processes, that was started."""
    return [
        {
            "seed": started.seed,
            "order": started.order,
            **({"device": share.device} if share.device else {}),
            **_ended_record(journal.finished.get(share)),
        }
        for share, started in sorted(journal.started.items())
    ]


def joined_machine(journal: Journal) -> dict[str, Any]:
    """Return ``machine_info["breakeven"]``: the first process's, with the state over all processes."""
    if not journal.started:
        return {}
    first = min(journal.started)
    states = [ended.state for _, ended in sorted(journal.finished.items())]
    machine = journal.started[first].machine
    return {**machine, "state": {**machine.get("state", {}), **_joined_state(states, journal)}}


def spent(journal: Journal) -> dict[str, float]:
    """Return the seconds of all processes by activity."""
    totals: Counter[str] = Counter()
    for ended in journal.finished.values():
        totals.update(ended.spent_s)
    return dict(totals)


def _facts(timed: Mapping[int, CaseEnded], data: Sequence[float], lost: Mapping[int, str]) -> dict[str, Any]:
    """Return a case's ``extra_info``: the first process's facts, and the flags that most processes gave."""
    infos = [ended.extra_info for ended in timed.values()]
    facts = dict(infos[0])
    evidence: dict[str, Any] = {}
    for info in infos:
        evidence |= {flag: found for flag, found in info.get("evidence", {}).items() if flag not in evidence}
    counts = Counter(flag for info in infos for flag in info.get("flags", []))
    flags = {flag for flag, count in counts.items() if 2 * count > len(infos)} - _OF_ALL_ROUNDS
    # One process alone has too few rounds for the precision that all of them are to reach.
    half_width = _half_width(timed)
    precise = _evidence_of_all(half_width, len(data), facts.get("target_precision", 0.0))
    flags |= precise.keys()
    evidence |= precise
    if lost:
        flags.add(Flag.LOST)
        evidence[Flag.LOST] = {"processes": {str(process): reason for process, reason in lost.items()}}
    peaks = [peak for info in infos if (peak := info.get("peak_memory_bytes")) is not None]
    facts |= {"peak_memory_bytes": max(peaks)} if peaks else {}
    return facts | {
        "half_width": half_width,
        "flags": sorted(flags),
        "evidence": {flag: evidence[flag] for flag in sorted(flags) if flag in evidence},
        "warmup_rounds": sum(info.get("warmup_rounds", 0) for info in infos),
    }


def _half_width(timed: Mapping[int, CaseEnded]) -> float | None:
    """Return that of the interval which the rounds of all processes allow, relative to the median."""
    samples = [np.array(ended.data) for ended in timed.values()]
    medians, rounds = np.array([np.median(one) for one in samples]), np.array([len(one) for one in samples])
    return pooled_half_width(np.concatenate(samples), rounds, medians) if medians.min() > 0 else None


def _evidence_of_all(half_width: float | None, rounds: int, target: float) -> dict[str, Any]:
    if rounds < MIN_ROUNDS:
        return {Flag.FEW_ROUNDS.value: {"rounds": rounds}}
    if half_width is not None and half_width > target:
        return {Flag.NOISY.value: {"half_width": half_width, "wished": target}}
    return {}


def _ended_record(ended: ProcessEnded | None) -> dict[str, Any]:
    if ended is None:
        return {}
    state = ended.state
    return {
        "canary": state.get("canary", {}),
        "retimed": state.get("retimed", []),
        "spent_s": ended.spent_s,
        "wall_s": ended.wall_s,
    }


def _joined_state(states: Sequence[Mapping[str, Any]], journal: Journal) -> dict[str, Any]:
    looks = [started.look for _, started in sorted(journal.started.items()) if started.look is not None]
    busy: dict[str, Any] = {"look": looks[0]} if looks else {}
    busy |= {"loads": journal.loads} if journal.loads else {}
    if not states:
        return busy
    retimed = [again for state in states for again in state.get("retimed", [])]
    return {
        **states[0],
        **busy,
        "end": states[-1].get("end"),
        "canary": _joined_canary([state.get("canary", {}) for state in states]),
        "retimed": retimed,
    }


def _joined_canary(canaries: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return, for each device and moment, the canary of the process in the middle."""
    joined: dict[str, dict[str, Any]] = {}
    for device, when in dict.fromkeys(_moments(canaries)):
        found = [canary[device][when] for canary in canaries if when in canary.get(device, {})]
        known = [one for one in found if "median_s" in one]
        middle = min(known, key=_distance(known)) if known else found[0]
        joined.setdefault(device, {})[when] = middle
    return joined


def _moments(canaries: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for canary in canaries:
        for device, moments in canary.items():
            yield from ((device, when) for when in moments)


def _distance(known: Sequence[Mapping[str, Any]]) -> Any:
    center = median(one["median_s"] for one in known)
    return lambda one: abs(one["median_s"] - center)
