"""A figure laid out in inches from its top left corner.

Owns where things stand: the head with title and legend, panels, the foot with its notes, the watermark. Sizes
are known before anything is drawn, which is many times faster than asking every text for its extent. Knows
no scale and no line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from breakeven.render.figures.style import INK, NORMAL, PAPER_ID, SMALL, fitted, text_width
from breakeven.report.report import Report

WIDTH = 5.9
"""Inches: on a telephone this is shown at two thirds of its size, which the smallest type survives."""

EDGE = 0.1
LINE = 0.165
"""Inches that a line of text takes."""

WATERMARK = "not comparable (forced)"


@dataclass(frozen=True)
class Head:
    """What stands above the panels: a title, the machines, and a legend of handles that carry labels."""

    title: str
    handles: Sequence[Artist] = field(default=())
    width: float = WIDTH

    @property
    def columns(self) -> int:
        """How many entries of the legend stand side by side."""
        widest = max((text_width(str(handle.get_label())) for handle in self.handles), default=0.0)
        return max(1, min(len(self.handles), int((self.width - 2 * EDGE) / (widest + 0.55))))

    @property
    def height(self) -> float:
        """In inches."""
        rows = math.ceil(len(self.handles) / self.columns)
        return 0.08 + 0.2 + LINE + (0.05 + 0.17 * rows if rows else 0) + 0.04


class Sheet:
    """A figure of a given size in inches; everything is placed by its distance from the top left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width, height))
        FigureCanvasAgg(self.figure)
        self.figure.patch.set_gid(PAPER_ID)

    def panel(self, left: float, top: float, width: float, height: float) -> Axes:
        """Return new axes there."""
        bottom = self.height - top - height
        ax = self.figure.add_axes(
            (left / self.width, bottom / self.height, width / self.width, height / self.height)
        )
        ax.patch.set_visible(False)
        return ax

    def text(self, left: float, top: float, text: str, size: float = SMALL, **properties: Any) -> None:
        """Write a line there."""
        style: dict[str, Any] = {"ha": "left", "va": "top", "fontsize": size, **properties}
        self.figure.text(left / self.width, 1 - top / self.height, text, **style)

    def head(self, head: Head, report: Report) -> None:
        """Write the head at the top, with the labels of the machines below the title."""
        room = self.width - 2 * EDGE
        labels = [machine.label for machine in report.machines]
        machines = labels[0] if len(labels) == 1 else f"{len(labels)} machines"
        self.text(EDGE, 0.08, fitted(head.title, room, NORMAL + 1, bold=True), NORMAL + 1, fontweight="bold")
        self.text(EDGE, 0.28, fitted(machines, room))
        if not head.handles:
            return
        self.figure.legend(
            handles=list(head.handles),
            loc="upper left",
            bbox_to_anchor=(EDGE / self.width, 1 - (0.28 + LINE + 0.05) / self.height),
            ncols=head.columns,
            frameon=False,
            borderpad=0,
            borderaxespad=0,
            labelspacing=0.3,
            columnspacing=1.2,
            handletextpad=0.5,
        )

    def titles(self, left: float, bottom: float, lines: Sequence[str], inches: float) -> None:
        """Write the lines above a panel, the first one bold, the last one just above `bottom`."""
        for place, line in enumerate(lines):
            first = place == 0
            text = fitted(line, inches, NORMAL if first else SMALL, bold=first)
            top = bottom - LINE * (len(lines) - place) + 0.02
            weight = "bold" if first else "normal"
            self.text(left, top, text, NORMAL if first else SMALL, fontweight=weight)

    def title(self, left: float, bottom: float, lines: Sequence[str], inches: float) -> None:
        """Write what `titles` does in a single line."""
        first = fitted(lines[0], inches * 0.6, NORMAL, bold=True)
        used = text_width(first, NORMAL, bold=True) + 0.12
        top = bottom - LINE + 0.02
        self.text(left, top, first, NORMAL, fontweight="bold")
        self.text(left + used, top + 0.012, fitted(", ".join(lines[1:]), inches - used))

    def side(self, top: float, height: float, text: str, left: float = 0.06) -> None:
        """Write what y is, upright beside panels that reach down from `top`."""
        middle = top + height / 2
        self.text(left, middle, text, NORMAL, rotation=90, va="center")

    def notes(self, lines: Sequence[str]) -> None:
        """Write the notes at the very bottom."""
        for place, line in enumerate(lines):
            top = self.height - 0.05 - LINE * (len(lines) - place)
            self.text(EDGE, top, fitted(line, self.width - 2 * EDGE))

    def finished(self, report: Report) -> Figure:
        """Return the figure, marked all over where the comparison was forced."""
        if report.forced:
            size = 5.6 * self.width
            count = max(1, round(self.height / 4))
            for place in range(count):
                self.figure.text(
                    0.5,
                    (place + 0.5) / count,
                    WATERMARK,
                    fontsize=size,
                    fontweight="bold",
                    color="#808080",
                    alpha=0.2,
                    rotation=24,
                    ha="center",
                    va="center",
                    zorder=20,
                )
        return self.figure


def notes_height(lines: Sequence[str]) -> float:
    """Return how much room notes take at the bottom."""
    return 0.1 + LINE * len(lines)


def notice(report: Report, text: str) -> Figure:
    """Return a figure that says why there is none."""
    sheet = Sheet(WIDTH, 2.0)
    sheet.text(WIDTH / 2, 1.0, text, 11, ha="center", va="center", color=INK)
    return sheet.finished(report)


def missing_note(missing: int, noun: str = "model") -> list[str]:
    """Return the note that more of something is in the table, where it is."""
    if not missing:
        return []
    are = f"{noun} is" if missing == 1 else f"{noun}s are"
    return [f"{missing} more {are} in the table (summary.csv)."]
