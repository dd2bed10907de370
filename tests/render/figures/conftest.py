"""Functions that read a drawn figure."""

from functools import partial
from types import SimpleNamespace

import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text

from breakeven.render.figures.style import INK
from support import reports


def _texts(figure):
    """Every text of the figure and its panels, line by line."""
    figure.draw_without_rendering()
    shown = [text for text in figure.findobj(Text) if text.get_visible()]
    return [line for text in shown for line in text.get_text().split("\n") if line.strip()]


def _lines(ax, color, gid="line"):
    """The (x, y) of every line of that color and kind."""
    found = [line for line in ax.get_lines() if line.get_color() == color and line.get_gid() == gid]
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in found]


def _markers(ax, marker):
    """The (x, y, face) of every drawn marker of that kind."""
    return [
        (x, y, to_hex(line.get_markerfacecolor()))
        for line in ax.get_lines()
        if line.get_marker() == marker
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    ]


def _ticks(axis):
    """The visible labels of an axis by text, with their places."""
    axis.figure.draw_without_rendering()
    low, high = sorted(axis.get_view_interval())
    shown = [tick for tick in axis.get_major_ticks() if tick.label1.get_visible()]
    return {tick.label1.get_text(): tick.get_loc() for tick in shown if low <= tick.get_loc() <= high}


def _legend(figure):
    """The entries of the legend."""
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def _labels(ax):
    """The labels at the ends of lines."""
    return [text.get_text() for text in ax.texts if text.get_gid() == "label"]


def _boxes(figure):
    """The (text, box) of every text that is drawn, but not of watermarks."""
    figure.draw_without_rendering()
    outside = {
        id(tick.label1)
        for ax in figure.axes
        for axis in (ax.xaxis, ax.yaxis)
        for tick in axis.get_major_ticks()
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    }
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return [
        (text.get_text(), text.get_window_extent())
        for text in texts
        if id(text) not in outside and not text.get_alpha()
    ]


@pytest.fixture(scope="session")
def boxes_of():
    """Return the function that draws a figure and returns the (text, box) of each of its texts."""
    return _boxes


@pytest.fixture
def look():
    """Return functions that read a drawn figure."""
    return SimpleNamespace(
        texts=_texts,
        lines=_lines,
        markers=_markers,
        ticks=_ticks,
        legend=_legend,
        labels=_labels,
        boxes=_boxes,
        ink=INK,
    )


@pytest.fixture
def report(tmp_path):
    """Return a function that analyzes the contents of run files."""
    return partial(reports.report, tmp_path)
