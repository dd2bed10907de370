"""The terminal output of a report, for all tests that read it."""

import io

from rich.console import Console

from breakeven.render.report_terminal import renderables
from breakeven.render.terminal import WIDTH


def terminal(found, width=WIDTH):
    """What a terminal of that width shows, as one line."""
    console = Console(file=io.StringIO(), width=width, markup=False, highlight=False)
    for item in renderables(found):
        console.print(item)
    return " ".join(console.file.getvalue().split())
