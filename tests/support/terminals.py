"""The terminal output of a report, for all tests that read it."""

import io

from rich.console import Console

from breakeven.render.report_terminal import renderables
from breakeven.render.terminal import WIDTH


def terminal_lines(found, width=WIDTH):
    """What a terminal of that width shows."""
    console = Console(file=io.StringIO(), width=width, markup=False, highlight=False)
    for item in renderables(found):
        console.print(item)
    return console.file.getvalue()


def terminal(found, width=WIDTH):
    """The same, as one line."""
    return " ".join(terminal_lines(found, width).split())
