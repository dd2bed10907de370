"""What a training costs, measured here and predicted there: hours, and dollars where prices are given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from breakeven.case import Cell
from breakeven.device_names import is_cpu
from breakeven.errors import UsageError
from breakeven.format import joined, one_line
from breakeven.grouping import grouped
from breakeven.predict.cards import Card
from breakeven.predict.cells import PredictedCell
from breakeven.report.baseline import Baseline
from breakeven.report.money import SECONDS_PER_HOUR, Price, find_prices
from breakeven.runs.machine import Machine

HourlyPrices = Mapping[str, float]
"""Dollars per hour of each predicted machine by its name, and of the baseline by that of its device."""


@dataclass(frozen=True)
class TrainingCost:
    """The hours of a training of a cell, with their 90% interval, and the dollars of an hour where known.

    `place` is the name of a predicted machine, or the device of the baseline.
    """

    cell: Cell
    place: str
    is_predicted: bool
    hours: float
    low_hours: float
    high_hours: float
    usd_per_hour: float | None

    @property
    def usd(self) -> float | None:
        """The dollars of the training."""
        return self._of(self.hours)

    @property
    def low_usd(self) -> float | None:
        """The lower end of their interval."""
        return self._of(self.low_hours)

    @property
    def high_usd(self) -> float | None:
        """The upper end of their interval."""
        return self._of(self.high_hours)

    def _of(self, hours: float) -> float | None:
        return None if self.usd_per_hour is None else hours * self.usd_per_hour


def trainings(cells: Iterable[PredictedCell], steps: int, prices: HourlyPrices) -> Iterator[TrainingCost]:
    """Yield the trainings of each cell: on the baseline once, then on each predicted machine."""
    per_s = steps / SECONDS_PER_HOUR
    for cell, places in grouped((one.cell, one) for one in cells).items():
        base = places[0]
        base_s = (base.baseline_s, base.baseline_low_s, base.baseline_high_s)
        predicted = ((one.machine, True, (one.predicted_s, one.low_s, one.high_s)) for one in places)
        for place, is_predicted, times_s in ((base.baseline, False, base_s), *predicted):
            hours, low, high = (per_s * seconds for seconds in times_s)
            yield TrainingCost(cell, place, is_predicted, hours, low, high, prices.get(place))


def prices_of(
    given: Sequence[Price], machine: Machine, baseline: Baseline, cards: Sequence[Card]
) -> dict[str, float]:
    """Return the prices by place; a card's name alone prices its accelerator.

    Raises:
        UsageError: a price names neither the baseline nor a predicted machine, or one twice.
    """
    away = {f"predicted {card.name}": card for card in cards}  # a card may be of this very class
    machines = [machine, *(Machine(one.hardware, place, {}, name=one.name) for place, one in away.items())]
    devices = {machine.class_id: [baseline.device], **{place: [one.device] for place, one in away.items()}}
    by_name = {card.name: f"{card.name}/{card.device}" for card in cards}
    check_names(given, cards)
    exact = [replace(price, name=by_name.get(price.name, price.name)) for price in given]
    found = find_prices(exact, machines, devices)
    named = {**{place: one.name for place, one in away.items()}, machine.class_id: baseline.device}
    return {named[place]: usd for (place, _), usd in found.items()}


def check_names(given: Iterable[Price], cards: Sequence[Card]) -> None:
    """Check the names of prices before anything is measured.

    Raises:
        UsageError: one is neither of a CPU nor of a predicted machine.
    """
    known = dict.fromkeys(("cpu", *(card.device for card in cards), *(card.name for card in cards)))
    for price in given:
        if "/" not in price.name and price.name not in known and not is_cpu(price.name):
            raise UsageError(
                f"{price.option}: neither a device nor a machine that --on names; known: "
                f"{one_line(joined(list(known), 12), 300)}"
            )
