"""Whether a machine is fit for timing: the problems that a look at it found, and what to do about them.

`breakeven.hardware.load` and `breakeven.measure.look` look at the machine; its file keeps what they found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Annotated, Any, Self, TypeVar

import msgspec

from breakeven.format import digits, one_line

MAX_LOST_CPUS = 0.25
"""A machine is busy if others take more than this from threads on all of its cores: a quarter of one CPU."""

MAX_SLOWDOWN = 10.0
"""Threads hinder each other if the canary takes this many times as long on all of them as on one.

Without another program it takes 0.7 to 1.5 times as long on 2 threads. Beside one, threads that spin while
they wait made it 3 to 400 times slower, and threads that sleep 1.5 times.
"""

_Kind = TypeVar("_Kind")
_Amount = Annotated[float, msgspec.Meta(ge=0, le=1e30)]
_Count = Annotated[int, msgspec.Meta(ge=1, le=2**53)]


class Cause(StrEnum):
    """What disturbed a run, as a clause; `remedy` is what to do, empty where only sleeping threads help."""

    remedy: str

    def __new__(cls, clause: str, remedy: str) -> Self:
        """Create a cause from its two texts."""
        cause = str.__new__(cls, clause)
        cause._value_, cause.remedy = clause, remedy
        return cause

    PROGRAM = "another program used the CPU", "close it"
    OTHER_MACHINES = "the hypervisor gave its CPUs to other machines", "use a machine of your own"
    THREADS = "its threads spun while they waited for each other", ""
    THROTTLED = "the device lowered its clocks", "cool it or reduce its load"
    CLOCK = "the clocks moved", "let the machine settle"
    SHARED_GPU = "another program used the GPU", "free it"


@dataclass(frozen=True)
class Problem:
    """Why timings cannot be trusted: what was seen, in the past tense, what to do, and the cause."""

    seen: str
    remedy: str
    cause: Cause = Cause.PROGRAM

    def __str__(self) -> str:
        return f"{self.seen}; {self.remedy}"


@dataclass(frozen=True)
class Program:
    """Another program, and how many CPUs it used."""

    name: str
    pid: _Count
    cpus: _Amount

    def __str__(self) -> str:
        return f"{one_line(self.name, 40)} (pid {self.pid}, {digits(self.cpus, 2)} CPUs)"


@dataclass(frozen=True)
class Load:
    """How many CPUs others used for a moment; None where that is unknown.

    `cpus` are the logical CPUs that this process may use; other programs used `foreign_cpus` of them, and the
    hypervisor gave `stolen_cpus` to other machines. A thread on each core would miss `lost_cpus`. `programs`
    are the busiest ones. `load_average`, over a minute, is recorded and not judged: it includes what this
    process itself just did.
    """

    cpus: _Count
    foreign_cpus: _Amount | None = None
    stolen_cpus: _Amount | None = None
    lost_cpus: _Amount | None = None
    load_average: _Amount | None = None
    programs: tuple[Program, ...] = ()

    @property
    def problem(self) -> Problem | None:
        """What makes the machine busy, None if it is idle or if that is unknown."""
        if self.lost_cpus is None or self.lost_cpus <= MAX_LOST_CPUS:
            return None
        if (self.stolen_cpus or 0) > (self.foreign_cpus or 0):
            remedy = "measure at another time, or on a machine of your own"
            return Problem(self.seen, remedy, Cause.OTHER_MACHINES)
        what = "stop them" if self.programs else "find them with `top` and stop them"
        return Problem(self.seen, f"{what}, or let --breakeven-wait-idle=5m wait for an idle machine")

    @property
    def seen(self) -> str:
        """What others used, as a clause."""
        foreign, stolen = self.foreign_cpus or 0, self.stolen_cpus or 0
        if stolen > foreign:
            return f"the hypervisor gave {digits(stolen, 2)} of {self.cpus} CPUs to other machines"
        names = f": {', '.join(map(str, self.programs))}" if self.programs else ""
        return f"other programs used {digits(foreign, 2)} of {self.cpus} CPUs{names}"

    def as_dict(self) -> dict[str, Any]:
        """Return it as an object of JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: object) -> Self | None:
        """Return what `as_dict` made of a load, None where it is anything else."""
        return _converted(value, cls)


@dataclass(frozen=True)
class Look:
    """What a look at a machine found, before the first case.

    The canary took `one_thread_s` on one thread, and `all_threads_s` on all `threads` of the device ``cpu``;
    both are None where that is 1. `spins` is whether threads that wait for each other spin.
    """

    load: Load
    threads: _Count = 1
    one_thread_s: _Amount | None = None
    all_threads_s: _Amount | None = None
    spins: bool = False

    @property
    def slowdown(self) -> float | None:
        """How many times as long the canary took on all threads as on one; None where it is unknown."""
        return self.all_threads_s / self.one_thread_s if self.one_thread_s and self.all_threads_s else None

    @property
    def slow_threads(self) -> Problem | None:
        """Why the threads hinder each other, None if they do not.

        Threads that sleep while they wait take long to wake where there are many, which is not the fault of
        another program: without one, they are fine.
        """
        slowdown, busy = self.slowdown, self.load.problem
        if slowdown is None or slowdown <= MAX_SLOWDOWN or not (self.spins or busy):
            return None
        stop = "stop what `top` shows" if busy is None else busy.remedy
        if self.load.programs:
            stop = f"stop {' and '.join(map(str, self.load.programs))}"
        return Problem(
            f"the canary took {digits(slowdown)} times as long on {self.threads} threads as on 1",
            f"set OMP_WAIT_POLICY=passive, or {stop}" if self.spins else stop,
            Cause.THREADS if busy is None else busy.cause,
        )

    @property
    def found(self) -> list[Problem]:
        """The problems, the worst first; empty on a machine that is fit."""
        return [problem for problem in (self.slow_threads, self.load.problem) if problem is not None]

    def as_dict(self) -> dict[str, Any]:
        """Return it as an object of JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: object) -> Self | None:
        """Return what `as_dict` made of a look, None where it is anything else."""
        return _converted(value, cls)


def spins_while_waiting(environment: Mapping[str, str]) -> bool:
    """Return whether OpenMP's threads spin while they wait for each other, as they do by default.

    >>> spins_while_waiting({}), spins_while_waiting({"OMP_WAIT_POLICY": "passive"})
    (True, False)
    """
    is_passive = environment.get("OMP_WAIT_POLICY", "").lower() == "passive"
    return not is_passive and "0" not in map(environment.get, ("GOMP_SPINCOUNT", "KMP_BLOCKTIME"))


def _converted(value: object, kind: type[_Kind]) -> _Kind | None:
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, UnicodeEncodeError):  # the latter for text with lone surrogates
        return None
