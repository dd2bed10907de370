"""The four numbers of a card, by name: what each is here, and the card of a machine where one is slower."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from breakeven import format as fmt
from breakeven.predict.cards import Card


class Number(StrEnum):
    """A number of a card, by its name in `Card.log_sds`."""

    LAUNCHES = "launches"
    ARITHMETIC = "arithmetic"
    MEMORY = "memory"
    COPY = "copy"


UNITS = {Number.LAUNCHES: "s", Number.ARITHMETIC: "FLOP/s", Number.MEMORY: "B/s", Number.COPY: "B/s"}
"""Of launches the host's seconds for each, of the others rates."""


def value(card: Card, number: Number, format_: str = "") -> float:
    """Return a number of a card, in its unit; of arithmetic that of one format."""
    if number is Number.ARITHMETIC:
        return card.flops_per_s[format_]
    values = {
        Number.LAUNCHES: card.launch_s,
        Number.MEMORY: card.bytes_per_s,
        Number.COPY: card.copied_bytes_per_s,
    }
    return values[number]


def value_text(number: Number, amount: float) -> str:
    """Return an amount of a number's unit as text."""
    return fmt.seconds(amount) if number is Number.LAUNCHES else fmt.scaled(amount, UNITS[number])


def slowed(card: Card, number: Number, factor: float, format_: str = "") -> Card:
    """Return the card of a machine whose `number` is slower; of arithmetic that of one format."""
    if number is Number.LAUNCHES:
        return replace(card, launch_s=card.launch_s * factor)
    if number is Number.ARITHMETIC:
        rates = {**card.flops_per_s, format_: card.flops_per_s[format_] / factor}
        return replace(card, flops_per_s=rates)
    if number is Number.MEMORY:
        return replace(card, bytes_per_s=card.bytes_per_s / factor)
    return replace(card, copied_bytes_per_s=card.copied_bytes_per_s / factor)
