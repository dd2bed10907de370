"""Who is compared with whom, in as few words as a sentence needs."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from breakeven import format as fmt
from breakeven.case import Line
from breakeven.device_names import device_name, is_cpu, is_plural, member_of
from breakeven.grouping import grouped
from breakeven.report.break_even import BreakEven
from breakeven.report.speedup import SAME_WITHIN, DeviceVerdict, Speedup
from breakeven.report.text import headline_lines
from breakeven.runs.machine import Machine
from breakeven.stats.crossing import CrossingStatus as Status

ITS_CPU = "its CPU"
"""What the accelerator of one of several machines is compared with."""

ONE = "one"
"""What a device of several processes is compared with, where that is one of its devices."""

MAX_NAME = 30
"""Longer names of machines and devices are shortened in the answer."""

_FAR = 1000.0  # in powers of two, farther away than any batch size
_LAST = (Status.BEYOND_RANGE, Status.UNDECIDED, Status.NEVER)


@dataclass(frozen=True)
class Candidate:
    """A device on one machine with a line for each model, empty where no cell was timed on its baseline too.

    `name` is such as ``the GPU`` or ``all threads``; `other` is what it is compared with. `is_obvious` is
    whether that need not be named: an accelerator is compared with all of its own CPU.
    """

    device: str
    machine: str
    lines: tuple[BreakEven, ...]
    name: str
    other: str = ""
    is_obvious: bool = True

    @property
    def place(self) -> tuple[str, str]:
        """The device, and the class id of its machine."""
        return self.device, self.machine

    def does(self, verb: str) -> str:
        """Return the verb, in the third person singular where the name is singular."""
        if self.name.startswith("all ") or is_plural(self.device):
            return verb
        return "is" if verb == "are" else f"{verb}s"

    @property
    def win(self) -> str:
        """To win, naming what it is compared with where that is not obvious."""
        return "win" if self.is_obvious else f"beat {self.other}"

    @property
    def wins(self) -> str:
        """The same after its name."""
        verb, *other = self.win.split(" ", 1)
        return " ".join([self.does(verb), *other])

    @property
    def pronoun(self) -> str:
        """The pronoun for its name."""
        return "they" if self.does("are") == "are" else "it"

    def sentence(self, clause: str) -> str:
        """Return a clause as a sentence; the identifier of a device stays in lower case."""
        return f"{clause if clause.startswith(self.device) else fmt.capital(clause)}."

    @property
    def than(self) -> str:
        """What it is compared with, after a comparative."""
        return "" if self.is_obvious else f" than {self.other}"


def candidates(
    machines: Sequence[Machine],
    break_evens: Sequence[BreakEven],
    phase: str | None,
    timed: Mapping[str, Iterable[str]],
    left_out: Collection[Line] = (),
) -> list[Candidate]:
    """Return the candidates that the answer is about, accelerators first.

    Args:
        machines: in the order of the report.
        break_evens: all of the report.
        phase: the headline.
        timed: the timed devices of each class id.
        left_out: candidates' lines that are not counted where another one of the device is.
    """
    lines = headline_lines(machines, break_evens, phase)
    places = grouped(((row.candidate.machine, row.candidate.device), row) for row in lines)
    paired = {(line.machine, line.device) for row in break_evens for line in (row.candidate, row.baseline)}
    for machine in machines:
        for device in timed.get(machine.class_id, ()):
            if not is_cpu(device) and (machine.class_id, device) not in paired:
                places[machine.class_id, device] = []
    accelerators = {member_of(device) for _, device in (*places, *paired) if not is_cpu(device)}
    names = _Names({machine.class_id: machine.label for machine in machines}, len(accelerators) > 1)
    found = [
        _candidate(*place, [row for row in rows if row.candidate not in left_out] or rows, names)
        for place, rows in places.items()
    ]
    return sorted(found, key=lambda one: is_cpu(one.device))


def best_row(lines: Iterable[BreakEven]) -> Speedup | None:
    """Return the cell in which a candidate is shown to be faster by the most; None for up to 2%."""
    rows = [row for line in lines for row in line.rows if row.verdict is DeviceVerdict.FASTER]
    gains = [row for row in rows if (row.speedup or 0) > SAME_WITHIN]
    return max(gains, key=lambda row: row.speedup or 0, default=None)


def wins(line: BreakEven) -> bool:
    """Return whether a candidate is shown to win from some batch size on, by more than 2%."""
    known = line.crossing.status in (Status.CROSSES, Status.ALWAYS) or is_at_the_latest(line)
    return known and best_row([line]) is not None


def is_at_the_latest(line: BreakEven) -> bool:
    """Return whether the break-even is undecided, but a batch size from which the candidate wins is known."""
    return line.crossing.status is Status.UNDECIDED and line.crossing.bracket[1] is not None


def is_slower_throughout(line: BreakEven) -> bool:
    """Return whether a candidate is slower in every cell."""
    return all(row.verdict is DeviceVerdict.SLOWER for row in line.rows)


def position(line: BreakEven) -> float:
    """Return a break-even in powers of two, an undecided one at the latest; always first, never last."""
    found = line.crossing
    return place(found.status, found.bracket[1] if found.batch_size is None else found.batch_size)


def place(status: Status, at: float | None) -> float:
    """Return the place of a break-even among others; see `position`."""
    if status is Status.ALWAYS:
        return -_FAR
    return _FAR + _LAST.index(status) if at is None else math.log2(at)


@dataclass(frozen=True)
class Winners:
    """Of `total` models those in which a candidate wins, by break-even.

    `middle` is the median model (of an even number, the later one in the middle), or both of two; empty if it
    wins nowhere, or at the only batch size it has.
    """

    won: tuple[BreakEven, ...]
    total: int
    middle: tuple[BreakEven, ...]


def winners(lines: Sequence[BreakEven]) -> Winners:
    """Return in which of several models a candidate wins."""
    ordered = sorted(lines, key=lambda line: (not wins(line), position(line), len(line.batches)))
    middle = ordered if len(lines) == 2 else ordered[len(lines) // 2 :][:1]
    shown = wins(middle[0]) and all(len(line.batches) > 1 for line in middle if wins(line))
    return Winners(tuple(filter(wins, ordered)), len(lines), tuple(middle) if shown else ())


@dataclass(frozen=True)
class _Names:
    """The labels of the machines where there are several, and whether accelerators of several kinds are."""

    labels: Mapping[str, str]
    is_crowded: bool

    def of(self, device: str, machine: str) -> str:
        """Return a device's name, with its machine where there are several."""
        return self.at(self.device(device), machine)

    def at(self, name: str, machine: str) -> str:
        """Return a name with its machine, where there are several."""
        return f"{name} of {fmt.shortened(self.labels[machine], MAX_NAME)}" if len(self.labels) > 1 else name

    def device(self, device: str) -> str:
        if self.is_crowded and not is_cpu(device):
            return fmt.shortened(device, MAX_NAME)
        return fmt.shortened(device_name(device).partition(" (")[0], 2 * MAX_NAME)

    def threads(self, device: str) -> str:
        return "all threads" if device == "cpu" else self.device(device).replace("CPU ", "")


def _candidate(machine: str, device: str, rows: Sequence[BreakEven], names: _Names) -> Candidate:
    name = names.of(device, machine)
    if not rows:
        return Candidate(device, machine, (), name)
    base, lines = rows[0].baseline, tuple(rows)
    if base.machine != machine:
        return Candidate(device, machine, lines, name, names.of(base.device, base.machine), False)
    if base.device == member_of(device):
        return Candidate(device, machine, lines, name, ONE, False)
    if is_cpu(device) and is_cpu(base.device):
        name = names.at(names.threads(device), machine)
        return Candidate(device, machine, lines, name, names.threads(base.device), False)
    is_own_cpu = base.device == "cpu" and not is_cpu(device)
    if is_own_cpu and len(names.labels) > 1:
        return Candidate(device, machine, lines, name, ITS_CPU, False)
    return Candidate(device, machine, lines, name, names.device(base.device), is_own_cpu)
