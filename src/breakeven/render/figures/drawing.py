"""The common parts of every figure: a title, a legend, notes and an alternative text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from breakeven import format as fmt
from breakeven.render.figures.style import NORMAL, PAPER_ID, drawing
from breakeven.report.report import Report

WIDTH = 5.9
"""Inches: on a phone, at two thirds of the size, the smallest font is still legible."""

WATERMARK = "not comparable (forced)"

Data = TypeVar("Data")


@dataclass(frozen=True)
class Drawing(Generic[Data]):
    """A figure: its title, its caption, and how it is drawn from a report.

    `select` returns the data, empty if there is none; `plot` and `text` turn it into a figure and a
    description; `nothing` returns why there is no figure.
    """

    title: str
    caption: str
    select: Callable[[Report], Data]
    plot: Callable[[Report, Data], Figure]
    text: Callable[[Report, Data], str]
    nothing: Callable[[Report], str]

    def draw(self, report: Report) -> Figure | None:
        """Return the figure, None where there is nothing to draw."""
        data = self.select(report)
        if not data:
            return None
        with drawing():
            return self.plot(report, data)

    def describe(self, report: Report) -> str:
        """Return the description, with numbers, or why there is no figure."""
        data = self.select(report)
        return self.text(report, data) if data else self.nothing(report)


def new_figure(
    report: Report,
    height: float,
    title: str,
    *,
    handles: Sequence[Artist] = (),
    notes: Sequence[str] = (),
    x_label: str = "",
    y_label: str = "",
) -> Figure:
    """Return a figure without axes; `height` is in inches, without title, legend and notes."""
    columns = max(1, 84 // max([len(str(handle.get_label())) + 7 for handle in handles], default=84))
    rows = -(-len(handles) // columns)
    bottom = [x_label] if x_label else []
    height += 0.5 + 0.17 * (rows + len(notes) + len(bottom))
    figure = empty_figure(report, WIDTH, height)
    figure.set_layout_engine("constrained")
    # The layout reserves room for a legend or a title, not for both: the legend leaves a line for the title.
    figure.text(
        0.012, 1 - 0.05 / height, fmt.shortened(title, 64), va="top", fontsize=NORMAL + 1, fontweight="bold"
    )
    figure.legend(
        handles=list(handles),
        title=f"\n{machine_text(report)}",
        alignment="left",
        loc="outside upper left",
        borderpad=0.6,
        ncols=columns,
        borderaxespad=0,
        labelspacing=0.3,
        columnspacing=1.2,
    )
    if bottom or notes:
        figure.supxlabel("\n".join([*bottom, *notes]))
    if y_label:
        figure.supylabel(y_label)
    return figure


def notice(report: Report, text: str) -> Figure:
    """Return a placeholder that shows why there is no figure."""
    with drawing():
        figure = empty_figure(report, WIDTH, 2.0)
        figure.text(0.5, 0.5, text, ha="center", va="center", fontsize=11)
        return figure


def and_list(parts: Sequence[str]) -> str:
    """Return the first four parts as one clause.

    >>> and_list(["a", "b"]), and_list(list("abcdef"))
    ('a; b', 'a; b; c; d; and 2 more')
    """
    return fmt.joined([fmt.one_line(part, 300) for part in parts], 4, "; ")


def missing_note(missing: int, noun: str = "model") -> list[str]:
    """Return a note on how many more are in the table, if there are any."""
    are = "is" if missing == 1 else "are"
    return [f"{fmt.plural(missing, f'more {noun}')} {are} in the table (summary.csv)."] if missing else []


def empty_figure(report: Report, width: float, height: float) -> Figure:
    """Return a figure of this size in inches, with a watermark if its numbers are not to be used."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    figure.patch.set_gid(PAPER_ID)
    if report.forced:
        _mark_forced(figure)
    return figure


def machine_text(report: Report) -> str:
    """Return the label of the machine, or the number of machines."""
    labels = [machine.label for machine in report.machines]
    return fmt.shortened(labels[0], 80) if len(labels) == 1 else f"{len(labels)} machines"


def _mark_forced(figure: Figure) -> None:
    style: Any = {
        "fontsize": 33 * figure.get_figwidth() / WIDTH,
        "fontweight": "bold",
        "color": "#808080",
        "alpha": 0.2,
        "zorder": 20,
    }
    count = max(1, round(figure.get_figheight() / 4))
    for place in range(count):
        figure.text(0.5, (place + 0.5) / count, WATERMARK, rotation=24, ha="center", va="center", **style)
