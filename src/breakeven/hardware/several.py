"""Several processes that train together, each on a device of its own: ``2xcuda``, ``2xcpu``, ``1xcuda``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Self

import psutil
import torch
import torch.distributed as dist

from breakeven.device_names import member_of
from breakeven.errors import UsageError
from breakeven.hardware.cpus import usable_cpus
from breakeven.hardware.device import Device, EventApi
from breakeven.hardware.threads import default_threads

BACKENDS = {"cpu": "gloo", "cuda": "nccl"}
"""The library by which the ranks of a kind of device exchange tensors."""

_NAME = re.compile(r"([0-9]+)x(.*)")


class Several(Device):
    """`processes` ranks, each on its own accelerator, or on its share of the CPU.

    In a rank, which has ``LOCAL_RANK`` in its environment, it is that rank's device, `member`. `init_s` are
    the seconds in which the ranks joined, None before; `others` are the process ids of the other ranks.
    """

    def __init__(self, processes: int, member: Device) -> None:
        kind = member.torch_device.type
        super().__init__(f"{processes}x{kind}", member.torch_device)
        self.member = member
        self.is_accelerator = member.is_accelerator
        self.init_s: float | None = None
        self.others: tuple[int, ...] = ()
        self._processes = processes

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """Take ``NxKIND`` for the kinds in `BACKENDS`, N from 1 to the number of devices here."""
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        processes, kind = int(match[1]), match[2]
        _check(name, processes, kind)
        return cls(processes, _member(kind, int(os.environ.get("LOCAL_RANK", "0"))))

    @property
    def processes(self) -> int:
        """The number of ranks."""
        return self._processes

    @property
    def backend(self) -> str:
        """The library by which the ranks exchange tensors."""
        return BACKENDS[self.torch_device.type]

    @property
    def threads(self) -> int:
        """A rank's share of the threads that one process uses, at least 1.

        A rank is started with its share as torch's default (``OMP_NUM_THREADS``).
        """
        is_rank = "LOCAL_RANK" in os.environ
        return default_threads() if is_rank else max(1, default_threads() // self.processes)
