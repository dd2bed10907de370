"""The figures of hard use in what its parts write, each with what is wanted of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import long_run
from shared import Json

HALF = 0.5


@dataclass(frozen=True)
class Figure:
    """A figure.

    Args:
        value: a number, a text, or None where there is none.
        max_value: it may not be larger.
        max_share: of the value before, it may not be larger.
    """

    value: Any
    max_value: float | None = None
    max_share: float | None = None

    @property
    def text(self) -> str:
        """The value for a person."""
        if self.value is None:
            return "-"
        return self.value if isinstance(self.value, str) else f"{self.value:,}"

    @property
    def wanted(self) -> str:
        """What is wanted, for a person; a dash without a bound."""
        if self.max_share is not None:
            return "half"
        return "-" if self.max_value is None else f"{self.max_value:,}"

    def is_kept(self, before: Figure | None) -> bool | None:
        """Return whether the figure is as wanted; None if nothing is, or it can't be judged."""
        bound = self.max_value
        if self.max_share is not None and before is not None and before.value is not None:
            bound = self.max_share * before.value
        return None if bound is None or self.value is None else bool(self.value <= bound)


Values = dict[str, Figure]
"""Figures by name."""


def fuzz_values(content: Json, side: str) -> Values:  # noqa: ARG001
    """Return the inputs, and how many had an unsound answer."""
    found: Values = {}
    for name, one in content["sets"].items():
        others = sum(one["problems"].values()) - one["tracebacks"] - one["hangs"]
        found |= {
            f"{name}: inputs": Figure(one["inputs"]),
            f"{name}: tracebacks": Figure(one["tracebacks"], 0),
            f"{name}: hangs": Figure(one["hangs"], 0),
            f"{name}: other unsound answers": Figure(others, 0),
        }
    return found


def reads_values(content: Json, side: str) -> Values:
    """Return the memory and the seconds of reading large run files, and many."""
    rows = content["before" if side == "before" else "now"]
    largest = max(row["bytes"] for row in rows if row["files"] == 1)
    most = max(row["files"] for row in rows)
    found: Values = {}
    for row in rows:
        files = "1 file" if row["files"] == 1 else f"{row['files']:,} files"
        name = f"report of {files}, {row['bytes'] / 1e6:,.0f} MB"
        memory = HALF if row["files"] == 1 and row["bytes"] == largest else None
        seconds = HALF if row["files"] == most else None
        found |= {
            f"{name}: peak MB": Figure(round(row["peak_memory_bytes"] / 1e6), max_share=memory),
            f"{name}: CPU s": Figure(round(row["cpu_s"], 1), max_share=seconds),
        }
    return found


def kills_values(content: Json, side: str) -> Values:  # noqa: ARG001
    """Return the kills, and what they cost."""
    kills = content["kills"]
    return {
        "kills of runs": Figure(len(kills)),
        "runs: cases finished before the kills": Figure(sum(one["finished"] for one in kills)),
        "runs: cases lost": Figure(sum(len(one["lost"]) + len(one["not_recovered"]) for one in kills), 0),
        "runs: cases measured twice": Figure(sum(len(one["twice"]) for one in kills), 0),
        "runs: other failures": Figure(sum(bool(one["failures"]) for one in kills), 0),
    }


def command_kills_values(content: Json, side: str) -> Values:  # noqa: ARG001
    """Return the kills and full disks of commands, and what they cost."""
    disturbed = content["disturbed"]
    runs = [one for one in disturbed if one["command"] == "pytest"]
    found: Values = {
        "commands: kills": Figure(sum(one["how"] == "killed" for one in disturbed)),
        "commands: full disks": Figure(sum(one["how"] == "full disk" for one in disturbed)),
        "commands: finished cases lost": Figure(sum("::" in line for one in runs for line in one["lost"]), 0),
        "commands: times something else failed": Figure(sum(bool(one["failures"]) for one in disturbed), 0),
    }
    for command in dict.fromkeys(one["command"] for one in disturbed):
        lost = [bool(one["lost"]) for one in disturbed if one["command"] == command]
        found[f"{command}: times something was lost"] = Figure(sum(lost), 0)
    absent = {f"{name}: times something was lost": Figure("not there") for name in content["absent"]}
    return found | absent


def long_values(content: Json, side: str) -> Values:  # noqa: ARG001
    """Return what a long run keeps of its cases."""
    found, page = content["figures"], content["figures"]["page"]
    each = found["each"]

    def more(name: str) -> int:
        return max(int(one[name][1] - one[name][0]) for one in each)

    values = {
        "cases": Figure(found["cases"]),
        "cases timed": Figure(found["timed"]),
        "processes": Figure(found["processes"] or 1),
        "kB kept of a case": Figure(
            round(max(one["bytes_a_case"] for one in each) / 1e3, 2), long_run.MAX_BYTES_A_CASE / 1e3
        ),
        "more open handles": Figure(more("handles"), 0),
        "bytes more on the device": Figure(more("device_bytes"), long_run.MAX_DEVICE_BYTES),
        "last cases over first, in CPU time": Figure(round(long_run.slower(each), 2), long_run.MAX_SLOWER),
        "MB of the page": Figure(round(found["report"]["page_bytes"] / 1e6, 2)),
        "seconds to report it": Figure(round(found["report"]["seconds"], 1)),
        "seconds to open the page": Figure(
            round(page["open_s"], 1) if "open_s" in page else None, long_run.MAX_OPENING_S
        ),
    }
    return {f"long run: {name}": figure for name, figure in values.items()}
