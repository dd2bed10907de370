"""Another threshold than equal times: what a device costs per hour, and how much faster is worth it.

A cost is a time multiplied by a price. The break-even in dollars is that of the same draws, with the
candidate's times multiplied by the ratio of the two prices; for ``--worth 10x`` they are multiplied by 10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from breakeven import format as fmt
from breakeven.case import CaseKey, Outcome
from breakeven.device_names import device_order, is_cpu, member_of, processes_of
from breakeven.errors import UsageError
from breakeven.format import one_line
from breakeven.grouping import grouped
from breakeven.phases import WHOLE_STEPS, Phase
from breakeven.report.baseline import find_machine
from breakeven.report.break_even import BreakEven, break_evens
from breakeven.report.estimates import Estimate
from breakeven.report.speedup import Speedup, verdict_of
from breakeven.report.throughput import sample_count
from breakeven.runs.machine import Machine
from breakeven.stats.intervals import RatioInterval

SECONDS_PER_HOUR = 3600.0
MILLION = 1e6
CPU = "cpu"
_UNPRICED = tuple(
    phase for phase in Phase if phase.needs_processes or not (phase in WHOLE_STEPS or phase.is_answer)
)


@dataclass(frozen=True)
class Price:
    """What a device costs in dollars per hour; ``cpu`` prices every number of threads and of processes.

    N accelerators cost N times the price of one, unless they have a price of their own.

    `name` is ``DEVICE`` or ``MACHINE/DEVICE``, as the user named it.
    """

    name: str
    usd_per_hour: float

    @property
    def option(self) -> str:
        """The option that gives it."""
        return f"--price {one_line(f'{self.name}={self.usd_per_hour:g}/h', 80)!r}"


@dataclass(frozen=True)
class Money:
    """The prices, and how many times faster a candidate must be to be worth it; None where not asked."""

    prices: tuple[Price, ...] = ()
    worth: float | None = None


Prices = Mapping[tuple[str, str], float]
"""Dollars per hour of each device (class id, device) that has a price."""


@dataclass(frozen=True)
class Cost:
    """The dollars of one case: per step, or batch, with its 95% interval, and per million samples."""

    case: Estimate
    usd_per_hour: float

    @property
    def key(self) -> CaseKey:
        """The case."""
        return self.case.key

    @property
    def step_usd(self) -> float:
        """Dollars per training step; per batch in inference and in an epoch."""
        return self.case.median_s * self.usd_per_s

    @property
    def low_usd(self) -> float | None:
        """The lower end of the interval of `step_usd`."""
        return None if self.case.low_s is None else self.case.low_s * self.usd_per_s

    @property
    def high_usd(self) -> float | None:
        """The upper end of the interval of `step_usd`."""
        return None if self.case.high_s is None else self.case.high_s * self.usd_per_s

    @property
    def million_samples_usd(self) -> float:
        """Dollars per million samples."""
        return self.step_usd / sample_count(self.case) * MILLION

    @property
    def usd_per_s(self) -> float:
        """The price of a second."""
        return self.usd_per_hour / SECONDS_PER_HOUR


@dataclass(frozen=True)
class InDollars:
    """The prices of a report, the cost of each case that has one, and the break-evens in dollars."""

    prices: Prices
    costs: tuple[Cost, ...]
    break_evens: tuple[BreakEven, ...]

    def text(self, line: BreakEven) -> str:
        """Return the scenario of a line, ``in dollars at cpu $0.20/h, cuda $2.00/h``."""
        sides = (line.baseline, line.candidate)
        prices = ", ".join(
            f"{side.device} {fmt.dollars(self.prices[side.machine, side.device])}/h" for side in sides
        )
        return f"in dollars at {prices}"


@dataclass(frozen=True)
class Worth:
    """The break-evens where a candidate must be `factor` times as fast as its baseline."""

    factor: float
    break_evens: tuple[BreakEven, ...]

    def text(self, _: BreakEven) -> str:
        """Return the scenario, ``10x faster``."""
        factor = f"{self.factor:,.0f}" if self.factor % 1 == 0 else fmt.digits(self.factor)
        return f"{factor}x faster"


def find_prices(
    given: Sequence[Price], machines: Sequence[Machine], devices: Mapping[str, Iterable[str]]
) -> dict[tuple[str, str], float]:
    """Return the price of each device that has one; of several, the one that names it most exactly.

    Args:
        given: as the user named them.
        machines: those that were read.
        devices: the timed devices of each class id.

    Raises:
        UsageError: a device or machine that was not measured, or one that is priced twice.
    """
    named: dict[tuple[str, str], Price] = {}
    for price in given:
        place = _find_place(price, machines, devices)
        if place in named:
            raise UsageError(
                f"{price.option}: another price was given for this device; give each device one price"
            )
        named[place] = price
    found = {}
    for machine, names in devices.items():
        for device in names:
            candidates = ((place, kind) for place in (machine, "") for kind in _kinds(device))
            prices = [
                named[place, kind].usd_per_hour * count
                for place, (kind, count) in candidates
                if (place, kind) in named
            ]
            if prices:
                found[machine, device] = prices[0]
    return found


def in_dollars(
    prices: Prices,
    cases: Sequence[Estimate],
    lines: Sequence[BreakEven],
    outcomes: Sequence[Outcome],
) -> InDollars:
    """Return the costs of training, inference and epochs, and all break-evens, with these prices."""

    def ratio(line: BreakEven) -> float | None:
        ours, theirs = (prices.get((side.machine, side.device)) for side in (line.baseline, line.candidate))
        return None if ours is None or theirs is None else theirs / ours

    costs = tuple(
        Cost(case, prices[place])
        for case in cases
        if case.key.phase not in _UNPRICED and (place := (case.key.machine, case.key.device)) in prices
    )
    return InDollars(prices, costs, tuple(with_threshold(ratio, lines, cases, outcomes)))


def at_worth(
    factor: float, cases: Sequence[Estimate], lines: Sequence[BreakEven], outcomes: Sequence[Outcome]
) -> Worth:
    """Return the break-evens where the candidate is this many times as fast."""
    return Worth(factor, tuple(with_threshold(lambda _: factor, lines, cases, outcomes)))


def with_threshold(
    threshold: Callable[[BreakEven], float | None],
    lines: Iterable[BreakEven],
    cases: Sequence[Estimate],
    outcomes: Sequence[Outcome],
) -> list[BreakEven]:
    """Return the break-evens where the candidate must be `threshold` times as fast, None for no such line."""
    members = grouped((case.key.line, case) for case in cases)
    ended = grouped((one.key.line, one) for one in outcomes if one.key is not None)
    found = []
    for line in lines:
        factor = threshold(line)
        if factor is not None:
            both = [
                *members.get(line.baseline, ()),
                *(_slower(case, factor) for case in members.get(line.candidate, ())),
            ]
            untimed = [one for side in (line.baseline, line.candidate) for one in ended.get(side, ())]
            found += break_evens(both, [_less(row, factor) for row in line.rows], untimed)
    return found


def unpriced(prices: Prices, machines: Sequence[Machine], devices: Mapping[str, Iterable[str]]) -> list[str]:
    """Return a warning if devices have no price, and so no dollars."""
    without = [
        f"{device} of {machine.label}" if len(machines) > 1 else device
        for machine in machines
        for device in devices.get(machine.class_id, ())
        if (machine.class_id, device) not in prices
    ]
    if not without:
        return []
    return [f"no dollars for {one_line(fmt.joined(without), 300)}: without a price; add --price DEVICE=USD/h"]


def _kinds(device: str) -> list[tuple[str, int]]:
    """Return the names under which a device may have a price, with how many of these it is."""
    if is_cpu(device):
        return [(kind, 1) for kind in dict.fromkeys((device, member_of(device), CPU))]
    return [(device, 1), (member_of(device), processes_of(device) or 1)]


def _find_place(
    price: Price, machines: Sequence[Machine], devices: Mapping[str, Iterable[str]]
) -> tuple[str, str]:
    """Return the class id, empty for all machines, and the device that a price names."""
    name, _, device = price.name.rpartition("/")
    here = [find_machine(name, machines, price.option)] if "/" in price.name else list(machines)
    timed = {known for machine in here for known in devices.get(machine.class_id, ())}
    if device not in {kind for known in timed for kind, _ in _kinds(known)}:
        present = one_line(", ".join(sorted(timed, key=device_order)) or "none", 300)
        raise UsageError(f"{price.option}: no such device was measured; present: {present}")
    return here[0].class_id if "/" in price.name else "", device


def _slower(case: Estimate, factor: float) -> Estimate:
    """Return a case for `break_evens`, which needs its times where the speedup has no draws."""
    return replace(case, median_s=case.median_s * factor, draws=case.draws * factor)


def _less(row: Speedup, factor: float) -> Speedup:
    """Return a speedup as a part of the threshold, with the verdict that it then has."""
    low, speedup, high = (
        None if value is None else value / factor for value in (row.low, row.speedup, row.high)
    )
    return replace(
        row,
        speedup=speedup,
        low=low,
        high=high,
        verdict=verdict_of(RatioInterval(low, speedup, high)),
        draws=None if row.draws is None else row.draws / factor,
        readings=tuple(reading / factor for reading in row.readings),
    )
