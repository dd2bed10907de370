"""What the coordinator of a run hands to a measuring process, in one environment variable."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

VARIABLE = "BREAKEVEN_WORKER"

OUTPUT, STACK, CAUSE = "output", "stack.", "cause"


@dataclass(frozen=True)
class Assignment:
    """The journal that a measuring process appends to, its number from 0 on, and its parent.

    `files` is a directory: for what pytest itself prints, for the stack of a process that is asked for it,
    and for why a group has ended. `device` is that of a group of processes, each of which has the assignment.
    `facts` are those of the machine's class that such a process cannot read, because the number of its
    threads was set for it.
    """

    journal: str
    process: int
    parent: int
    files: str
    device: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def output(self) -> Path:
        """The file for what the process prints."""
        return Path(self.files, OUTPUT)

    def stack(self, rank: int) -> Path:
        """Return the file for the stack of a process; `rank` is its number in a group, else 0."""
        return Path(self.files, f"{STACK}{rank}")

    @property
    def cause(self) -> Path:
        """The file for why a group has ended."""
        return Path(self.files, CAUSE)

    def as_text(self) -> str:
        """Return the value of the variable."""
        return json.dumps(asdict(self))


def take_assignment(environment: MutableMapping[str, str]) -> Assignment | None:
    """Return the assignment of a measuring process, None in another.

    It is removed from the environment, which programs of the benchmarks inherit.
    """
    text = environment.pop(VARIABLE, None)
    return None if text is None else Assignment(**json.loads(text))
