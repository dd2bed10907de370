"""Functions that read a drawn figure."""

from functools import partial
from itertools import combinations
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


def _collisions(figure):
    """The pairs of texts that cover each other by more than a quarter of a line, or leave the figure."""
    figure.draw_without_rendering()
    shown = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    axes = [axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)]
    hidden = [
        tick.label1
        for axis in axes
        for tick in axis.get_major_ticks()
        if not axis.get_view_interval().min() <= tick.get_loc() <= axis.get_view_interval().max()
    ]
    shown = [text for text in shown if text not in hidden]
    # A legend reserves a line for the title with an empty one.
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown if text.get_text()[0] != "\n"]
    found = [(name,) for name, box in boxes if box.x0 < -1 or box.x1 > figure.bbox.x1 + 1]
    for (one, box), (other, other_box) in combinations(boxes, 2):
        across = min(box.x1, other_box.x1) - max(box.x0, other_box.x0)
        down = min(box.y1, other_box.y1) - max(box.y0, other_box.y0)
        if across > 1 and down > 0.25 * min(box.height, other_box.height):
            found.append((one, other))
    return found


@pytest.fixture
def look():
    """Return functions that read a drawn figure."""
    return SimpleNamespace(
        texts=_texts,
        lines=_lines,
        markers=_markers,
        ticks=_ticks,
        legend=_legend,
        collisions=_collisions,
        ink=INK,
    )


@pytest.fixture
def report(tmp_path):
    """Return a function that analyzes the contents of run files."""
    return partial(reports.report, tmp_path)
