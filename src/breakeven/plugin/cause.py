"""Why a measuring process, or a group of them, has ended in a case."""

from __future__ import annotations

import json
import signal
from dataclasses import asdict, dataclass
from pathlib import Path

from breakeven.case import OutcomeKind


@dataclass(frozen=True)
class Cause:
    """The outcome of the case, and the reason."""

    outcome: OutcomeKind
    reason: str

    def note(self, path: Path) -> None:
        """Write it to a file, unless there is one: the first failure of a group is the cause of the others."""
        own = path.with_name(f"{path.name}.{id(self)}")
        own.write_text(json.dumps(asdict(self)))
        try:
            path.hardlink_to(own)
        except FileExistsError:
            pass

    @classmethod
    def noted(cls, path: Path) -> Cause | None:
        """Return the one in a file, None if there is none."""
        try:
            noted = json.loads(path.read_text())
        except FileNotFoundError:
            return None
        return cls(OutcomeKind(noted["outcome"]), noted["reason"])


def death(code: int) -> str:
    """Return how a process ended.

    >>> death(-11), death(3)
    ('its process was ended by SIGSEGV', 'its process exited with 3')
    """
    if code >= 0:
        return f"its process exited with {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = ", as when memory runs out" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{hint}"
