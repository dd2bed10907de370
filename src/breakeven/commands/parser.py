"""How every door of the command reads its arguments: help that fits the terminal, complaints of one line.

Owns what argparse does otherwise by default. Refuses to know any command's own arguments.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from functools import partial
from typing import Any, NoReturn

from breakeven.errors import UsageError

WIDEST = 100
"""Columns; longer lines are hard to read in the widest terminal."""


class Parser(argparse.ArgumentParser):
    """An argument parser that raises what argparse prints with its usage, for the door to say in a line.

    Descriptions and epilogs are printed as they are written, so they are written to fit 80 columns.
    """

    def __init__(self, **settings: Any) -> None:
        width = min(shutil.get_terminal_size().columns, WIDEST) - 2  # argparse leaves two columns free
        raw = partial(argparse.RawDescriptionHelpFormatter, width=width)
        super().__init__(**{"formatter_class": raw, **settings})

    def parse_known_args(  # type: ignore[override]  # which declares an overload for every type of namespace
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Refuse here what this parser does not know: argparse leaves it to the outermost one.

        Raises:
            UsageError: naming the first such argument.
        """
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            kind = "option" if unknown[0].startswith("-") else "argument"
            self.error(f"unknown {kind} {unknown[0]!r}")
        return known, unknown

    def error(self, message: str) -> NoReturn:
        """Raise what was wrong, and where it is told how it goes.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{message}; `{self.prog} --help` tells what there is")
