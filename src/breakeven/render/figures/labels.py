"""Labels at the ends of lines: in a column beside the panel, so that none covers a line or another label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from breakeven.render.figures.style import SMALL, LineStyle

GAP = 10.5
"""Points from a label to the one above it."""

LEADER = 14
"""Points from the panel to the column of its labels."""


@dataclass(frozen=True)
class EndLabel:
    """A label and the end of its line: a batch size and a value."""

    text: str
    batch: float
    value: float
    style: LineStyle


def draw_labels(ax: Axes, labels: Sequence[EndLabel], width: float, height: float) -> None:
    """Write the labels beside a panel of this size in points, each with a leader from the end of its line."""
    to_panel = ax.transData - ax.transAxes
    ends = [to_panel.transform((label.batch, label.value)) for label in labels]
    order = sorted(range(len(labels)), key=lambda i: float(ends[i][1]))
    places = spread([float(ends[i][1]) * height for i in order], GAP, 0, height)
    column = 1 + LEADER / width
    for i, place in zip(order, places, strict=True):
        x, y = ends[i]
        leader = [(x, y), (1, y), (column - 2 / width, place / height)]
        style = labels[i].style
        ax.plot(
            *zip(*leader, strict=True),
            color=style.color,
            linewidth=0.7,
            linestyle=":",
            transform=ax.transAxes,
            clip_on=False,
            zorder=2,
            gid="leader",
        )
        ax.text(
            column,
            place / height,
            labels[i].text,
            transform=ax.transAxes,
            va="center_baseline",
            fontsize=SMALL,
            gid="label",
        )


def spread(ascending: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return the values moved apart by at least `gap`, between `low` and `high` if there is room.

    Values that are too close form a group around their mean.

    >>> spread([1, 1, 9], 2, -5.0, 20.0), spread([1, 1], 2, 1.0, 20.0), spread([9, 9], 2, 0.0, 9.0)
    ([0.0, 2.0, 9.0], [1.0, 3.0], [7.0, 9.0])
    """
    groups: list[list[float]] = []
    for value in ascending:
        groups.append([value])
        while (
            len(groups) > 1 and _start(groups[-1], gap, low, high) < _stop(groups[-2], gap, low, high) + gap
        ):
            last = groups.pop()
            groups[-1] += last
    starts = ((group, _start(group, gap, low, high)) for group in groups)
    return [start + i * gap for group, start in starts for i in range(len(group))]


def _start(group: Sequence[float], gap: float, low: float, high: float) -> float:
    """Return the place of a group's first value."""
    length = gap * (len(group) - 1)
    return max(low, min(sum(group) / len(group) - length / 2, high - length))


def _stop(group: Sequence[float], gap: float, low: float, high: float) -> float:
    return _start(group, gap, low, high) + gap * (len(group) - 1)
