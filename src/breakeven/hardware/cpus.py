"""The CPUs of this machine: which of them this process may use, their cores and features.

This module does not import torch, and `plugin.hooks` imports it before torch is loaded: with
``OMP_PROC_BIND`` and the like, loading torch's OpenMP binds the main thread to one CPU.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

CPUS = Path("/sys/devices/system/cpu")
NODES = Path("/sys/devices/system/node")
CGROUP = Path("/sys/fs/cgroup")
CPUINFO = Path("/proc/cpuinfo")

BINDING = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")
"""Variables with which OpenMP binds threads to CPUs."""


def affinity() -> list[int] | None:
    """Return the CPUs this process may run on, None if Python cannot read the affinity on this system.

    Where OpenMP binds threads, this is the affinity when this module was loaded. psutil can read the affinity
    on Windows too, but is not used: the number is a fact of a machine's class, which must not change between
    two versions of breakeven.
    """
    return _AT_START if any(os.environ.get(name) for name in BINDING) else _affinity_now()


def affinity_size() -> int:
    """Return the number of logical CPUs in the affinity; all CPUs where it cannot be read."""
    return len(affinity() or ()) or os.cpu_count() or 1


def usable_cpus() -> int:
    """Return the number of logical CPUs that this process may use: its affinity and its cgroup's quota."""
    cpus, quota = affinity_size(), cgroup_quota()
    return cpus if quota is None else min(cpus, max(1, -int(-quota // 1)))


def cgroup_quota(root: Path = CGROUP) -> float | None:
    """Return the cgroup's CPU quota in CPUs (version 2, then 1), None where there is no limit."""
    try:
        limit, period = (root / "cpu.max").read_text().split()
        return None if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError):
        pass
    try:
        limit = (root / "cpu" / "cpu.cfs_quota_us").read_text()
        period = (root / "cpu" / "cpu.cfs_period_us").read_text()
        return int(limit) / int(period) if int(limit) > 0 else None
    except (OSError, ValueError):
        return None


def core_sizes(among: Collection[int] | None = None, cpus: Path = CPUS) -> list[int]:
    """Return the number of logical CPUs on each physical core; only those in `among`, if given.

    Raises:
        OSError: the system does not report its cores.
    """
    cores: dict[str, int] = {}
    for path in cpus.glob("cpu[0-9]*/topology/thread_siblings_list"):
        if among is None or int(path.parts[-3].removeprefix("cpu")) in among:
            siblings = path.read_text()
            cores[siblings] = cores.get(siblings, 0) + 1
    if not cores:
        raise OSError(f"no CPU topology in {cpus}")
    return list(cores.values())


def numa_nodes(among: Collection[int] | None = None, nodes: Path = NODES) -> int:
    """Return the number of NUMA nodes that have CPUs; only CPUs in `among` count, if given.

    Raises:
        OSError: the system does not report its nodes.
    """
    found = [cpu_list(path.read_text()) for path in nodes.glob("node[0-9]*/cpulist")]
    usable = sum(bool(cpus if among is None else cpus & set(among)) for cpus in found)
    if not usable:
        raise OSError(f"no NUMA nodes with CPUs in {nodes}")
    return usable


def cpu_list(text: str) -> set[int]:
    """Return the numbers in a list of CPUs as the kernel writes it.

    >>> sorted(cpu_list("0-2,8"))
    [0, 1, 2, 8]
    """
    found: set[int] = set()
    for part in text.strip().split(","):
        if part:
            first, _, last = part.partition("-")
            found |= set(range(int(first), int(last or first) + 1))
    return found


def cpu_flags(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """Return the features of the CPU as the kernel names them: x86's flags, ARM's features.

    Raises:
        OSError: the system does not report them.
    """
    for line in cpuinfo.read_text(errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    raise OSError(f"no CPU flags in {cpuinfo}")


def _affinity_now() -> list[int] | None:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


_AT_START = _affinity_now()
