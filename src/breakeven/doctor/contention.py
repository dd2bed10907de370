"""CPU time that other processes take: every thread spins for a moment, and its CPU time is measured."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

SECONDS = 0.2
_BLOCK = bytes(4 << 20)  # hashing this takes some milliseconds, and releases the lock of the interpreter


@dataclass(frozen=True)
class CpuSample:
    """The share of a core that each spinning thread got: CPU time over wall time.

    `stolen` is the share of the machine's CPU time that the hypervisor gave to other machines; `switches`
    counts how often the kernel took a core from a thread. Both are None where the system does not count them.
    """

    shares: tuple[float, ...]
    stolen: float | None = None
    switches: int | None = None

    @property
    def lost(self) -> float:
        """The largest share of a core that was lost, between 0 and 1."""
        return min(1.0, max(0.0, 1 - min(self.shares, default=1.0), self.stolen or 0.0))


def typical(samples: Sequence[CpuSample]) -> CpuSample:
    """Return the median sample: a disturbance of a single one does not matter in runs of minutes."""
    return sorted(samples, key=lambda sample: sample.lost)[len(samples) // 2]


def sample_cpu(threads: int, seconds: float = SECONDS) -> CpuSample:
    """Let `threads` threads spin for `seconds`."""
    spins: list[tuple[float, int | None]] = []
    before = cpu_times()
    workers = [threading.Thread(target=_spin, args=(seconds, spins)) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    stolen = stolen_share(before, cpu_times())
    switches = [count for _, count in spins if count is not None]
    return CpuSample(tuple(share for share, _ in spins), stolen, sum(switches) if switches else None)


def cpu_times() -> tuple[float, float] | None:
    """Return the seconds that were stolen from this machine, and all its CPU seconds; None if unknown."""
    try:
        times = psutil.cpu_times()
    except (OSError, psutil.Error):
        return None
    if not hasattr(times, "steal"):  # only Linux counts it
        return None
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # `user`, `nice` include these
    return times.steal, sum(times) - guests


def stolen_share(before: tuple[float, float] | None, after: tuple[float, float] | None) -> float | None:
    """Return the share of the CPU time between two readings of `cpu_times` that was stolen."""
    if before is None or after is None or after[1] <= before[1]:
        return None
    return (after[0] - before[0]) / (after[1] - before[1])


def _spin(seconds: float, spins: list[tuple[float, int | None]]) -> None:
    switches = _switches()
    wall, ran = time.perf_counter(), time.thread_time()
    while time.perf_counter() - wall < seconds:
        hashlib.sha256(_BLOCK)
    share = (time.thread_time() - ran) / (time.perf_counter() - wall)
    after = _switches()
    spins.append((share, None if switches is None or after is None else after - switches))


def _switches() -> int | None:
    """Return how often the kernel took the core from this thread; None if only processes are counted."""
    if os.name != "posix":
        return None
    import resource  # missing on Windows

    this_thread = getattr(resource, "RUSAGE_THREAD", None)
    return None if this_thread is None else resource.getrusage(this_thread).ru_nivcsw
