"""Lines over batch size, a panel for each model."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import Formatter
from numpy.typing import NDArray

from breakeven import format as fmt
from breakeven.grouping import grouped
from breakeven.render.figures.axes import batch_axis, panel_title, value_axis, write
from breakeven.render.figures.drawing import missing_note, new_figure
from breakeven.render.figures.models import (
    MAX_PANELS,
    PanelModel,
    PanelNames,
    batch_of,
    cases_by_model,
    key_of,
    report_styles,
    select_models,
    untimed_cases,
)
from breakeven.render.figures.style import LABEL_BOX, PAPER
from breakeven.report.report import Report

MAX_LABELS = 4
"""Up to this number of lines are labeled at their ends; more have a legend."""

_LABEL = 12  # characters of a device's name at the end of a line
_LABEL_OFFSET, _LABEL_GAP = 6, 9.5  # points

Curves = Mapping[PanelModel, Sequence["Curve"]]
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Point:
    """A measured value with its interval at one batch size; hollow when it is not `sure`."""

    batch: int
    value: float
    low: float | None = None
    high: float | None = None
    sure: bool = True


@dataclass(frozen=True)
class Curve:
    """The points of one device by ascending batch size, and the batch sizes (`holes`) that no line may cross.

    `between` are the (batch size, value) pairs on its line between the points.
    """

    device: str
    points: tuple[Point, ...]
    holes: Collection[int] = ()
    between: tuple[tuple[float, float], ...] = ()


def value_curves(
    report: Report, phase: str | None, point: Callable[[Any], Point | None]
) -> dict[PanelModel, list[Curve]]:
    """Return the curves of each model that has any.

    A batch size is a hole of a device if another device was timed there, or if a case ended without a timing.
    `point` returns the point of a timed case, None if there is nothing to draw.
    """
    ended = grouped((key_of(one).model, batch_of(one)) for one in untimed_cases(report, phase))
    found = {}
    for model, rows in cases_by_model(report, phase).items():
        batches = {batch_of(row) for row in rows} | {*ended.get(model, ())}
        drawn = ((row.key.device, point(row)) for row in rows)
        devices = grouped((device, dot) for device, dot in drawn if dot is not None and dot.value > 0)
        if devices:
            found[model] = [
                Curve(device, tuple(points), batches - {p.batch for p in points})
                for device, points in devices.items()
            ]
    return found


def draw_curve(ax: Axes, curve: Curve, color: str, marker: str) -> None:
    """Draw the line in its pieces, the band of the intervals, and a marker at each point."""
    # Everything is inside the panel, so clipping would only add bytes, and layout only time.
    style: dict[str, Any] = {"color": color, "clip_on": False, "in_layout": False}
    for piece in _pieces(curve):
        if len(piece) > 1:
            x, y, low, high = _path(piece, curve.between)
            ax.plot(x, y, linewidth=1.4, zorder=3, gid="line", **style)
            ax.fill([*x, *x[::-1]], [*low, *high[::-1]], alpha=0.2, linewidth=0, zorder=2, **style)
    # One path for all intervals: separate error bars would be most of the file's bytes.
    batches = [batch for point in curve.points for batch in (point.batch, point.batch, math.nan)]
    ends = [end for point in curve.points for end in (*_interval(point), math.nan)]
    ax.plot(batches, ends, linewidth=1, zorder=3, gid="intervals", **style)
    for sure, face in ((True, color), (False, PAPER)):
        points = [(point.batch, point.value) for point in curve.points if point.sure is sure]
        if points:
            dots: Any = {"marker": marker, "markersize": 4, "markerfacecolor": face, "zorder": 4, **style}
            ax.plot(*zip(*points, strict=True), linestyle="", **dots)


def _pieces(curve: Curve) -> list[list[Point]]:
    """Return the runs of neighboring points without a hole between them."""
    found = [[curve.points[0]]]
    for before, point in pairwise(curve.points):
        if any(before.batch < hole < point.batch for hole in curve.holes):
            found.append([])
        found[-1].append(point)
    return found


def _path(piece: Sequence[Point], between: Sequence[tuple[float, float]]) -> tuple[_Floats, ...]:
    """Return x and y of a line, and the ends of its band, which follows the line."""
    points = {float(point.batch): point.value for point in piece}
    path = sorted({**dict(between), **points}.items())
    x, y = np.array([place for place in path if piece[0].batch <= place[0] <= piece[-1].batch]).T

    def straight(values: Sequence[float]) -> _Floats:
        return np.asarray(np.exp(np.interp(np.log(x), np.log(list(points)), np.log(values))))

    low, high = zip(*map(_interval, piece), strict=True)
    bent = y / straight(list(points.values()))
    return x, y, straight(low) * bent, straight(high) * bent


def _interval(point: Point) -> tuple[float, float]:
    """Return the ends of the interval, the value itself where there is none."""
    return point.low or point.value, point.high or point.value


def curve_values(curves: Iterable[Curve]) -> list[float]:
    """Return every number that the curves show, for the ends of an axis."""
    return [end for curve in curves for point in curve.points for end in (point.value, *_interval(point))]


def curve_batches(curves: Iterable[Curve]) -> list[int]:
    """Return every batch size of the curves, ascending."""
    return sorted({point.batch for curve in curves for point in curve.points})


def device_handles(report: Report, curves: Iterable[Curve]) -> list[Artist]:
    """Return a legend's handles for the devices of the curves."""
    styles = report_styles(report)
    return [
        Line2D(
            [], [], color=styles[name][0], marker=styles[name][1], markersize=5, label=fmt.shortened(name, 20)
        )
        for name in dict.fromkeys(curve.device for curve in curves)
    ]


@dataclass(frozen=True)
class PanelStyle:
    """How a grid of panels is labeled and scaled.

    `base` and `formatter` are for the y axis, which always shows the values `visible`; `extra` draws more
    into a panel; `handles` are additional entries of the legend.
    """

    title: str
    y_label: str
    formatter: Formatter
    base: int = 10
    visible: tuple[float, ...] = ()
    extra: Callable[[Axes, PanelModel], None] = lambda _ax, _model: None
    handles: Sequence[Artist] = ()


def panels(report: Report, curves: Curves, style: PanelStyle) -> Figure:
    """Return a figure with a panel for each model, up to three side by side, all with the same axes."""
    shown = select_models(curves, MAX_PANELS)
    every = [curve for model in shown for curve in curves[model]]
    direct = max(len(curves[model]) for model in shown) <= MAX_LABELS
    columns = 2 if len(shown) == 4 else min(3, len(shown))
    rows = math.ceil(len(shown) / columns)
    names = PanelNames(report)
    titles = [_wrapped(names.lines(model), 72 // columns) for model in shown]
    height = (2.4, 2.0, 1.25)[columns - 1]
    figure = new_figure(
        report,
        0.2 + rows * (height + 0.2 + 0.16 * max(map(len, titles))),
        style.title,
        handles=[*([] if direct else device_handles(report, every)), *style.handles],
        notes=missing_note(len(curves) - len(shown)),
        x_label="batch size",
        y_label=style.y_label,
    )
    axes = [*figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat]
    styles, batches = report_styles(report), curve_batches(every)
    values = [*curve_values(every), *style.visible]
    for ax, model, title in zip(axes, shown, titles, strict=False):
        panel_title(ax, *title)
        value_axis(ax, values, style.base, style.formatter)
        batch_axis(ax, batches, 10 // columns)
        for curve in curves[model]:
            draw_curve(ax, curve, *styles[curve.device])
        style.extra(ax, model)
        if direct:
            _name_ends(ax, curves[model], 72 * height)
    for ax in axes[len(shown) :]:
        ax.remove()
    for ax in axes[max(0, len(shown) - columns) : len(shown)]:
        ax.tick_params(labelbottom=True)  # also above a removed panel
    return figure


def _wrapped(lines: Sequence[str], width: int) -> list[str]:
    """Return the first line, and each of the others, split in two if longer than `width`."""
    rest = [part for line in lines[1:] for part in wrap(fmt.shortened(line, 2 * width), width)]
    return [fmt.shortened(lines[0], width), *rest]


def _name_ends(ax: Axes, curves: Sequence[Curve], height: float) -> None:
    """Write each device beside its line's last point; names that would overlap move apart.

    `height` is at most that of the panel, in points: the layout is not known yet.
    """
    style: Any = {"va": "center_baseline", "bbox": LABEL_BOX, "zorder": 7}
    low, high = ax.get_ylim()
    by_end = sorted(curves, key=lambda curve: (curve.points[-1].batch, curve.points[-1].value))
    for batch, group in groupby(by_end, key=lambda curve: curve.points[-1].batch):
        ends = [(fmt.shortened(curve.device, _LABEL), curve.points[-1].value) for curve in group]
        at = [height * math.log(value / low) / math.log(high / low) for _, value in ends]
        for (name, value), before, after in zip(ends, at, apart(at, _LABEL_GAP), strict=True):
            write(ax, name, (batch, value), (_LABEL_OFFSET, after - before), **style)


def apart(ascending: Sequence[float], gap: float) -> list[float]:
    """Return the values, moved as little as possible so that they are `gap` apart.

    >>> [round(value, 1) for value in apart([1.0, 1.0, 9.0], 2.0)]
    [0.0, 2.0, 9.0]
    """
    moved = list(ascending)
    for _ in range(100):  # neighbors that are too close push each other away
        for i in range(1, len(moved)):
            push = max(0.0, gap - (moved[i] - moved[i - 1])) / 2
            moved[i - 1] -= push
            moved[i] += push
    return moved
