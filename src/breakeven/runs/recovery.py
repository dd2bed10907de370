"""The run file of a journal: what pytest-benchmark would have written, with what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pytest_benchmark import __version__ as pytest_benchmark_version
from pytest_benchmark.stats import Stats

from breakeven.case import SCHEMA
from breakeven.runs.joining import JoinedCase, join, joined_machine, process_records, spent
from breakeven.runs.journal import Journal
from breakeven.runs.json_files import JOURNAL


def run_file_of(journal: Journal) -> dict[str, Any]:
    """Return the content of a run file with every case of a journal, timed or not."""
    cases = {case: join(journal, case) for case in journal.run.cases}
    machine = joined_machine(journal)
    finished = journal.finished
    return {
        "machine_info": {**journal.run.machine_info, **({"breakeven": machine} if machine else {})},
        "commit_info": journal.run.commit_info,
        "benchmarks": [benchmark_of(case) for case in cases.values() if case.is_timed],
        "datetime": journal.run.began,
        "version": pytest_benchmark_version,
        "breakeven": {
            "schema": SCHEMA,
            "command": journal.run.command,
            "complete": journal.is_complete,
            "outcomes": [
                {
                    "fullname": nodeid,
                    "outcome": case.outcome,
                    "reason": case.reason,
                    "extra_info": journal.run.cases[nodeid],
                }
                for nodeid, case in cases.items()
                if not case.is_timed
            ],
            **({"shard": journal.run.shard} if journal.run.shard else {}),
            "processes": process_records(journal),
            "settings": finished[min(finished)].settings if finished else {},
            "spent_s": spent(journal),
            "wall_s": sum(ended.wall_s for ended in finished.values()),
        },
    }


def recovered_json(content: dict[str, Any]) -> bytes:
    """Return a run file's bytes."""
    return json.dumps(content, indent=4, default=str).encode()


def recovered_name(journal: Path) -> Path:
    """Return where the run file of a journal goes.

    >>> recovered_name(Path("out/run.json.journal")).as_posix()
    'out/run.recovered.json'
    """
    name = journal.name.removesuffix(".old").removesuffix(JOURNAL).removesuffix(".json")
    return journal.with_name(f"{name}.recovered.json")


_Stats: Any = Stats  # it has no types


def benchmark_of(case: JoinedCase) -> dict[str, Any]:
    """Return a timed case as pytest-benchmark writes it."""
    stats: Any = _Stats()
    for seconds in case.data:
        stats.update(seconds)
    return {
        **case.benchmark,
        "extra_info": {**case.extra_info, "processes": list(case.processes)},
        "stats": {**stats.as_dict(), "data": list(case.data), "iterations": 1},
    }
