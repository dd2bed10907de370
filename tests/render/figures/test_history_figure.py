"""The figure of a series shows its runs, levels and changes, and the expected range of the newest run."""

import itertools
import math
from datetime import datetime, timedelta
from types import SimpleNamespace

import numpy as np

from breakeven.history.series import Quantity
from breakeven.render.figures.style import GRID, INK
from breakeven.render.history_figure import MAX_MARKERS, Drawn, figure_of
from breakeven.stats.verdict import Verdict

ORANGE, GREEN = "#D55E00", "#009E73"


def series(values, changes=(), newest=None):
    """The panel of a series with one run per day and a level between changes."""
    days = [datetime(2026, 1, 1) + timedelta(days=day) for day in range(len(values))]
    ends = [0, *(change.change.at for change in changes), len(values)]
    levels = [
        SimpleNamespace(start=start, stop=stop, mean=math.log(values[start]))
        for start, stop in itertools.pairwise(ends)
    ]
    tracked = SimpleNamespace(
        series=SimpleNamespace(values=np.array(values), run=np.arange(len(values)), quantity=Quantity.TIME),
        findings=SimpleNamespace(levels=levels),
        judged=True,
    )
    runs = [SimpleNamespace(moment=day) for day in days]
    [ax] = figure_of(Drawn(tracked, runs, changes, newest)).axes
    return ax


def change(at, ratio=1.5, accepted=None):
    """A change of the level before that run."""
    return SimpleNamespace(
        change=SimpleNamespace(at=at, ratio=ratio),
        accepted=accepted,
        is_regression=accepted is None and ratio > 1,
        after=SimpleNamespace(commit=f"{at:07}abc", moment=None),
    )


def lines(ax, color):
    """The lines of a color as lists of (x, y)."""
    found = [line for line in ax.get_lines() if line.get_color() == color]
    return [list(zip(line.get_xdata(), line.get_ydata(), strict=True)) for line in found]


def test_runs_levels_and_changes():
    ax = series([1.0] * 10 + [1.5] * 10, [change(10)])
    assert lines(ax, "#0072B2") == [[(i, 1.0 if i < 10 else 1.5) for i in range(20)]]
    assert [line[0][0] for line in lines(ax, INK)] == [-0.4, 9.6]
    assert lines(ax, ORANGE) == [[(9.5, 0), (9.5, 1)], [(9.5, 1)]]
    assert [text.get_text() for text in ax.texts] == ["0000010"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["2026-01-01", "2026-01-11", "2026-01-20"]


def test_accepted_changes():
    """An accepted change is a gray line with a hollow diamond."""
    ax = series([1.0] * 10 + [1.5] * 10, [change(10, accepted="meant")])
    assert lines(ax, GRID) == [[(9.5, 0), (9.5, 1)]]
    assert [line.get_marker() for line in ax.get_lines() if line.get_color() == ORANGE] == ["D"]


def test_labels_of_close_changes():
    """Of changes that are close, the regression has a label."""
    ax = series([1.0] * 40, [change(10), change(12, 0.9), change(30, 0.9)])
    assert [text.get_text() for text in ax.texts] == ["0000010", "0000030"]


def test_expected_range():
    """The newest run has the range that was expected of it, and a ring if it is outside."""
    verdict = SimpleNamespace(low=0.9, high=1.1, ratio=1.5, verdict=Verdict.REGRESSED)
    ax = series([1.0, 1.0, 1.5], newest=SimpleNamespace(judgment=verdict))
    assert np.allclose(lines(ax, GREEN), [[(2, 0.9), (2, 1.1)]])
    assert lines(ax, ORANGE) == [[(2, 1.5)]]


def test_long_series():
    """A long series is a line without markers."""
    [line] = [line for line in series([1.0] * (MAX_MARKERS + 1)).get_lines() if line.get_color() == "#0072B2"]
    assert line.get_marker() == "None"
