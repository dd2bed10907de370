"""How several processes measure one case together: rank 0 decides and times, the others follow it.

Every rank calls `join`. Then rank 0 gives its `Together` to its `Runner` and calls `Together.end_case` after
each case, however the case ended; the others call `follow` for the same cases in the same order. After their
last case they call `Together.follow_rest`, because rank 0 may time a case again. At the end each calls
`Together.leave`. Where `Together.is_broken` after a case, its ranks have lost each other: rank 0 records the
case and ends its process.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from breakeven.case import Cell
from breakeven.errors import MeasurementError
from breakeven.format import plural
from breakeven.hardware.device import Device
from breakeven.hardware.several import Several
from breakeven.measure.following import Follower
from breakeven.measure.group import FAILURE_VARIABLE, LEFT_ALONE, GlooGroup, Group
from breakeven.measure.leading import END, LEAVE, Leader, LeadingTrainer
from breakeven.measure.parallel import ParallelTrainer
from breakeven.measure.shares import share_of
from breakeven.measure.timing import CLOCK, Clock
from breakeven.measure.trainer import Trainer
from breakeven.measure.workload import Recipe, Workload, error_line

_dist: Any = dist

__all__ = ["FAILURE_VARIABLE", "LEFT_ALONE", "Together", "follow", "join"]


class Part:
    """What one rank trains: its slice of a cell, with its own trainer."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    def share(self, cell: Cell, workload: Workload) -> Workload:
        """Return the workload with this rank's slice of its batch.

        Raises:
            UnsupportedError: it cannot be divided.
        """
        return share_of(workload, cell.batch_size, self.rank, self.size)

    def trainer(self, cell: Cell, workload: Workload, device: Device) -> ParallelTrainer:  # noqa: ARG002
        """Return this rank's trainer."""
        return ParallelTrainer(workload, device)


class Together:
    """The ranks of a device as one of them sees them: its `rank`, their number `size`, and `init_s`.

    `init_s` are the seconds from the start of joining until the slowest rank had exchanged a tensor, in which
    the device's context is created. To a runner on rank 0, it is what makes the trainers.

    Args:
        group: what the ranks exchange beside their tensors.
        device: this rank's.
        init_s: seconds.
        part: what this rank trains.
        clock: seconds.
    """

    def __init__(
        self, group: Group, device: Device, init_s: float, part: Part | None = None, clock: Clock = CLOCK
    ) -> None:
        self.rank, self.size, self.init_s = group.rank, group.size, init_s
        self.device = device
        self._part = part or Part(group.rank, group.size)
        self._clock = clock
        self._leader = Leader(group)
        self.follower = Follower(group, device, self._part, clock)

    @property
    def is_broken(self) -> bool:
        """Whether the ranks have lost each other: nothing more can be measured in this process."""
        return self._leader.broken_by is not None

    def share(self, cell: Cell, workload: Workload) -> Workload:
        """Return rank 0's part of a workload.

        Raises:
            UnsupportedError: it cannot be divided.
        """
        return self._part.share(cell, workload)

    def trainer(self, cell: Cell, workload: Workload, device: Device) -> Trainer:
        """Return the trainer with which rank 0 leads the others."""
        return LeadingTrainer(
            cell, lambda: self._part.trainer(cell, workload, device), self._leader, self._clock
        )

    def end_case(self) -> None:
        """On rank 0: end the case, so that `follow` returns on the other ranks."""
        self._leader.tell((END,))

    def follow_rest(self) -> None:
        """On another rank, after its last case: follow what rank 0 times again, until rank 0 leaves."""
        self.follower.follow_rest()

    def leave(self) -> None:
        """Leave the group, at the end, on every rank; nothing is exchanged after it."""
        if self.rank == 0:
            self._leader.tell((LEAVE,))
        if not self.is_broken and dist.is_initialized():
            dist.destroy_process_group()


def join(device: Several, timeout_s: float = 600.0, clock: Clock = CLOCK) -> Together:
    """Join the ranks of a device: set up their groups, and exchange one tensor.

    Args:
        device: in every rank, as torchrun started it (``RANK``, ``WORLD_SIZE``, ``MASTER_ADDR``, ...).
        timeout_s: the seconds after which a rank that waits for another one gives up.
        clock: seconds.

    Raises:
        MeasurementError: the ranks cannot reach each other, in one line.
    """
    start = clock()
    try:
        with device.active():
            group = _joined(device, timeout_s)
        init_s, _ = group.exchange(clock() - start, None)
        pids = [int(pid) for pid in group.gather(str(os.getpid()))]
    except Exception as error:
        raise MeasurementError(f"the ranks of {device.name} cannot join: {error_line(error)}") from error
    device.init_s = init_s
    device.others = tuple(pid for rank, pid in enumerate(pids) if rank != group.rank)
    return Together(group, device, init_s, clock=clock)


def follow(together: Together, cell: Cell, recipe: Recipe) -> None:
    """Do in this rank what rank 0 announces of a case, until rank 0 ends it.

    Errors are reported to rank 0, and never raised. Where the others wait for this rank in the training, or
    rank 0 is gone, this process ends with exit code `LEFT_ALONE`, and its reason on standard error and in the
    file that `FAILURE_VARIABLE` names.

    Args:
        together: this rank's, not rank 0's.
        cell: the case's, with the global batch size.
        recipe: builds the workload of the global batch, of which this rank trains on its slice.
    """
    together.follower.follow(cell, recipe)


def _joined(device: Several, timeout_s: float) -> Group:
    timeout = timedelta(seconds=timeout_s)
    store, rank, size = next(_dist.rendezvous("env://", timeout=timeout))
    if size != device.processes:
        raise MeasurementError(f"started {plural(size, 'process')} instead of {device.processes}")
    dist.init_process_group(device.backend, store=store, rank=rank, world_size=size, timeout=timeout)
    group = GlooGroup(store, timeout_s)
    dist.all_reduce(torch.ones(1, device=device.torch_device))  # in which NCCL connects its ranks
    device.synchronize()
    return group
