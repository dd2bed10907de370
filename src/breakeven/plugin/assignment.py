"""What the coordinator of a run hands to a measuring process, in one environment variable."""

from __future__ import annotations

import json
from collections.abc import Mapping, MutableMapping
from dataclasses import asdict, dataclass

VARIABLE = "BREAKEVEN_WORKER"


@dataclass(frozen=True)
class Assignment:
    """The journal that a measuring process appends to, and its number from 0 on.

    `stack` is the file to which it writes its stack if it is asked for it.
    """

    journal: str
    process: int
    stack: str

    def as_text(self) -> str:
        """Return the value of the variable."""
        return json.dumps(asdict(self))


def read_assignment(environment: Mapping[str, str]) -> Assignment | None:
    """Return the assignment of this process, None if it is not a measuring process."""
    text = environment.get(VARIABLE)
    return None if text is None else Assignment(**json.loads(text))


def take_assignment(environment: MutableMapping[str, str]) -> Assignment | None:
    """Return the assignment and remove it from the environment, which programs of the benchmarks inherit."""
    assignment = read_assignment(environment)
    environment.pop(VARIABLE, None)
    return assignment
