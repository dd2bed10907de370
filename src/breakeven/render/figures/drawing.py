"""What every figure shares: its title and texts, an empty sheet with a watermark, and notes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar

from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from breakeven import format as fmt
from breakeven.render.figures.style import PAPER_ID, PRINT_DPI, SMALL, drawing
from breakeven.report.answer import Trust
from breakeven.report.report import Report

SUMMARY = "summary.csv"
"""The file with every case of a report."""

FORCED, UNFIT = "not comparable (forced)", "not to be trusted"
"""Watermarks."""

_POINTS = 72  # in an inch
_COLUMN = 5.9  # inches
_RENDERER: Any = RendererAgg(1, 1, PRINT_DPI)  # type: ignore[no-untyped-call]

Data = TypeVar("Data")


@dataclass(frozen=True)
class Drawing(Generic[Data]):
    """A figure: its title, its caption, and how it is drawn from a report.

    `diamond` ends the caption where `has_diamond` of the data is true: it explains that marker.

    `select` returns the data, empty if there is nothing to draw; `plot` and `text` turn it into a figure and
    its alternative text, which has the numbers. `column` is the width in points of its columns, which a
    narrow screen shows below each other.
    """

    title: str
    caption: str
    select: Callable[[Report], Data]
    plot: Callable[[Report, Data], Figure]
    text: Callable[[Report, Data], str]
    column: float | None = None
    diamond: str = ""
    has_diamond: Callable[[Report, Data], bool] | None = None

    def full_caption(self, report: Report) -> str:
        """Return the caption, which explains only what the figure shows."""
        data = self.select(report)
        has_diamond = bool(data) and self.has_diamond is not None and self.has_diamond(report, data)
        return f"{self.caption} {self.diamond}" if has_diamond else self.caption

    def draw(self, report: Report) -> Figure | None:
        """Return the figure, None where there is nothing to draw."""
        data = self.select(report)
        if not data:
            return None
        with drawing():
            return self.plot(report, data)

    def describe(self, report: Report) -> str:
        """Return the alternative text, empty where there is nothing to draw."""
        data = self.select(report)
        return self.text(report, data) if data else ""


def watermark(report: Report) -> str:
    """Return the watermark of a report whose numbers are not to be used, empty where they are."""
    if report.forced:
        return FORCED
    return UNFIT if report.answer.trust is Trust.UNFIT else ""


def empty_figure(mark: str, width: float, height: float) -> Figure:
    """Return a figure of this size in points, with a watermark, which may be empty."""
    figure = Figure(figsize=(width / _POINTS, height / _POINTS))
    FigureCanvasAgg(figure)
    figure.patch.set_gid(PAPER_ID)
    if mark:
        _watermark(figure, mark)
    return figure


@lru_cache(maxsize=4096)
def text_width(text: str, size: float = SMALL, *, bold: bool = False) -> float:
    """Return the width of a text in points."""
    if not text:
        return 0.0
    font = FontProperties(family="DejaVu Sans", size=size, weight="bold" if bold else "normal")
    pixels, *_ = _RENDERER.get_text_width_height_descent(text, font, ismath=False)
    return float(pixels) * _POINTS / PRINT_DPI


def machine_text(report: Report) -> str:
    """Return the label of the machine, or the number of machines."""
    labels = [machine.label for machine in report.machines]
    return fmt.shortened(labels[0], 80) if len(labels) == 1 else f"{len(labels)} machines"


def and_list(parts: Sequence[str], limit: int = 4) -> str:
    """Return the first parts as one clause.

    >>> and_list(["a", "b"]), and_list(list("abcdef"))
    ('a; b', 'a; b; c; d; and 2 more')
    """
    return fmt.joined([fmt.one_line(part, 300) for part in parts], limit, "; ")


def missing_note(missing: int, noun: str = "model", file: str = SUMMARY) -> list[str]:
    """Return a note on how many more are in the table, if there are any."""
    are = "is" if missing == 1 else "are"
    return [f"{fmt.plural(missing, f'more {noun}')} {are} in the table ({file})."] if missing else []


def _watermark(figure: Figure, text: str) -> None:
    """Write the text across the figure, in each half of a wide one, which a phone shows one by one."""
    width, height = figure.get_size_inches()
    style: Any = {"fontsize": 20, "fontweight": "bold", "color": "#808080", "alpha": 0.2, "zorder": 20}
    columns, rows = max(1, round(width / _COLUMN)), max(1, round(height / 3))
    for column in range(columns):
        for row in range(rows):
            place = (column + 0.5) / columns, (row + 0.5) / rows
            figure.text(*place, text, rotation=24, ha="center", va="center", **style)
