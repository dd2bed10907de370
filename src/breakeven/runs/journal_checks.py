"""Whether a line of a journal has the types that joining the processes relies on.

The facts of a case, of a machine and of a process are objects of any content, of which only these are used. A
line that does not have them is ignored, like one that is not JSON.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from breakeven.runs.json_files import Amount, convert

MAX_PROCESSES = 100_000
"""The number of processes of a run, up to which each of them is listed."""


class _Identity(msgspec.Struct):
    phase: str = ""
    device: str = ""


class _Run(msgspec.Struct):
    processes: Annotated[int, msgspec.Meta(ge=0, le=MAX_PROCESSES)]
    cases: dict[str, _Identity]


class _Case(msgspec.Struct):
    evidence: dict[str, Any] = {}
    flags: list[str] = []
    target_precision: Amount = 0.0
    peak_memory_bytes: Amount | None = None
    warmup_rounds: Amount = 0


class _Canary(msgspec.Struct):
    median_s: Amount = 0.0


class _State(msgspec.Struct):
    canary: dict[str, dict[str, _Canary]] = {}
    retimed: list[Any] = []


class _Machine(msgspec.Struct):
    state: dict[str, Any] = {}


def is_run(processes: int, cases: object) -> bool:
    """Return whether the first line of a journal describes a run."""
    return _fits({"processes": processes, "cases": cases}, _Run)


def is_case(outcome_is_timed: bool, data: list[float], extra_info: object) -> bool:
    """Return whether the end of a case has usable facts, and rounds if it is timed."""
    return (_are_times(data) or not outcome_is_timed) and _fits(extra_info, _Case)


def _are_times(data: list[float]) -> bool:
    # It loads numpy, which the coordinator does not need.
    from breakeven.runs.schema import MAX_TIME_S, MIN_TIME_S

    return bool(data) and all(time_s == 0 or MIN_TIME_S <= time_s <= MAX_TIME_S for time_s in data)


def is_machine(machine: object) -> bool:
    """Return whether the facts of a process's machine are usable."""
    return _fits(machine, _Machine)


def is_state(state: object) -> bool:
    """Return whether the state of a process that ended is usable."""
    return _fits(state, _State)


def _fits(value: object, kind: type) -> bool:
    try:
        convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True
