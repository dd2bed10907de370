"""Why a measuring process, or a group of them, has ended in a case."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from breakeven.case import OutcomeKind
from breakeven.measure.together import LEFT_ALONE

LOST = 77
"""The exit code of a rank that has lost the others, which is not the cause of anything."""

CONSEQUENCES = (-signal.SIGTERM, -signal.SIGABRT)
"""How a process of a group ends because another one has: the agent ends it, or NCCL does."""


@dataclass(frozen=True)
class Cause:
    """The outcome of the case, and the reason."""

    outcome: OutcomeKind
    reason: str

    @classmethod
    def of_death(cls, code: int, whose: str = "its process") -> Cause:
        """Return that of an exit code, negative for a signal.

        >>> Cause.of_death(-11).reason, Cause.of_death(3, "rank 1").reason
        ('its process was ended by SIGSEGV', 'rank 1 exited with 3')
        """
        if code >= 0:
            return cls(OutcomeKind.CRASHED, f"{whose} exited with {code}")
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        hint = ", as when memory runs out" if name == "SIGKILL" else ""
        return cls(OutcomeKind.CRASHED, f"{whose} was ended by {name}{hint}")

    def note(self, path: Path) -> None:
        """Append it to the file of a group's causes, as `breakeven.measure.together` does."""
        with path.open("a") as file:
            file.write(json.dumps({"outcome": self.outcome, "reason": self.reason}) + "\n")


def noted_causes(path: Path) -> list[Cause]:
    """Return the causes in the file of a group, in the order in which they were noted."""
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        return []
    return [Cause(OutcomeKind(line["outcome"]), line["reason"]) for line in lines]


def cause_of(codes: Mapping[int, int], noted: list[Cause]) -> Cause:
    """Return why a group has ended: `codes` are the exit codes of the ranks that failed.

    A rank that was killed could not note anything. The others then lose it, and may note that.
    """
    killed = {rank: code for rank, code in codes.items() if code < 0 and code not in CONSEQUENCES}
    failed = {rank: code for rank, code in codes.items() if code > 0 and code not in (LOST, LEFT_ALONE)}
    if noted and not killed:
        return noted[0]
    rank, code = min((killed or failed or codes).items())
    return Cause.of_death(code, f"rank {rank}")
