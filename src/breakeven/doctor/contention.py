"""Who else uses this CPU? A short spin of all threads that looks at how much of their cores they got.

Owns the sampling; `checkup` judges it. Never part of a measured run.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SECONDS = 0.2
_BLOCK = bytes(4 << 20)  # hashing this takes some milliseconds, and lets other threads run meanwhile


@dataclass(frozen=True)
class Sample:
    """What a spin of every thread got: CPU time over wall time, a thread.

    `stolen` is the share of the machine's time that a hypervisor gave to others, None where it is not told;
    `switches` counts how often the kernel took a core away, None likewise.
    """

    shares: tuple[float, ...]
    stolen: float | None = None
    switches: int | None = None

    @property
    def lost(self) -> float:
        """The share of a core that was lost where it was worst, between 0 and 1."""
        return min(1.0, max(0.0, 1 - min(self.shares, default=1.0), self.stolen or 0.0))


def typical(samples: Sequence[Sample]) -> Sample:
    """Return the sample in the middle: who came and went in between disturbs no run of minutes."""
    return sorted(samples, key=lambda sample: sample.lost)[len(samples) // 2]


def sample(threads: int, seconds: float = SECONDS, stat: Path = Path("/proc/stat")) -> Sample:
    """Let `threads` threads spin for `seconds`, each on a core of its own if it can get one."""
    got: list[tuple[float, int | None]] = []
    before = _ticks(stat)
    workers = [threading.Thread(target=_spin, args=(seconds, got)) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    after = _ticks(stat)
    known = [switches for _, switches in got if switches is not None]
    return Sample(tuple(share for share, _ in got), _stolen(before, after), sum(known) if known else None)


def _spin(seconds: float, got: list[tuple[float, int | None]]) -> None:
    switches = _switches()
    wall, ran = time.perf_counter(), time.thread_time()
    while time.perf_counter() - wall < seconds:
        hashlib.sha256(_BLOCK)
    share = (time.thread_time() - ran) / (time.perf_counter() - wall)
    after = _switches()
    got.append((share, None if switches is None or after is None else after - switches))


def _switches() -> int | None:
    """Return how often the kernel took the core from this thread; None where a thread is not told."""
    if os.name != "posix":
        return None
    import resource  # not there on Windows

    whom = getattr(resource, "RUSAGE_THREAD", None)
    return None if whom is None else resource.getrusage(whom).ru_nivcsw


def _ticks(stat: Path) -> tuple[int, int] | None:
    """Return the stolen and all ticks of the machine (proc(5): user, nice, system, ..., the 8th is steal)."""
    try:
        fields = [int(field) for field in stat.read_text().splitlines()[0].split()[1:9]]
    except (OSError, ValueError, IndexError):
        return None
    return (fields[7], sum(fields)) if len(fields) == 8 else None


def _stolen(before: tuple[int, int] | None, after: tuple[int, int] | None) -> float | None:
    if before is None or after is None or after[1] <= before[1]:
        return None
    return (after[0] - before[0]) / (after[1] - before[1])
