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


def value_text(card: Card, number: Number, slowdown: float = 1.0, format_: str = "") -> str:
    """Return the number of a card as text, `slowdown` times slower."""
    if number is Number.LAUNCHES:
        return f"{fmt.seconds(card.launch_s * slowdown)} per operator"
    if number is Number.ARITHMETIC:
        return fmt.scaled(card.flops_per_s[format_] / slowdown, "FLOP/s")
    rate = card.bytes_per_s if number is Number.MEMORY else card.copied_bytes_per_s
    return fmt.scaled(rate / slowdown, "B/s")


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
