"""How several processes measure one case together: rank 0 decides and times, the others follow it.

Every rank calls `join`. Then rank 0 gives its `Together` to its `Runner` and calls `Together.end_case` after
each case, however the case ended; the others call `follow` for the same cases in the same order. After their
last case they call `Together.follow_rest`, because rank 0 may time a case again. At the end each calls
`Together.leave`.
"""

from __future__ import annotations

from breakeven.case import Cell
from breakeven.hardware.several import Several
from breakeven.measure.workload import Recipe

FAILURE_VARIABLE = "BREAKEVEN_RANK_FAILURE"
"""The environment variable with the path of a file, to which a rank that leaves its group alone appends one
line of JSON: ``{"rank": 1, "outcome": "oom", "reason": "rank 1: OutOfMemoryError: ..."}``."""

LEFT_ALONE = 76
"""The exit code of such a rank (sysexits.h's "protocol error")."""


class Together:
    """The ranks of a device as one of them sees them: its `rank`, their number `size`, and `init_s`.

    `init_s` are the seconds from the start of joining until the first exchange was done.
    """

    rank: int
    size: int
    init_s: float

    def end_case(self) -> None:
        """On rank 0: end the case, so that `follow` returns on the other ranks."""
        raise NotImplementedError

    def follow_rest(self) -> None:
        """On another rank, after its last case: follow what rank 0 times again, until rank 0 leaves."""
        raise NotImplementedError

    def leave(self) -> None:
        """Leave the group, at the end, on every rank; nothing is exchanged after it."""
        raise NotImplementedError


def join(device: Several, timeout_s: float = 600.0) -> Together:
    """Join the ranks of a device: set up their groups, and exchange one tensor.

    Args:
        device: in every rank, as torchrun started it (``RANK``, ``WORLD_SIZE``, ``MASTER_ADDR``, ...).
        timeout_s: the seconds after which a rank that waits for another one gives up.

    Raises:
        MeasurementError: the ranks cannot reach each other, in one line.
    """
    raise NotImplementedError


def follow(together: Together, cell: Cell, recipe: Recipe) -> None:
    """Do in this rank what rank 0 announces of a case, until rank 0 ends it.

    Errors are reported to rank 0, and never raised, except where rank 0 is gone.

    Args:
        together: this rank's, not rank 0's.
        cell: the case's, with the global batch size.
        recipe: builds the workload of the global batch, of which this rank trains on its slice.
    """
    raise NotImplementedError
