"""What the coordinator of a run hands to a measuring process, in one environment variable."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from dataclasses import asdict, dataclass

VARIABLE = "BREAKEVEN_WORKER"


@dataclass(frozen=True)
class Assignment:
    """The journal that a measuring process appends to, its number from 0 on, and who has started it.

    `output` is the file for what pytest itself prints, `stack` the one to which a process writes its stack if
    it is asked for it.
    """

    journal: str
    process: int
    coordinator: int
    output: str
    stack: str

    def as_text(self) -> str:
        """Return the value of the variable."""
        return json.dumps(asdict(self))


def take_assignment(environment: MutableMapping[str, str]) -> Assignment | None:
    """Return the assignment of a measuring process, None in another.

    It is removed from the environment, which programs of the benchmarks inherit.
    """
    text = environment.pop(VARIABLE, None)
    return None if text is None else Assignment(**json.loads(text))
