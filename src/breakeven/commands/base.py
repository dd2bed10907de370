"""What a subcommand is, its exit codes, and how it prints.

Owns what every command shares. Imports nothing heavy: a command loads what it needs when it runs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.status import Status

INTERRUPTED = 130
"""The exit code of a command that Ctrl-C or a signal stopped."""

OK, OBJECTION, UNUSABLE, NOT_JUDGED = 0, 1, 2, 3
"""Exit codes: nothing to object; a confirmed regression, or a failed self-test; bad usage or input; nothing
could be judged, or a machine that is not fit for it."""


@dataclass(frozen=True)
class Command:
    """A subcommand: its name, what it is for in a line, its arguments, and what runs it to an exit code."""

    name: str
    summary: str
    epilog: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def status(text: str) -> Status:
    """Say on standard error what takes a while, and only where somebody is watching."""
    from rich.console import Console

    return Console(stderr=True, highlight=False).status(text)


def show(items: Iterable[RenderableType]) -> None:
    """Print what rich renders, at most as wide as our tables are."""
    from rich.console import Console

    from breakeven.render.terminal import WIDTH

    # A pipe has no width of its own, and a wide terminal makes no table easier to read.
    width = min(Console().width, WIDTH) if sys.stdout.isatty() else WIDTH
    console = Console(width=width, highlight=False, markup=False, emoji=False)
    for item in items:
        console.print(item)


def version() -> str:
    """Return the version of this breakeven; the metadata of packages is slow to load."""
    from importlib.metadata import version

    return version("breakeven")
