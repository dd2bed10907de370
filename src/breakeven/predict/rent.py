"""What to rent to settle what a prediction leaves open, and for how many minutes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from breakeven.case import CaseKey
from breakeven.grouping import grouped
from breakeven.phases import HEADLINE
from breakeven.predict.break_even import PredictedBreakEven
from breakeven.predict.cards import Card
from breakeven.predict.cells import PredictedCell
from breakeven.report.speedup import DeviceVerdict

PROCESSES = 5
"""The measuring processes of a run by default."""

SHORT = "--breakeven-sweep=short"
"""The option for the smallest and the largest values of each function alone."""

_START_S, _FIRST_S = 4.0, 8.0  # of each process before its first case; of the first one, to load CUDA
_CASE_S, _WARMUP_S = 0.02, 0.15
_ROUNDS_S = 0.1  # of a case in each process, whose noise needs no more
_CALLS = 6  # of a step that takes long: warm-up and the minimum of rounds
_REFERENCE_CALLS = 1  # on the rented CPU, for the check of the loss


@dataclass(frozen=True)
class Rent:
    """The cells to time on one predicted machine, the seconds that this takes there, and what to run.

    They are those whose band includes 1, and those beside a break-even, between which it is interpolated.
    """

    card: Card
    cells: tuple[PredictedCell, ...]
    seconds: float
    command: str

    @property
    def machine(self) -> str:
        """The name of the card."""
        return self.card.name

    @property
    def file(self) -> str:
        """The name of the file that lists the cases."""
        return cases_file(self.card)

    @property
    def json(self) -> str:
        """The name of the run file that the command writes."""
        return f"{_plain(self.card)}.json"

    @property
    def cases(self) -> tuple[str, ...]:
        """The cases to time there, as ``BREAKEVEN_CASES`` lists them."""
        return tuple(CaseKey(one.cell, HEADLINE, self.card.device).label() for one in self.cells)

    @property
    def minutes(self) -> int:
        """The minutes to rent it for, rounded up; an estimate."""
        return max(1, -int(-self.seconds // 60))


def rents(cards: Iterable[Card], lines: Iterable[PredictedBreakEven], pytest: Sequence[str]) -> list[Rent]:
    """Return what to rent for the cells in question; nothing where there are none.

    Args:
        cards: the predicted machines.
        lines: their break-evens.
        pytest: the benchmarks and the options that collect the cells.
    """
    members = grouped((line.machine, one) for line in lines for one in in_question(line))
    return [
        Rent(card, tuple(cells), seconds_for(cells), _command(card, pytest))
        for card in cards
        if (cells := members.get(card.name))
    ]


def in_question(line: PredictedBreakEven) -> list[PredictedCell]:
    """Return the cells to time for a break-even: undecided ones, and those beside its range."""
    ends = [end for end in (line.low, line.high) if end is not None]
    below = {max((batch for batch in line.batches if batch <= end), default=None) for end in ends}
    above = {min((batch for batch in line.batches if batch >= end), default=None) for end in ends}
    return [
        one for one in line.cells if one.verdict is DeviceVerdict.UNDECIDED or one.batch_size in below | above
    ]


def seconds_for(cells: Sequence[PredictedCell]) -> float:
    """Return about how long the cells' training steps take to time, in all processes of a run.

    It follows the rules by which a run's own estimate adds calls, warm-up and rounds, for the longest step of
    each band.
    """
    case_s = sum(_CASE_S + max(_WARMUP_S + _ROUNDS_S, _CALLS * one.high_s) for one in cells)
    reference_s = sum(_REFERENCE_CALLS * one.baseline_s for one in cells)
    return _FIRST_S + PROCESSES * (_START_S + case_s) + reference_s


def cases_file(card: Card) -> str:
    """Return the name of a card's list of cases; the card's own name may be any text.

    >>> from types import SimpleNamespace
    >>> cases_file(SimpleNamespace(name="../h100 16core"))
    'cases-.._h100_16core.txt'
    """
    return f"cases-{_plain(card)}.txt"


def _command(card: Card, pytest: Sequence[str]) -> str:
    """Return the command that times a list of cells there."""
    options = [f"--breakeven-devices={card.device}", f"--breakeven-phases={HEADLINE}"]
    line = shlex.join(["pytest", *pytest, *options, f"--benchmark-json={_plain(card)}.json"])
    return f"BREAKEVEN_CASES={cases_file(card)} {line}"


def _plain(card: Card) -> str:
    return re.sub(r"[^\w.+-]", "_", card.name, flags=re.ASCII)
