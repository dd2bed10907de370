"""A figure on which everything is placed in points from the top left.

Matplotlib's own layout would take most of the time of a figure of many panels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from breakeven.render.figures.drawing import empty_figure, watermark
from breakeven.render.figures.style import SMALL
from breakeven.report.report import Report

_LEGEND_CHARACTERS = 60  # in a row of a legend
_HANDLE_CHARACTERS = 8


class Sheet:
    """A figure of this width and height in points."""

    def __init__(self, report: Report, width: float, height: float) -> None:
        self.figure = empty_figure(watermark(report), width, height)
        self._width, self._height = width, height

    def write(self, x: float, y: float, text: str, **style: object) -> None:
        """Write a text below a point and to its right."""
        place = x / self._width, 1 - y / self._height
        self.figure.text(*place, text, **{"va": "top", "fontsize": SMALL, **style})  # type: ignore[arg-type]

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Return new axes, whose top left is a point."""
        left, bottom = x / self._width, 1 - (y + height) / self._height
        ax: Axes = self.figure.add_axes((left, bottom, width / self._width, height / self._height))
        return ax

    def patch(self, x: float, y: float, width: float, height: float, color: Any) -> None:
        """Draw a filled rectangle, whose top left is a point."""
        corner = x / self._width, 1 - (y + height) / self._height
        size = width / self._width, height / self._height
        self.figure.add_artist(Rectangle(corner, *size, facecolor=color, edgecolor="none"))

    def legend(self, x: float, y: float, handles: Sequence[Artist]) -> None:
        """Draw a legend below a point."""
        if handles:
            self.figure.legend(
                handles=list(handles),
                loc="upper left",
                bbox_to_anchor=(x / self._width, 1 - y / self._height),
                ncols=legend_size(handles)[0],
                borderpad=0.5,
                borderaxespad=0,
                labelspacing=0.3,
                columnspacing=1.2,
            )


def legend_size(handles: Sequence[Artist]) -> tuple[int, int]:
    """Return the number of columns and rows of a legend."""
    longest = max((len(str(handle.get_label())) for handle in handles), default=0)
    columns = max(1, _LEGEND_CHARACTERS // (longest + _HANDLE_CHARACTERS))
    return columns, -(-len(handles) // columns)
