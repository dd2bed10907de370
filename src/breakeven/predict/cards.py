"""A card: what predicts the training steps of one machine, and its JSON file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec

from breakeven.case import SCHEMA
from breakeven.files import write_whole
from breakeven.format import one_line
from breakeven.runs.json_files import Amount, Place, load_json

KIND = "card"
"""The `kind` of a card's file, which distinguishes it from other JSON files of breakeven."""

REMEDY = "make one with `breakeven card RUN... -o card.json`"

LAUNCH_S = (1e-6, 500e-6)
MIN_PER_S, MAX_FLOPS_PER_S, MAX_BYTES_PER_S = 1e6, 1e16, 2e13
"""No hardware is outside of these: seconds of a launch, operations and bytes per second."""

Z90 = 1.645
"""A normal 90% interval reaches this many standard deviations to each side."""

SAME_HARDWARE = ("gpu", "gpu_count", "cpu", "cores")
"""The facts of a machine on which its card's numbers depend most; that of launches belongs to the host."""


class Number(StrEnum):
    """A number of a card, by its name in `Card.log_sds`."""

    LAUNCHES = "launches"
    ARITHMETIC = "arithmetic"
    MEMORY = "memory"
    COPY = "copy"


_Name = Annotated[str, msgspec.Meta(min_length=1)]
_Deviation = Annotated[float, msgspec.Meta(ge=0, le=10)]
_Count = Annotated[int, msgspec.Meta(ge=1, le=2**53)]


@dataclass(frozen=True)
class Card:
    """The rates of a machine with an accelerator, fitted from its run files, and how far they miss.

    Base units. `launch_s` is the host's time for each operator, `flops_per_s` the arithmetic rate of each
    format, `bytes_per_s` the memory's, `copied_bytes_per_s` that of copies from the host. `process_log_sd` is
    by how much the host's time differs from run to run, in other processes, as a standard deviation of
    logarithms; `low_log` and `high_log` are the ends of the 90% band of the logarithm of measured over
    predicted steps of models that were left out of the fit, of the same runs. `batch_sizes` are the smallest
    and largest that were seen. `log_sds` has the standard deviation of the logarithm of each rate
    (``launches``, ``memory``, ``copy``, and each format's name). `machine` has the facts of its class, the
    host's among them.
    """

    name: _Name
    hardware: str
    class_id: str
    device: _Name
    machine: Mapping[str, Any]
    launch_s: Amount
    flops_per_s: Mapping[str, Amount]
    bytes_per_s: Amount
    copied_bytes_per_s: Amount
    process_log_sd: _Deviation
    low_log: Annotated[float, msgspec.Meta(ge=-10, le=0)]
    high_log: _Deviation
    log_sds: Mapping[str, _Deviation]
    cells: _Count
    models: _Count
    runs: _Count
    processes: _Count
    batch_sizes: tuple[_Count, _Count]

    def value(self, number: Number, format_: str = "") -> float:
        """Return a number: seconds of a launch, or a rate; of arithmetic that of one format."""
        if number is Number.ARITHMETIC:
            return self.flops_per_s[format_]
        values = {
            Number.LAUNCHES: self.launch_s,
            Number.MEMORY: self.bytes_per_s,
            Number.COPY: self.copied_bytes_per_s,
        }
        return values[number]

    def within(self, name: str) -> float:
        """Return the factor within which a number is known, in 9 of 10 cases, by its name in `log_sds`."""
        return math.exp(Z90 * self.log_sds[name])

    def slowed(self, number: Number, factor: float, format_: str = "") -> Card:
        """Return the card of a machine whose `number` is this many times slower."""
        if number is Number.LAUNCHES:
            return replace(self, launch_s=self.launch_s * factor)
        if number is Number.MEMORY:
            return replace(self, bytes_per_s=self.bytes_per_s / factor)
        if number is Number.COPY:
            return replace(self, copied_bytes_per_s=self.copied_bytes_per_s / factor)
        rates = {**self.flops_per_s, format_: self.flops_per_s[format_] / factor}
        return replace(self, flops_per_s=rates)

    def impossible(self) -> tuple[str, str] | None:
        """Return the field of a rate that no hardware has, and what is wrong; None if all are possible.

        >>> card = Card("", "", "", "cuda", {}, 1.0, {}, 1e12, 1e10, 0, 0, 0, {}, 8, 2, 1, 1, (1, 8))
        >>> card.impossible()
        ('launch_s', '1 s for a launch, where any host needs 1e-06 to 0.0005 s')
        """
        low, high = LAUNCH_S
        if not low <= self.launch_s <= high:
            problem = f"{self.launch_s:.2g} s for a launch, where any host needs {low:g} to {high:g} s"
            return "launch_s", problem
        rates = [
            *((f"flops_per_s.{name}", rate, MAX_FLOPS_PER_S) for name, rate in self.flops_per_s.items()),
            ("bytes_per_s", self.bytes_per_s, MAX_BYTES_PER_S),
            ("copied_bytes_per_s", self.copied_bytes_per_s, MAX_BYTES_PER_S),
        ]
        for field, rate, limit in rates:
            if not MIN_PER_S <= rate < limit:
                return field, f"{rate:.2g} per second, where any hardware has {MIN_PER_S:g} to {limit:g}"
        return None


def read_card(path: str) -> Card:
    """Read a card's file.

    Raises:
        RunFileError: one line that names file, field and remedy.
    """
    return card_of(load_json(path, REMEDY), path)


def is_card(content: Any) -> bool:
    """Return whether the content of a JSON file is a card."""
    return isinstance(content, dict) and content.get("kind") == KIND


def card_of(content: Any, path: str) -> Card:
    """Return the card that the content of a file describes.

    Raises:
        RunFileError: one line that names file, field and remedy.
    """
    place = Place(path)
    if not is_card(content):
        place.refuse('is not a card (no "kind": "card")', REMEDY)
    place.refuse_newer(place.at("schema").decode(content.get("schema"), _Count, REMEDY))
    stored = place.decode(content, Card, REMEDY)
    missing = {"launches", "memory", "copy", *stored.flops_per_s} - stored.log_sds.keys()
    if missing:
        place.at("log_sds").refuse(f"{one_line(min(missing), 60)} is missing", REMEDY)
    shown = ("name", "hardware", "class_id", "device")
    texts: dict[str, Any] = {field: one_line(getattr(stored, field), 200) for field in shown}
    card = replace(stored, **texts)
    problem = card.impossible()
    if problem is not None:
        place.at(problem[0]).refuse(problem[1], REMEDY)
    return card


def write_card(card: Card, path: Path) -> None:
    """Write a card's file, as text for people and for `git diff`.

    Raises:
        OSError: it cannot be written; the old file is unchanged.
    """
    fields = {name: _rounded(value) for name, value in vars(card).items()}
    content = {"schema": SCHEMA, "kind": KIND, **fields}
    write_whole(path, f"{json.dumps(content, indent=2)}\n".encode())


def shipped_cards() -> dict[str, Path]:
    """Return the files of the cards that come with the package, by name."""
    folder = Path(__file__).parent / "cards"
    return {path.stem: path for path in sorted(folder.glob("*.json"))}


def all_shipped() -> list[Card]:
    """Return the cards that come with the package."""
    return [read_card(str(path)) for path in shipped_cards().values()]


def card_of_class(machine: Mapping[str, Any]) -> Card | None:
    """Return the shipped card of this hardware that agrees in most facts of its class; None without one."""
    alike = [card for card in all_shipped() if not differing_hardware(card, machine)]
    return max(
        alike,
        key=lambda card: sum(card.machine.get(name) == value for name, value in machine.items()),
        default=None,
    )


def differing_hardware(card: Card, machine: Mapping[str, Any]) -> list[str]:
    """Return how the hardware of a card differs from a machine's, as phrases."""
    return [
        f"{name} {one_line(card.machine.get(name), 60)} (here {one_line(machine.get(name), 60)})"
        for name in SAME_HARDWARE
        if card.machine.get(name) != machine.get(name)
    ]


def _rounded(value: Any) -> Any:
    """Return a value with its numbers at four digits; more would be noise."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {name: _rounded(one) for name, one in value.items()}
    return value
