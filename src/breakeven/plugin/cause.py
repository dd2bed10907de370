"""Why a measuring process, or a group of them, has ended in a case."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from breakeven.case import OutcomeKind
from breakeven.measure.group import LEFT_ALONE, UNKNOWN, Failure

LOST = 77
"""The exit code of a rank that has lost the others, which is not the cause of anything."""

CONSEQUENCES = (-signal.SIGTERM, -signal.SIGABRT)
"""How a rank ends because another one has: torchrun ends it, or NCCL does."""


def death(code: int, whose: str = "its process") -> str:
    """Return how a process ended, from its exit code, negative for a signal.

    >>> death(-11), death(3, "rank 1")
    ('its process was ended by SIGSEGV', 'rank 1 exited with 3')
    """
    if code >= 0:
        return f"{whose} exited with {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = ", as when memory runs out" if name == "SIGKILL" else ""
    return f"{whose} was ended by {name}{hint}"


def note(failure: Failure, path: Path) -> None:
    """Append a failure to the file of a group, as a rank that ends alone does."""
    with path.open("a", encoding="utf-8") as file:
        file.write(failure.as_json() + "\n")


def noted(path: Path) -> list[Failure]:
    """Return the failures in the file of a group, in the order in which they were noted."""
    try:
        return [Failure.read(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        return []


def cause_of(codes: Mapping[int, int], failures: Sequence[Failure]) -> Failure:
    """Return why a group has ended.

    A rank that was killed has noted nothing; the others lose it, and may note that.

    Args:
        codes: the exit codes of the ranks that failed.
        failures: what the ranks have noted.
    """
    killed = {rank: code for rank, code in codes.items() if code < 0 and code not in CONSEQUENCES}
    exited = {rank: code for rank, code in codes.items() if code > 0 and code not in (LOST, LEFT_ALONE)}
    known = [failure for failure in failures if failure.rank != UNKNOWN]
    if killed or not failures or (exited and not known):
        rank, code = min((killed or exited or codes).items())
        return Failure(rank, OutcomeKind.CRASHED, death(code, f"rank {rank}"))
    return (known or failures)[0]
