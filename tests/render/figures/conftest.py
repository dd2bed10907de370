"""What tests of figures ask of a drawn figure."""

from types import SimpleNamespace

import pytest
from matplotlib.colors import to_hex

from breakeven.render.figures.style import INK
from breakeven.report.report import analyze
from breakeven.runs import reader
from support.run_files import write


def _texts(figure):
    """Every text in the figure and its panels."""
    inside = [text.get_text() for ax in figure.axes for text in ax.texts]
    return [*(text.get_text() for text in figure.texts), *inside]


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
    """The labels of an axis, and where they stand."""
    axis.figure.canvas.draw()
    return dict(zip([t.get_text() for t in axis.get_ticklabels()], axis.get_ticklocs(), strict=True))


def _legend(figure):
    """The entries of the legend."""
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


@pytest.fixture
def look():
    """Return functions that read a drawn figure."""
    return SimpleNamespace(
        texts=_texts, lines=_lines, markers=_markers, ticks=_ticks, legend=_legend, ink=INK
    )


@pytest.fixture
def report(tmp_path):
    """Return a function that analyzes the contents of run files."""

    def analyzed(*contents, force=False):
        paths = [write(tmp_path / f"run{n}.json", content) for n, content in enumerate(contents)]
        return analyze(reader.read(paths), force=force)

    return analyzed
