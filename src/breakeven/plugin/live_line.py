"""A line about a run in progress, and when it is due again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Any

from breakeven.format import printable

MAX_SHARE = 0.02
"""The part of the time that a line may take: thousands of cases are estimated while one is measured."""

QUICK_S = 0.02
"""A line that took at most this long may be made at any time."""


class Pace:
    """Decides when a line is due: some time after the last one, more where that took long to make."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._made_at, self._took_s = clock(), 0.0

    def text_if_due(self, make: Callable[[], str], interval_s: float) -> str | None:
        """Return the text, None if too little time has passed."""
        now = self._clock()
        pause_s = self._took_s / MAX_SHARE if self._took_s > QUICK_S else 0.0
        if now - self._made_at < max(interval_s, pause_s):
            return None
        self._made_at, text = now, make()
        self._took_s = self._clock() - now
        return text


class LiveLine:
    """A line that is redrawn on a terminal, and written once in a while elsewhere."""

    def __init__(self, reporter: Any) -> None:
        self._reporter = reporter
        self.is_live = reporter.isatty and not any(map(os.environ.get, ("CI", "BUILD_NUMBER")))
        self._is_drawn = False

    def show(self, line: str) -> None:
        """Draw the line on a terminal, and write it elsewhere."""
        (self.draw if self.is_live else self.write)(line)

    # `write_raw`, because pytest counts the characters of `write` and would wrap the line. The carriage
    # return is written separately, because text that the terminal cannot encode is escaped.
    def draw(self, line: str) -> None:
        """Draw the line in place of the last one, cut to the width of the terminal."""
        columns, line = _columns(), printable(line)
        shown = line if len(line) <= columns else f"{line[: columns - 1]}…"
        self._reporter.write_raw("\r")
        self._reporter.write_raw(shown.ljust(columns), flush=True)
        self._is_drawn = True

    def erase(self) -> None:
        """Leave an empty line."""
        if self._is_drawn:
            self._reporter.write_raw("\r" + " " * _columns() + "\r", flush=True)
            self._is_drawn = False

    def write(self, line: str) -> None:
        """Write a line that stays."""
        self.erase()
        self._reporter.ensure_newline()
        self._reporter.write_line(printable(line))
        self._reporter.flush()  # a pipe would buffer it


def _columns() -> int:
    """Return the width of a line: after the last column some terminals begin a new line."""
    return max(1, shutil.get_terminal_size().columns - 1)
