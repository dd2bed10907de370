"""The answer: what a person would say after reading the report, in at most two lines and 220 characters."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MAX_LINES = 2
MAX_CHARACTERS = 220


class Trust(StrEnum):
    """How far the answer can be trusted.

    - FIT: nothing speaks against it
    - LIMITED: one process, an interrupted run, or some disturbed cells; the answer mentions it
    - UNFIT: the machine was disturbed, so that the answer is that there is none
    """

    FIT = "fit"
    LIMITED = "limited"
    UNFIT = "unfit"


@dataclass(frozen=True)
class Answer:
    """One or two `lines`, how far to trust them, and `notes`: further sentences, in the order of need."""

    lines: tuple[str, ...]
    trust: Trust = Trust.FIT
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines)
