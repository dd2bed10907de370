"""How the command and its subcommands read their arguments: with help that fits the terminal.

Owns what argparse does otherwise by default. Refuses to know any command's own arguments.
"""

from __future__ import annotations

import argparse
import shutil
from functools import partial
from typing import Any

WIDEST = 100
"""Columns; longer lines are hard to read in the widest terminal."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose help is as wide as the terminal, up to a limit.

    Descriptions and epilogs are printed as they are written, so they are written to fit 80 columns.
    """

    def __init__(self, **settings: Any) -> None:
        width = min(shutil.get_terminal_size().columns, WIDEST) - 2  # argparse leaves two columns free
        raw = partial(argparse.RawDescriptionHelpFormatter, width=width)
        super().__init__(**{"formatter_class": raw, **settings})
