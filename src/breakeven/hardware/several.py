"""Several processes that train together, each on a device of its own: ``2xcuda``, ``2xcpu``, ``1xcuda``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Self

import torch
import torch.distributed as dist

from breakeven.errors import UsageError
from breakeven.format import plural
from breakeven.hardware.cpus import usable_cpus
from breakeven.hardware.device import Device, EventApi
from breakeven.hardware.load import cpu_s
from breakeven.hardware.threads import default_threads

BACKENDS = {"cpu": "gloo", "cuda": "nccl"}
"""The library by which the ranks of a kind of device exchange tensors."""

_NAME = re.compile(r"([0-9]+)x(.*)")


class Several(Device):
    """`processes` ranks, each on its own accelerator, or on its share of the CPU.

    `member` is the device of one of them; in a rank, which has ``LOCAL_RANK`` in its environment, that of
    this rank. What is read of the device (memory, events, clocks) is read of the member. `init_s` are the
    seconds in which the ranks joined, None before; `others` are the process ids of the other ranks.
    """

    def __init__(self, processes: int, member: Device) -> None:
        super().__init__(f"{processes}x{member.torch_device.type}", member.torch_device)
        self.member = member
        self.is_accelerator = member.is_accelerator
        self.init_s: float | None = None
        self.others: tuple[int, ...] = ()
        self._processes = processes

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """Take ``NxKIND`` for the kinds in `BACKENDS`, N from 1 to the number of devices of that kind."""
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        processes, kind = int(match[1]), match[2]
        if kind not in BACKENDS:
            raise UsageError(
                f"device {name!r}: processes train together on cpu or cuda, not on {kind!r}; write 2xcpu or "
                "2xcuda"
            )
        if processes < 1:
            raise UsageError(f"device {name!r} has no process; write 2x{kind}, or {kind} for this process")
        available = usable_cpus() if kind == "cpu" else _gpus()
        if processes > available:
            here = plural(available, "CPU" if kind == "cpu" else "CUDA device")
            remedy = f"{available}x{kind} is the largest here" if available else "use 2xcpu"
            raise UsageError(f"device {name!r} is not available: this process sees {here}; {remedy}")
        _check_libraries(name, BACKENDS[kind])
        return cls(processes, _member(kind))

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
        return default_threads() if is_rank() else max(1, default_threads() // self.processes)

    def process_s(self) -> float:
        """Return the CPU time of all ranks."""
        return super().process_s() + sum(map(cpu_s, self.others))

    def synchronize(self) -> None:
        """Wait for this rank's device."""
        self.member.synchronize()

    def initialize(self) -> None:
        """Create the context of this rank's device."""
        self.member.initialize()

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make this rank's device the current one, with the rank's threads."""
        with self.member.active(), super().active():
            yield

    def reset_peak_memory(self) -> None:
        """Reset the peak of this rank's device."""
        self.member.reset_peak_memory()

    def peak_memory_bytes(self) -> int | None:
        """Return the peak of this rank's device: each rank has about the same."""
        return self.member.peak_memory_bytes()

    def release_memory(self) -> None:
        """Release the cached blocks of this rank's device."""
        self.member.release_memory()

    def event_api(self) -> EventApi | None:
        """Return the marks of this rank's device."""
        return self.member.event_api()

    def why_no_tf32(self) -> str | None:
        """Return why this rank's device has no TF32."""
        return self.member.why_no_tf32()

    def tf32_set(self, wanted: bool | None) -> AbstractContextManager[None]:
        """Set this rank's switches for the duration of the block."""
        return self.member.tf32_set(wanted)

    def state(self) -> dict[str, Any] | None:
        """Return the state of this rank's device."""
        return self.member.state()

    def sample(self) -> dict[str, Any] | None:
        """Return what load changes of this rank's device."""
        return self.member.sample()

    def state_kept_open(self) -> AbstractContextManager[None]:
        """Keep open what reads this rank's device."""
        return self.member.state_kept_open()

    def describe(self) -> dict[str, Any]:
        """Add ``ranks``, and ``init_s`` where they joined; ``threads`` are those of a rank."""
        own = {"ranks": self.processes, "threads": self.threads}
        facts = {**super().describe(), **self.member.describe(), **own}
        if not self.is_accelerator:
            facts["device_name"] = self.name
        return facts if self.init_s is None else {**facts, "init_s": self.init_s}


def is_rank() -> bool:
    """Return whether this process was started as one of several that train together."""
    return "LOCAL_RANK" in os.environ


def _member(kind: str) -> Device:
    # `devices` has this module's class among its families.
    from breakeven.hardware.devices import Accelerator, Cpu

    return Cpu() if kind == "cpu" else Accelerator(kind, int(os.environ.get("LOCAL_RANK", "0")))


def _gpus() -> int:
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _check_libraries(name: str, backend: str) -> None:
    """Check that torch was built with what the ranks need: `backend`, and gloo for their coordination.

    Raises:
        UsageError: it was not.
    """
    build = f"torch {torch.__version__} was built without"
    remedy = "install a torch with it, or remove the device"
    if not dist.is_available():
        raise UsageError(f"device {name!r} is not available: {build} torch.distributed; {remedy}")
    if backend == "nccl" and not dist.is_nccl_available():
        raise UsageError(f"device {name!r} is not available: {build} NCCL; {remedy}")
    if not dist.is_gloo_available():
        raise UsageError(f"device {name!r} is not available: {build} gloo; {remedy}")
