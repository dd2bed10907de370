"""Whether a machine is as fast as a card says of its class: probe steps in several processes, per number.

Each number has the card's 90% interval for a step of another model in another process, since the card saw
neither. The median over the processes is judged.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from breakeven import format as fmt
from breakeven.doctor.probes import Probe, SizedProbe, count_work, probes_for, sized
from breakeven.measure.timing import Clock
from breakeven.measure.workload import Workload
from breakeven.predict.cards import Card, Number
from breakeven.predict.work import Work

MAX_PROCESSES = 3
MAX_S = 30.0
"""No further process starts if it would end later than this, by the longest one before it."""

TIMEOUT_S = 180.0
"""A process that takes longer is ended: its device hangs."""

Times = Mapping[str, float | str]
"""The seconds of a step of each probe, by its name, or why there are none."""


class Place(StrEnum):
    """Where a number is relative to the card's interval; `UNKNOWN` where it was not measured."""

    SLOWER = "slower"
    FASTER = "faster"
    INSIDE = "inside"
    UNKNOWN = "unknown"


REMEDIES = {
    Number.LAUNCHES: "another process on the host's cores, or a power-saving host? `breakeven doctor` looks "
    "for both; stop the process, or set the governor to performance",
    Number.ARITHMETIC: "another process on the GPU, a power limit, or heat? `nvidia-smi -q -d "
    "PERFORMANCE,POWER,CLOCK` shows what limits its clock",
    Number.MEMORY: "another process on the GPU, or a part of one (MIG)? `nvidia-smi` lists both",
    Number.COPY: "a PCIe link with fewer lanes, or host memory that another process or NUMA node uses? "
    "`nvidia-smi -q` shows the link; bind to one node (numactl)",
}
"""What may make a number slower, and where to look."""

FASTER = "the card's predictions are too slow for this machine; fit its own with `breakeven card RUN`"


@dataclass(frozen=True)
class Compared:
    """A number of this machine compared with a card's.

    `slowdown` is by how much the machine is slower, below 1 faster, and `low` and `high` are the ends of the
    card's interval of it; `slowdowns` has that of each process. They are None, or empty, where the number was
    not measured, and `why` has the reason. `widened` has what makes the card's interval wide, as phrases.
    """

    probe: Probe
    card: Card
    slowdown: float | None = None
    low: float | None = None
    high: float | None = None
    slowdowns: tuple[float, ...] = ()
    why: str = ""
    widened: tuple[str, ...] = ()

    @property
    def place(self) -> Place:
        """Where the number is relative to the interval."""
        if self.slowdown is None or self.low is None or self.high is None:
            return Place.UNKNOWN
        if self.slowdown > self.high:
            return Place.SLOWER
        return Place.FASTER if self.slowdown < self.low else Place.INSIDE

    @property
    def text(self) -> str:
        """By how much the number differs from the card's."""
        if self.slowdown is None:
            return self.why
        if fmt.digits(max(self.slowdown, 1 / self.slowdown), 2) == "1.0":
            return "the same"
        word = "slower" if self.slowdown > 1 else "faster"
        return f"{fmt.digits(max(self.slowdown, 1 / self.slowdown), 2)}x {word}"

    @property
    def remedy(self) -> str:
        """What may be the cause where the number is outside of the interval, and what to do."""
        if self.place is Place.FASTER:
            return FASTER
        return REMEDIES[self.probe.number] if self.place is Place.SLOWER else ""

    def value(self, slowdown: float = 1.0) -> float:
        """Return the card's number, in its unit, this many times slower."""
        probe = self.probe
        return self.card.slowed(probe.number, slowdown, probe.format).value(probe.number, probe.format)


@dataclass(frozen=True)
class Against:
    """A machine compared with a card; `warnings` are one line each."""

    card: Card
    numbers: tuple[Compared, ...]
    processes: int
    seconds: float
    warnings: tuple[str, ...] = ()

    def at(self, place: Place) -> list[Compared]:
        """Return the numbers at a place."""
        return [number for number in self.numbers if number.place is place]

    @property
    def fit(self) -> bool | None:
        """Whether no number is slower than the interval; None where nothing was measured."""
        if len(self.at(Place.UNKNOWN)) == len(self.numbers):
            return None
        return not self.at(Place.SLOWER)

    @property
    def summary(self) -> str:
        """The answer in one line."""
        name = fmt.one_line(self.card.name, 60)
        if self.fit is None:
            return f"Not compared with {name}: no probe step could be timed."
        measured = len(self.numbers) - len(self.at(Place.UNKNOWN))
        if self.fit:
            faster = [f"{one.probe.name} {one.text}" for one in self.at(Place.FASTER)]
            beyond = f", or faster: {fmt.listed(faster)}" if faster else ""
            of_all = f"{measured} of {len(self.numbers)} numbers"
            return f"As fast as its class: {of_all} are within what {name} predicts{beyond}."
        slower = [f"{one.probe.name} {one.text} than this class" for one in self.at(Place.SLOWER)]
        return f"Slower than {name}: {fmt.listed(slower)}."


def compare_with(
    card: Card,
    warnings: Sequence[str] = (),
    *,
    take: Callable[[Mapping[str, int]], Times] | None = None,
    count: Callable[[Workload], Work | str] = count_work,
    starting: Callable[[int], object] = id,
    clock: Clock = time.monotonic,
) -> Against:
    """Time the probes of a card on this machine, and compare each number with the card's.

    Args:
        card: of the machine's class.
        warnings: what to show beside the result.
        take: times probes of given sizes, in a process of its own by default.
        count: what a workload's step does.
        starting: called with the index of each process.
        clock: seconds.
    """
    begin = clock()
    chosen = {probe.name: sized(probe, card, count) for probe in probes_for(card)}
    sizes = {name: one.size for name, one in chosen.items() if isinstance(one, SizedProbe)}
    processes = _take_all(sizes, take or in_process, starting, clock, begin) if sizes else []
    numbers = [
        _compared(probe, card, chosen[probe.name], [times.get(probe.name, "") for times in processes])
        for probe in probes_for(card)
    ]
    return Against(card, tuple(numbers), len(processes), clock() - begin, tuple(warnings))


def _take_all(
    sizes: Mapping[str, int],
    take: Callable[[Mapping[str, int]], Times],
    starting: Callable[[int], object],
    clock: Clock,
    begin: float,
) -> list[Times]:
    longest_s, found = 0.0, list[Times]()
    while len(found) < MAX_PROCESSES and clock() - begin + longest_s <= MAX_S:
        starting(len(found))
        start = clock()
        found.append(take(sizes))
        longest_s = max(longest_s, clock() - start)
        if all(isinstance(time, str) for time in found[-1].values()):
            break  # another process would fail too
    return found


def in_process(sizes: Mapping[str, int]) -> Times:
    """Return what a new process measures; where it fails, its last line for every probe."""
    command = [sys.executable, "-m", "breakeven.doctor.probe_process", json.dumps(sizes)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return dict.fromkeys(sizes, f"its process did not end within {TIMEOUT_S:g} s")
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"its process ended with {done.returncode}"]
        return dict.fromkeys(sizes, fmt.one_line(lines[-1], 200))
    times: Times = json.loads(done.stdout.splitlines()[-1])
    return times


def _compared(probe: Probe, card: Card, chosen: SizedProbe | str, times: Sequence[float | str]) -> Compared:
    if isinstance(chosen, str):
        return Compared(probe, card, why=chosen)
    slowdowns = tuple(chosen.slowdown(one) for one in times if not isinstance(one, str))
    if not slowdowns:
        return Compared(probe, card, why=next(one for one in times if isinstance(one, str)))
    low, high = chosen.slowdown(chosen.step.low_s), chosen.slowdown(chosen.step.high_s)
    return Compared(probe, card, median(slowdowns), low, high, slowdowns, widened=chosen.step.widened)
