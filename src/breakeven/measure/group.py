"""The ranks of a device as they talk to each other: announcements of rank 0, errors, and a round's time.

They do so over gloo, beside the tensors that the training exchanges. A rank that has an error reports it as
soon as the others have done their part. Where they cannot, because they wait in the training for this very
rank, it reports alone, and its process ends.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn, Protocol, Self

import torch
import torch.distributed as dist

from breakeven.case import OutcomeKind
from breakeven.measure.outcomes import outcome_of, reason_for

FAILURE_VARIABLE = "BREAKEVEN_RANK_FAILURE"
"""The environment variable with the path of a file, to which a rank that ends alone appends one line of JSON:
``{"rank": 1, "outcome": "oom", "reason": "rank 1: OutOfMemoryError: ..."}``."""

LEFT_ALONE = 76
"""The exit code of such a rank (sysexits.h's "remote error in protocol")."""

GRACE_S = 5.0
"""The seconds that a rank with an error waits for the others before it ends alone."""

IDLE = timedelta(days=7)
"""How long a rank waits for the next announcement: as long as rank 0 lives."""

COMMAND_BYTES = 1024

UNKNOWN = -1
"""The rank of a failure that no rank has reported."""

_FAILURE_KEY = "breakeven/failure"

Command = Sequence[Any]
"""A name, and arguments that JSON can hold."""


@dataclass(frozen=True)
class Failure:
    """How a rank's part of a case ended; `reason` is one line that names the rank."""

    rank: int
    outcome: OutcomeKind
    reason: str

    @classmethod
    def of(cls, rank: int, error: BaseException) -> Self:
        """Return that of an error of a rank."""
        return cls(rank, outcome_of(error), f"rank {rank}: {reason_for(error)}")

    @classmethod
    def read(cls, text: str | bytes) -> Self:
        """Return what `as_json` wrote."""
        found = json.loads(text)
        return cls(found["rank"], OutcomeKind(found["outcome"]), found["reason"])

    def as_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(asdict(self))


class GroupBrokenError(Exception):
    """The ranks no longer answer each other.

    `failure` is why: this rank's own failure, which the others cannot hear of, or what another one has left;
    its rank is `UNKNOWN` where no reason is known.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class Group(Protocol):
    """What the ranks of a device exchange beside their tensors."""

    rank: int
    size: int

    def announce(self, command: Command) -> None:
        """On rank 0: send the others a command."""

    def receive(self) -> Command:
        """On another rank: wait for the next command."""

    def barrier(self) -> None:
        """Wait until every rank is here."""

    def exchange(self, seconds: float, failure: Failure | None) -> tuple[float, Failure | None]:
        """Return the maximum of every rank's seconds, and the first failure of another rank.

        Raises:
            GroupBrokenError: a rank does not answer.
        """

    def gather(self, value: str) -> list[str]:
        """Return every rank's value, by rank."""

    def leave_alone(self, failure: Failure) -> NoReturn:
        """End this process with its failure, where the others cannot hear of it otherwise."""


class GlooGroup:
    """The ranks of this process's default group of torch, over gloo.

    Args:
        store: torch's store, which the ranks share while their groups may be broken.
        timeout_s: the seconds after which a rank that waits for another one gives up.
    """

    def __init__(self, store: Any, timeout_s: float) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self._store = store
        self._timeout = timedelta(seconds=timeout_s)
        self._group: Any = dist.new_group(backend="gloo", timeout=IDLE)

    def announce(self, command: Command) -> None:
        """On rank 0: send the others a command."""
        text = json.dumps(command).encode()
        assert len(text) <= COMMAND_BYTES, text
        self._broadcast(_bytes(text.ljust(COMMAND_BYTES)), self._timeout)

    def receive(self) -> Command:
        """On another rank: wait for the next command."""
        buffer = _bytes(b" " * COMMAND_BYTES)
        self._broadcast(buffer, IDLE)
        command: Command = json.loads(buffer.numpy().tobytes())
        return command

    def barrier(self) -> None:
        """Wait until every rank is here."""
        with self._broken_by():
            dist.barrier(self._group, async_op=True).wait(self._timeout)

    def exchange(self, seconds: float, failure: Failure | None) -> tuple[float, Failure | None]:
        """Return the maximum of every rank's seconds, and the first failure of another rank.

        Raises:
            GroupBrokenError: a rank does not answer.
        """
        found = torch.tensor([seconds, failure is not None], dtype=torch.float64)
        timeout = self._timeout if failure is None else timedelta(seconds=GRACE_S)
        with self._broken_by(failure):
            dist.all_reduce(found, dist.ReduceOp.MAX, self._group, async_op=True).wait(timeout)
        if not found[1]:
            return float(found[0]), None
        texts = self.gather("" if failure is None else failure.as_json())
        others = [Failure.read(text) for rank, text in enumerate(texts) if text and rank != self.rank]
        return float(found[0]), others[0] if others else None

    def gather(self, value: str) -> list[str]:
        """Return every rank's value, by rank."""
        values: list[Any] = [None] * self.size
        with self._broken_by():
            dist.all_gather_object(values, value, self._group)
        return values

    def leave_alone(self, failure: Failure) -> NoReturn:
        """End this process with its failure, where the others cannot hear of it otherwise."""
        if failure.rank == self.rank:
            self._report(failure)
        print(f"breakeven: {failure.reason}", file=sys.stderr, flush=True)
        os._exit(LEFT_ALONE)

    def _report(self, failure: Failure) -> None:
        """Leave this rank's failure to the others, and to whoever started them."""
        with suppress(RuntimeError):  # whoever holds the store may be gone
            self._store.set(_FAILURE_KEY, failure.as_json())
        path = os.environ.get(FAILURE_VARIABLE)
        if path:
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(failure.as_json() + "\n")

    def _broadcast(self, buffer: torch.Tensor, timeout: timedelta) -> None:
        with self._broken_by():
            dist.broadcast(buffer, 0, self._group, async_op=True).wait(timeout)

    @contextmanager
    def _broken_by(self, own: Failure | None = None) -> Iterator[None]:
        """Turn gloo's errors into the reason that a rank has left, or `own`, with which the others wait."""
        try:
            yield
        except RuntimeError as error:
            raise GroupBrokenError(self._left() or self._lost(error, own)) from error

    def _left(self) -> Failure | None:
        with suppress(RuntimeError):
            if self._store.check([_FAILURE_KEY]):
                return Failure.read(self._store.get(_FAILURE_KEY))
        return None

    def _lost(self, error: RuntimeError, own: Failure | None) -> Failure:
        if "timed out" not in str(error).lower():
            reason = "another rank ended without a reason; if the system killed it for memory, dmesg shows it"
        elif own is not None:
            return own
        else:
            reason = f"another rank did not answer within {self._timeout.total_seconds():g} s"
        return Failure(UNKNOWN, OutcomeKind.CRASHED, reason)


def _bytes(text: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(text), dtype=torch.uint8)
