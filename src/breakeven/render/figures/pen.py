"""Draws in points from the top left, and measures texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from breakeven import format as fmt
from breakeven.render.figures.drawing import empty_figure, text_width
from breakeven.render.figures.style import INK, NORMAL

_MUTED = 0.7
EDGE = 4.0
"""The margin at each side, in points."""


class Pen:
    """Collects what to draw on a figure of a known width; `y` is the lowest used place."""

    def __init__(self, width: float) -> None:
        self.width = width
        self.y = 0.0
        self._artists: list[Artist] = []

    def text(
        self, x: float, y: float, text: str, *, bold: bool = False, muted: bool = False, **style: Any
    ) -> None:
        """Write a text on a base line."""
        if text:
            look = {"color": INK, "fontweight": "bold" if bold else "normal", "alpha": _MUTED if muted else 1}
            self._artists.append(Text(x, y, text, va="baseline", fontsize=NORMAL, **(look | style)))

    def bar(self, x: tuple[float, float], middle: float, height: float, **style: Any) -> None:
        """Fill a bar around a horizontal line."""
        self._artists.append(Rectangle((x[0], middle - height / 2), x[1] - x[0], height, **style))

    def line(self, x: Sequence[float], y: Sequence[float], **style: Any) -> None:
        """Draw a line, or markers."""
        self._artists.append(Line2D(x, y, **style))

    def width_of(self, text: str, *, bold: bool = False) -> float:
        """Return the width of a text."""
        return text_width(text, NORMAL, bold=bold)

    def longest(self, texts: Sequence[str], *, bold: bool = False) -> float:
        """Return the width of the widest text."""
        return max(self.width_of(text, bold=bold) for text in texts)

    def fitted(self, text: str, width: float, *, bold: bool = False) -> str:
        """Return a text, its middle left out as far as it is too wide."""
        limit = len(text)
        while limit > 4 and self.width_of(text, bold=bold) > width + 0.5:
            limit -= 1
            text = fmt.shortened(text, limit)
        return text

    def wrapped(self, text: str, room: float = math.inf, *, bold: bool = False) -> list[str]:
        """Return a text as lines of this width, at most that of the figure."""
        room = min(room, self.width - 2 * EDGE)
        lines = [""]
        for word in text.split():
            longer = f"{lines[-1]} {word}".strip()
            if lines[-1] and self.width_of(longer, bold=bold) > room:
                lines.append(word)
            else:
                lines[-1] = longer
        return [self.fitted(line, room, bold=bold) for line in lines]

    def figure(self, watermark: str) -> Figure:
        """Return what was drawn as a figure."""
        height = self.y + EDGE
        figure = empty_figure(watermark, self.width, height)
        ax = figure.add_axes((0, 0, 1, 1))
        ax.set_axis_off()
        ax.set_xlim(0, self.width)
        ax.set_ylim(height, 0)
        for artist in self._artists:
            artist.set_clip_on(False)
            ax.add_artist(artist)
        return figure
