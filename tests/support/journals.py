"""Journals of runs that nobody measured."""

from breakeven.case import SCHEMA
from breakeven.runs.journal import (
    CaseEnded,
    CaseStarted,
    JournalFile,
    ProcessEnded,
    ProcessStarted,
    RunStarted,
)


def run_started(cases=("a", "b"), processes=3, **fields):
    """Return the first line of a journal; a case named ``a:forward`` is of that phase."""
    return RunStarted(
        **{
            "schema": SCHEMA, "pid": 1, "began": "2026-01-01T00:00:00+00:00", "command": "pytest bench",
            "processes": processes, "seed": 0, "cases": {name: identity(name) for name in cases},
            "sources": {"bench/bench_a.py": "0"}, "settings": {"torch": "2"}, "machine_info": {"node": "n"},
            "commit_info": {"id": "c"}, **fields,
        }
    )  # fmt: skip


def identity(name):
    """Return what identifies a case; one named ``a@2xcpu`` is on that device."""
    name, _, device = name.partition("@")
    workload, _, phase = name.partition(":")
    return {
        "schema": SCHEMA, "workload": workload, "phase": phase or "train", "device": device or "cpu",
        "batch_size": 1, "axes": {},
    }  # fmt: skip


def process(number, **fields):
    """Return the line of a process that starts."""
    return ProcessStarted(process=number, pid=2, seed=number, order=[], machine={"class_id": "x"}, **fields)


def begun(case, number=0):
    """Return the line of a case that begins."""
    return CaseStarted(process=number, case=case)


def timed(case, number, *rounds, **info):
    """Return the line of a case with rounds."""
    return CaseEnded(
        process=number, case=case, outcome="timed", data=list(rounds), seconds=1.0,
        extra_info={**identity(case), "flags": [], "evidence": {}, "warmup_rounds": 2, **info},
        benchmark={"name": case, "fullname": case},
    )  # fmt: skip


def untimed(case, number, outcome="failed", reason="why", **fields):
    """Return the line of a case without rounds."""
    return CaseEnded(process=number, case=case, outcome=outcome, reason=reason, **fields)


def ended(number, device="", **state):
    """Return the line of a process, or of a group for a device, that ended in order."""
    return ProcessEnded(
        process=number, device=device, state=state, spent_s={"timing": 1.5}, wall_s=2.0, settings={"a": "b"}
    )


def write(path, *lines):
    """Write a journal, and return its path."""
    file = JournalFile(path)
    for line in lines:
        file.write(line)
    file.close()
    return path
