"""Finds cards: by the name of a shipped one, from a card's file, or fitted to a run file on the spot."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from breakeven.errors import UsageError
from breakeven.format import joined, one_line

if TYPE_CHECKING:
    from breakeven.predict.cards import Card

SAME_HARDWARE = ("gpu", "gpu_count", "cpu", "cores")
"""The facts of a machine on which its card's numbers depend most; that of launches belongs to the host."""


def find_card(text: str, bench: str | None = None, option: str = "--on") -> Card:
    """Return the card that a user names.

    Args:
        text: the name of a shipped card, or the path of a card's file or of a run file.
        bench: the benchmarks of a run file without counts; None for those of its command.
        option: the one that names it.

    Raises:
        UsageError: it is neither a name nor a file.
        RunFileError: the file is neither a card nor a run.
    """
    from breakeven.predict.cards import read_card, shipped_cards
    from breakeven.runs.json_files import load_json, mapping

    shipped = shipped_cards()
    if text in shipped:
        return read_card(str(shipped[text]))
    if not os.path.isfile(text):  # noqa: PTH113 - accepts any text
        raise UsageError(
            f"{option} {one_line(text, 200)!r}: neither a card that comes with breakeven nor a file; "
            f"choose from {joined(list(shipped), 12) or 'no cards'}, or give a card file or a run file of "
            "the machine"
        )
    if "benchmarks" not in mapping(load_json(text)):
        return read_card(text)
    return _fitted(text, bench)


def card_of_class(machine: Mapping[str, Any]) -> Card | None:
    """Return the shipped card of this hardware that agrees in most facts of its class; None without one."""
    from breakeven.predict.cards import read_card, shipped_cards

    cards = [read_card(str(path)) for path in shipped_cards().values()]
    alike = [card for card in cards if not differing_hardware(card, machine)]
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


def _fitted(path: str, bench: str | None) -> Card:
    from breakeven.commands.counted import counted
    from breakeven.predict.fit import fit_card
    from breakeven.runs.reader import read

    runs = read([path])
    return fit_card(runs.runs, counted(runs, bench).of, Path(path).stem, None)
