"""Finds cards: by the name of a shipped one, from a card's file, or fitted to a run file on the spot."""

from __future__ import annotations

import difflib
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


def all_shipped() -> list[Card]:
    """Return the cards that come with breakeven."""
    from breakeven.predict.cards import read_card, shipped_cards

    return [read_card(str(path)) for path in shipped_cards().values()]


def find_card(name: str, bench: str | None = None, option: str = "--on") -> Card:
    """Return a card that comes with breakeven, one of a file, or one fitted to a run file.

    Args:
        name: the name of the first, or the path of one of the others.
        bench: the benchmarks of a run file without counts; None for those of its command.
        option: the one that names it, for errors.

    Raises:
        UsageError: it is neither a name nor a file, or no card can be fitted to the run.
        RunFileError: the file is neither a card nor a run.
    """
    from breakeven.predict.cards import card_of, read_card, shipped_cards
    from breakeven.runs.json_files import load_json, mapping

    shipped = shipped_cards()
    if name in shipped:
        return read_card(str(shipped[name]))
    if not os.path.isfile(name):  # noqa: PTH113 - any text
        similar = difflib.get_close_matches(name, shipped, n=1)
        hint = f"did you mean {similar[0]!r}?" if similar else f"choose from {joined(list(shipped), 12)}"
        raise UsageError(
            f"{option} {one_line(name, 100)!r}: neither a card that comes with breakeven nor a file; {hint}"
            f"{'' if similar else ', or give a card file or a run file of the machine'}"
        )
    content = load_json(name)
    return _fitted(name, bench) if "benchmarks" in mapping(content) else card_of(content, name)


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


def _fitted(path: str, bench: str | None) -> Card:
    from breakeven.commands.counted import counted
    from breakeven.predict.fit import fit_card
    from breakeven.runs import reader

    runs = reader.read([path])
    return fit_card(runs.runs, counted(runs, bench).of, _label(Path(path)))


def _label(path: Path) -> str:
    """Return the name of the machine that measured a run: of its file, or of its folder for ``run.json``.

    >>> _label(Path("results/h100-16core/run.json")), _label(Path("h100.json"))
    ('h100-16core', 'h100')
    """
    folder = path.resolve().parent.name
    return folder if path.stem == "run" and folder else path.stem
