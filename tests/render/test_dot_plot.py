"""Ratios with intervals as lines of characters: from values to columns."""

import math
import random
from itertools import pairwise

import pytest
from rich.cells import cell_len

from breakeven.render.dot_plot import (
    CHANGED,
    MAX_LABEL,
    UNDECIDED,
    Dot,
    Scale,
    dot_plot,
    plot_lines,
    scale_of,
)

TENFOLD = Scale(0.1, 10.0, 21)
"""A scale with ten columns for each factor of ten, and 1 in column 10."""


def dot(ratio, low=None, high=None, mark=CHANGED):
    return Dot("x", ratio, low, high, "", mark)


def drawn(ratio, low=None, high=None):
    """The row of a dot on the scale, with spaces as full stops."""
    return TENFOLD.row(dot(ratio, low, high)).replace(" ", ".")


@pytest.mark.parametrize(
    ("ratio", "column"), [(0.1, 0), (0.5, 7), (1.0, 10), (1.1, 10), (2.0, 13), (10.0, 20), (99.0, 20)]
)
def test_column(ratio, column):
    assert TENFOLD.column(math.log(ratio)) == column


@pytest.mark.parametrize(
    ("values", "row"),
    [
        ((2.0, None, None), "..........│..●......."),
        ((2.0, 1.26, 5.0), "..........│├─●───┤..."),
        ((2.0, 0.2, 5.0), "...├──────┼──●───┤..."),
        ((2.0, 0.01, 5.0), "◄─────────┼──●───┤..."),
        ((2.0, 1.26, 50.0), "..........│├─●──────►"),
        ((2.0, None, 5.0), "◄─────────┼──●───┤..."),
        ((2.0, 1.26, None), "..........│├─●──────►"),
        ((2.0, 2.0, 2.0), "..........│..●......."),
        ((2.0, 1.9, 2.3), "..........│..●......."),
        ((1.0, 0.95, 1.06), "..........●.........."),
        ((1.0, 0.5, 2.0), ".......├──●──┤......."),
        ((99.0, None, None), "..........│.........►"),
        ((0.01, None, None), "◄.........│.........."),
        ((None, None, None), "..........│.........."),
    ],
)
def test_row(values, row):
    assert drawn(*values) == row


def test_axis():
    """Its ends are exact, and 1 is where the line is."""
    assert TENFOLD.axis() == "0.100x    1x    10.0x"


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        ([(2.0, 1.6, 2.5)], (0.736, 2.5)),  # ten of 41 columns are on the other side of 1
        ([(0.5, None, None)], (0.5, 1.26)),
        ([(2.0, 0.1, 1e9)], (0.5, 4.0)),  # an interval widens it by the range of the dots and 1, on each side
        ([(2.0, None, 3.0)], (0.5, 3.0)),
        ([(1.0, 0.999, 1.001)], (0.98, 1.02)),
        ([(1e200, 1e100, None)], (0.1, 1000.0)),
        ([(1e-200, None, 0.5)], (0.001, 10.0)),
        ([(1.234567, None, None), (None, None, None)], (0.932, 1.24)),
    ],
)
def test_scale(values, ends):
    scale = scale_of([dot(*each) for each in values], 41)
    assert (scale.low, scale.high) == pytest.approx(ends, rel=1e-9)


def test_common_scale():
    """All rows are on one scale, each dot where its ratio is."""
    ratios = [4.0, 2.0, 1.0, 0.5]
    axis, *rows = dot_plot([dot(ratio) for ratio in ratios], 61)
    columns = [row.index(CHANGED) for row in rows]
    assert columns == sorted(columns, reverse=True)
    steps = [a - b for a, b in pairwise(columns)]
    assert max(steps) - min(steps) <= 1
    assert axis.split() == ["0.500x", "1x", "4.00x"]


def test_without_a_ratio():
    """A case without a ratio is listed without a dot; a plot of nothing else does not exist."""
    missing = Dot("gone", None, None, None, "missing")
    lines = plot_lines("Ratios", [Dot("slow", 2.0, 1.9, 2.1, "+100%"), missing], {1: "and then"})
    assert lines[0] == "Ratios"
    assert lines[3] == "and then"
    assert lines[4].split() == ["gone", "│", "missing"]
    assert plot_lines("Ratios", [missing], {}) == []
    assert plot_lines("Ratios", [], {}) == []


def test_legend():
    """It has the marks that are drawn, unless all are those of a change."""
    assert plot_lines("Ratios", [dot(2.0)], {})[0] == "Ratios"
    assert plot_lines("Ratios", [dot(2.0, mark=UNDECIDED)], {})[0] == "Ratios (○ undecided)"
    both = [dot(2.0), dot(2.0, mark=UNDECIDED)]
    assert plot_lines("Ratios", both, {})[0] == "Ratios (● changed, ○ undecided)"


@pytest.mark.parametrize("name", ["x" * 500, "a\nb\x1b[31m", "模型" * 40, "mlp"], ids=range(4))
def test_width(name):
    """No line is wider than asked for, whatever the names, values and texts."""
    draw = random.Random(5)
    for width in (60, 100):
        for _ in range(50):
            values = [math.exp(draw.gauss(0, 4)) for _ in range(6)]
            dots = [
                Dot(
                    name, value, *draw.choice([(value / 2, value * 3), (None, value), (1e-300, 1e300)]), "+1%"
                )
                for value in values
            ]
            lines = dot_plot(dots, width)
            assert max(map(cell_len, lines)) <= width
            assert all(line.isprintable() for line in lines)
            assert all(line.endswith("+1%") for line in lines[1:])
            assert lines[0].count(" 1x ") == 1
            is_drawn = [CHANGED in line for line in lines[1:]]
            assert all(seen or not 1e-3 < value < 1e3 for seen, value in zip(is_drawn, values, strict=True))
            assert all(set("●◄►") & set(line) for line in lines[1:])


def test_long_heading():
    assert max(map(len, plot_lines("Ratios", [dot(2.0)], {0: "x" * 200}))) == 100


def test_long_label():
    """Its middle is omitted, also where the text at the end leaves little room."""
    for text in ("+1%", "t" * 60):
        _, row = dot_plot([Dot("first " + "x" * 90 + " last", 2.0, None, None, text)], 100)
        label = row[: row.index("│")].rstrip()
        assert label.startswith("first")
        assert label.endswith("last")
        assert len(label) <= MAX_LABEL
