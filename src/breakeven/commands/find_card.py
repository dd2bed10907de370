"""Finds a card: by the name of a shipped one, in a card's file, or fitted to run files."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from breakeven.commands.base import notify, status
from breakeven.errors import UsageError
from breakeven.format import joined, one_line
from breakeven.grouping import grouped

if TYPE_CHECKING:
    from breakeven.predict.cards import Card
    from breakeven.runs.reader import Runs


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
    from breakeven.predict.cards import REMEDY, card_of, read_card, shipped_cards
    from breakeven.runs import reader
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
    content = load_json(name, f"give a card or a run file; {REMEDY}")
    if "benchmarks" not in mapping(content):
        return card_of(content, name)
    return fitted(reader.read([name]), bench, _label(Path(name)))


def fitted(runs: Runs, bench: str | None, name: str, device: str | None = None) -> Card:
    """Return the card of a machine's runs, and print the reader's warnings and what it does not rest on.

    Raises:
        UsageError: as `fit_card`, or `bench` does not exist.
        DifferentMachinesError: the runs are of several machine classes.
    """
    from breakeven.commands.counted import counted
    from breakeven.predict.fit import fit_card
    from breakeven.report.text import model_names

    for warning in runs.warnings:
        notify(f"warning: {warning}")
    counts = counted(runs, bench)
    names = model_names(cell.model for cell in (*counts.of, *counts.unknown))
    reasons = grouped((why, names[cell.model]) for cell, why in counts.unknown.items())
    for why, models in reasons.items():
        notify(f"not in the card: {joined(models, separator='; ')}: {why}")
    with status("fitting the card"):
        return fit_card(runs.runs, counts.of, name, device)


def _label(path: Path) -> str:
    """Return the name of the machine that measured a run: of its file, or of its folder for ``run.json``.

    >>> _label(Path("results/h100-16core/run.json")), _label(Path("h100.json"))
    ('h100-16core', 'h100')
    """
    folder = path.resolve().parent.name
    return folder if path.stem == "run" and folder else path.stem
