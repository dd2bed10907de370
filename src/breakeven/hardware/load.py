"""How busy other programs keep the CPUs, from the system's counters, and waiting until they are idle.

This module does not import torch. It costs no CPU time worth mentioning unless `wait` spins.
"""

from __future__ import annotations

import hashlib
import math
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import psutil

from breakeven.fitness import Load, Program
from breakeven.format import duration
from breakeven.hardware.cpus import affinity, affinity_size, core_sizes, usable_cpus

WINDOW_S = 0.3
"""The seconds over which CPU time is counted: the counters advance in steps of 10 ms."""

COUNTER_ERROR_S = 0.03
"""How far a sum of three of the system's CPU times, in steps of 10 ms, is off between two readings."""

MIN_PROGRAM_CPUS = 0.1
"""A program that uses less is not named."""

MAX_PROGRAMS = 2

PAUSE_S = 2.0
"""The seconds between two readings while waiting."""

IDLE_READINGS = 3
"""The machine is idle again after this many readings in a row: a compiler pauses between two files."""

PROC = Path("/proc")

Wait = Callable[[float], object]

_BLOCK = bytes(4 << 20)  # hashing this takes some milliseconds, and releases the lock of the interpreter


@dataclass(frozen=True)
class CpuTimes:
    """The seconds that this process's CPUs were busy with all programs, and that were stolen from them.

    None where they are unknown; both are known to within `error_s`.
    """

    busy_s: float | None = None
    stolen_s: float | None = None
    error_s: float = 0.0


@dataclass(frozen=True)
class Moment:
    """The clock, the CPU seconds of this process, and those of its CPUs, at one moment."""

    wall_s: float
    process_s: float
    times: CpuTimes


@dataclass(frozen=True)
class ProgramTime:
    """A running program: its name, its parent, and its CPU seconds."""

    name: str
    parent: int
    cpu_s: float


def read_load(
    wait: Wait = time.sleep,
    read_moment: Callable[[], Moment] | None = None,
    read_programs: Callable[[], Mapping[int, ProgramTime]] | None = None,
) -> Load:
    """Return how many CPUs others used during `WINDOW_S`.

    A busy machine is read twice more, and the median counts: a short burst of another program says nothing of
    the minutes to come.

    Args:
        wait: lets that many seconds pass. A thread that spins also notices the hypervisor, which takes no
            time from a machine that sleeps.
        read_moment: reads the counters.
        read_programs: reads the programs by their process ids.
    """
    read_moment, read_programs = read_moment or moment, read_programs or running_programs
    first = _load_during(wait, read_moment)
    if first.problem is None:
        return first
    before, began_s = read_programs(), read_moment().wall_s
    loads = sorted([first, *(_load_during(wait, read_moment) for _ in range(2))], key=_lost)
    wall_s = read_moment().wall_s - began_s
    return replace(loads[1], programs=_busiest(before, read_programs(), wall_s))


def wait_until_idle(
    limit_s: float,
    notify: Callable[[str], object],
    read: Callable[[], Load] = read_load,
    sleep: Wait = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Wait up to `limit_s` until other programs leave the CPUs alone; return whether they do.

    `notify` is given a line when the waiting begins and one when it ends, none on an idle machine.
    """
    began_s = clock()
    load = read()
    if load.problem is None:
        return True
    notify(f"{load.seen}; waiting up to {duration(limit_s)} until they are idle")
    in_a_row = 0
    while (left_s := limit_s - (clock() - began_s)) > 0:
        sleep(min(PAUSE_S, left_s))
        load = read()
        in_a_row = in_a_row + 1 if load.problem is None else 0
        if in_a_row == IDLE_READINGS:
            notify(f"the machine is idle after {duration(clock() - began_s)}; going on")
            return True
    notify(f"still busy after {duration(clock() - began_s)}; going on: {load.seen}")
    return False


def spinning(threads: int) -> Wait:
    """Return a `wait` for `read_load` that keeps this many threads busy."""

    def spin(seconds: float) -> None:
        end_s = time.perf_counter() + seconds
        while time.perf_counter() < end_s:
            hashlib.sha256(_BLOCK)

    def wait(seconds: float) -> None:
        spins = [threading.Thread(target=spin, args=(seconds,)) for _ in range(threads)]
        for one in spins:
            one.start()
        for one in spins:
            one.join()

    return wait


def moment() -> Moment:
    """Read the counters now."""
    return Moment(time.perf_counter(), own_cpu_s(), cpu_times())


def own_cpu_s() -> float:
    """Return the CPU seconds of this process and of its workers: those that ended, and those that run."""
    ended = os.times()
    running_s = sum(cpu_s(child.pid) for child in multiprocessing.active_children() if child.pid)
    return time.process_time() + ended.children_user + ended.children_system + running_s


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process, 0 if it has ended."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def cpu_times() -> CpuTimes:
    """Read the times of the CPUs that this process may use."""
    usable = affinity()
    try:
        if usable is None or len(usable) == psutil.cpu_count():
            lines = [psutil.cpu_times()]
        else:
            every = psutil.cpu_times(percpu=True)
            lines = [every[index] for index in usable]
    except (OSError, IndexError, psutil.Error):
        return CpuTimes()
    busy_s = sum(times.user + times.system + getattr(times, "nice", 0.0) for times in lines)
    stolen_s = sum(times.steal for times in lines) if hasattr(lines[0], "steal") else None
    return CpuTimes(busy_s, stolen_s, COUNTER_ERROR_S * math.sqrt(len(lines)))


def crowded_out(foreign: float, threads: int, cores: int) -> float:
    """Return how many CPUs `threads` on `cores` lose to other programs, which use idle cores first.

    >>> crowded_out(0.5, threads=4, cores=4), crowded_out(0.5, threads=4, cores=8)
    (0.5, 0.0)
    """
    return min(foreign, max(0.0, foreign + threads - cores))


def usable_cores() -> int:
    """Return the physical cores that this process may use: two threads of one core disturb each other."""
    usable = affinity()
    return _cores_of(None if usable is None else tuple(usable))


def load_average() -> list[float] | None:
    """Return the system's load over 1, 5 and 15 minutes; None where it is not known."""
    try:
        return list(os.getloadavg())
    except (AttributeError, OSError):
        return None


def running_programs(proc: Path = PROC) -> dict[int, ProgramTime]:
    """Return the running programs by process id; empty where the system does not list them so."""
    try:
        tick_s = 1 / os.sysconf("SC_CLK_TCK")
        paths = [path / "stat" for path in proc.iterdir() if path.name.isdecimal()]
    except (OSError, AttributeError, ValueError):
        return {}
    found = {}
    for path in paths:
        try:
            head, _, tail = path.read_text(errors="backslashreplace").rpartition(")")
            fields = tail.split()  # from the third field on: state, parent, ..., user and system time
            cpu_s = (int(fields[11]) + int(fields[12])) * tick_s
            found[int(path.parent.name)] = ProgramTime(head.partition("(")[2], int(fields[1]), cpu_s)
        except (OSError, ValueError, IndexError):
            continue  # it ended meanwhile
    return found


def _load_during(wait: Wait, read_moment: Callable[[], Moment]) -> Load:
    before = read_moment()
    wait(WINDOW_S)
    after = read_moment()
    load, average = Load(affinity_size()), load_average()
    if average is not None:
        load = replace(load, load_average=average[0])
    wall_s = after.wall_s - before.wall_s
    if wall_s <= 0 or before.times.busy_s is None or after.times.busy_s is None:
        return load
    foreign_s = after.times.busy_s - before.times.busy_s - (after.process_s - before.process_s)
    if foreign_s < -after.times.error_s:  # some containers see counters that never advance
        return load
    foreign = max(0.0, foreign_s) / wall_s
    stolen = None
    if before.times.stolen_s is not None and after.times.stolen_s is not None:
        stolen = max(0.0, after.times.stolen_s - before.times.stolen_s) / wall_s
    cores = usable_cores()
    lost = crowded_out(foreign, min(cores, usable_cpus()), cores) + (stolen or 0.0)
    return replace(load, foreign_cpus=foreign, stolen_cpus=stolen, lost_cpus=lost)


def _lost(load: Load) -> float:
    return load.lost_cpus or 0.0


def _busiest(
    before: Mapping[int, ProgramTime], after: Mapping[int, ProgramTime], wall_s: float
) -> tuple[Program, ...]:
    """Return the programs that used the most CPU time, without this process, its parents and children."""
    own = {os.getpid(), *_parents(os.getpid(), after)}
    used = [
        Program(now.name, pid, (now.cpu_s - (before[pid].cpu_s if pid in before else 0.0)) / wall_s)
        for pid, now in after.items()
        if pid not in own and os.getpid() not in _parents(pid, after)
    ]
    named = [program for program in used if program.cpus >= MIN_PROGRAM_CPUS]
    return tuple(sorted(named, key=lambda program: -program.cpus)[:MAX_PROGRAMS])


def _parents(pid: int, programs: Mapping[int, ProgramTime]) -> Iterable[int]:
    seen: list[int] = []
    while pid in programs and (pid := programs[pid].parent) not in seen:
        seen.append(pid)
    return seen


@cache
def _cores_of(usable: tuple[int, ...] | None) -> int:
    try:
        return len(core_sizes(usable))
    except OSError:
        return min(affinity_size(), psutil.cpu_count(logical=False) or affinity_size())
