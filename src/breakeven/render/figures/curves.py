"""Lines over batch size, a panel for each model.

Owns how measured points become a line with its band, where a line breaks, the labels at line ends, and the
grid of panels. What the points are is said by the figures that use it; computes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from breakeven.render.figures.axes import batch_axis, decades, draw_grid, limits, spread, value_axis
from breakeven.render.figures.layout import EDGE, LINE, WIDTH, Head, Sheet, missing_note, notes_height
from breakeven.render.figures.models import (
    MAX_PANELS,
    Model,
    Names,
    cases_by_model,
    chosen,
    known_outcomes,
    model_of,
)
from breakeven.render.figures.style import INK, PAPER, SMALL, device_styles, drawing, fitted, text_width
from breakeven.report.report import Report

MAX_LABELS = 4
"""Up to so many lines are named where they end; more of them by a legend."""

_LEFT, _BETWEEN = 0.72, 0.2
_PANEL_HEIGHT = 1.75
_LABEL_OFFSET = 0.09  # inches from a line's last point to its name
_LABEL_WIDEST = 0.75


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
    """The points of one device by ascending batch size, and the batch sizes no line may cross.

    `between` are the (batch size, value) that its line goes through on its way from point to point.
    """

    device: str
    points: tuple[Point, ...]
    holes: Collection[int] = ()
    between: tuple[tuple[float, float], ...] = ()


def value_curves(
    report: Report, phase: str | None, point: Callable[[Any], Point | None]
) -> dict[Model, list[Curve]]:
    """Return the curves of each model that has any.

    A batch size is a hole of a device where another was timed, or where a case ended without a timing.

    Args:
        report: the record.
        phase: of the cases that are shown.
        point: makes a point of a row of ``report.cases``, or None where it has nothing that can be drawn.
    """
    ended: dict[Model, set[int]] = {}
    for row in known_outcomes(report):
        if row.phase == phase:
            ended.setdefault(model_of(row), set()).add(row.batch_size)
    found = {}
    for model, rows in cases_by_model(report, phase).items():
        batches = {row.batch_size for row in rows} | ended.get(model, set())
        devices: dict[str, list[Point]] = {}
        for row in rows:
            drawn = point(row)
            if drawn is not None and drawn.value > 0:
                devices.setdefault(row.device, []).append(drawn)
        if devices:
            found[model] = [
                Curve(device, tuple(points), batches - {p.batch for p in points})
                for device, points in devices.items()
            ]
    return found


def pieces(points: Sequence[Point], holes: Collection[int]) -> list[list[Point]]:
    """Return the stretches of neighboring batch sizes without a hole between them."""
    found: list[list[Point]] = []
    for point in points:
        before = found[-1][-1].batch if found else None
        if before is None or any(before < hole < point.batch for hole in holes):
            found.append([point])
        else:
            found[-1].append(point)
    return found


def draw_curve(ax: Axes, curve: Curve, color: str, marker: str) -> None:
    """Draw the line in its pieces, the band of the intervals, and a marker at each point."""
    style: dict[str, Any] = {"color": color, "clip_on": False}  # everything is inside, and clips are bytes
    for piece in pieces(curve.points, curve.holes):
        if len(piece) > 1:
            x, y, low, high = _path(piece, curve.between)
            ax.plot(x, y, linewidth=1.4, zorder=3, gid="line", **style)
            ax.fill([*x, *x[::-1]], [*low, *high[::-1]], alpha=0.2, linewidth=0, zorder=2, **style)
    # One path for all intervals: a collection would repeat its style at each.
    batches = [batch for point in curve.points for batch in (point.batch, point.batch, math.nan)]
    ends = [end for point in curve.points for end in (*_interval(point), math.nan)]
    ax.plot(batches, ends, linewidth=1, zorder=3, gid="intervals", **style)
    for sure in (True, False):
        shown = [point for point in curve.points if point.sure is sure]
        if shown:
            ax.plot(
                [point.batch for point in shown],
                [point.value for point in shown],
                linestyle="",
                marker=marker,
                markersize=4.5,
                markerfacecolor=color if sure else PAPER,
                zorder=4,
                **style,
            )


def _path(
    piece: Sequence[Point], between: Sequence[tuple[float, float]]
) -> tuple[list[float], list[float], list[float], list[float]]:
    """Return x and y of a line, and the ends of its band, which bends as the line does."""
    points = {float(point.batch): point.value for point in piece}
    path = points | {x: y for x, y in between if piece[0].batch < x < piece[-1].batch}
    x = sorted(path)
    y = [path[at] for at in x]
    straight = _straight(x, list(points), list(points.values()))
    bent = [value / other for value, other in zip(y, straight, strict=True)]
    ends = (_straight(x, list(points), side) for side in zip(*map(_interval, piece), strict=True))
    low, high = ([end * factor for end, factor in zip(side, bent, strict=True)] for side in ends)
    return x, y, low, high


def _straight(x: Sequence[float], at: Sequence[float], values: Sequence[float]) -> list[float]:
    """Return the values at `x` of a line that is straight between points on logarithmic axes."""
    return list(np.exp(np.interp(np.log(x), np.log(at), np.log(values))))


def curve_values(curves: Iterable[Curve]) -> list[float]:
    """Return every number that the curves show, for the ends of an axis."""
    return [end for curve in curves for point in curve.points for end in (point.value, *_interval(point))]


def name_ends(ax: Axes, curves: Sequence[Curve]) -> None:
    """Write each device beside its line's last point; names that would touch move apart.

    The axes must have their final place, scales and limits.
    """
    ends = {curve.device: (curve.points[-1].batch, curve.points[-1].value) for curve in curves}
    places = {device: ax.transData.transform(end) for device, end in ends.items()}
    box = ax.get_window_extent()
    dots = ax.get_figure(root=True).dpi / 72  # type: ignore[union-attr]
    by_x: dict[float, list[str]] = {}
    for device, (x, _) in places.items():
        by_x.setdefault(float(x), []).append(device)
    for devices in by_x.values():
        wished = [float(places[device][1]) for device in devices]
        moved = spread(wished, 9.5 * dots, box.y0 + 6 * dots, box.y1 - 4 * dots)
        for device, before, after in zip(devices, wished, moved, strict=True):
            ax.annotate(
                label_text(device),
                ends[device],
                textcoords="offset points",
                xytext=(_LABEL_OFFSET * 72, (after - before) / dots),
                va="center_baseline",
                fontsize=SMALL,
                color=INK,
                bbox={
                    "facecolor": PAPER,
                    "edgecolor": "none",
                    "alpha": 0.85,
                    "pad": 0.6,
                },  # off the line at 1x
                zorder=7,
            )


def label_text(device: str) -> str:
    """Return a device's name as short as a label must be."""
    return fitted(device, _LABEL_WIDEST)


def label_room(curves: Iterable[Curve]) -> float:
    """Return the inches that the names at line ends need."""
    return _LABEL_OFFSET + max(text_width(label_text(curve.device)) for curve in curves)


def device_handles(report: Report, devices: Iterable[str]) -> list[Artist]:
    """Return a legend's handles for devices."""
    styles = device_styles(report.cases["device"])
    return [
        Line2D([], [], color=styles[name][0], marker=styles[name][1], markersize=5, label=fitted(name, 1.5))
        for name in dict.fromkeys(devices)
    ]


@dataclass(frozen=True)
class Look:
    """How a grid of panels is labeled and scaled.

    `base`, `ends`, `ticks` and `tick_text` are the y axis's; `extra` draws more into a panel, before the
    names at the line ends; `handles` are entries of the legend beside the devices'.
    """

    title: str
    y: str
    tick_text: Callable[[float], str]
    base: int = 10
    ends: tuple[float, float] | None = None
    ticks: Sequence[float] | None = None
    extra: Callable[[Axes, Model], None] = lambda _ax, _model: None
    handles: Sequence[Artist] = field(default=())
    limit: int = MAX_PANELS


def panels(report: Report, curves: Mapping[Model, Sequence[Curve]], look: Look) -> Figure:
    """Return a panel for each model, two side by side, all with the same axes."""
    with drawing():
        names = Names(report)
        shown = chosen(curves, look.limit)
        every = [curve for model in shown for curve in curves[model]]
        named = max(len(curves[model]) for model in shown) <= MAX_LABELS
        devices = [] if named else device_handles(report, [curve.device for curve in every])
        head = Head(look.title, [*devices, *look.handles])
        titles = {model: names.lines(model) for model in shown}
        above = LINE * max(map(len, titles.values())) + 0.08
        columns = min(2, len(shown))
        rows = math.ceil(len(shown) / columns)
        width = (WIDTH - _LEFT - EDGE - _BETWEEN * (columns - 1)) / columns
        height = _PANEL_HEIGHT if columns > 1 else 2.4
        notes = missing_note(len(curves) - len(shown))
        body = rows * (above + height)
        sheet = Sheet(WIDTH, head.height + body + 2 * LINE + 0.12 + notes_height(notes))
        sheet.head(head, report)
        ends = look.ends or limits(curve_values(every))
        ticks = look.ticks or decades(*ends)
        batches = sorted({point.batch for curve in every for point in curve.points})
        room = label_room(every) if named else 0.0
        styles = device_styles(report.cases["device"])
        for place, model in enumerate(shown):
            row, column = divmod(place, columns)
            left = _LEFT + column * (width + _BETWEEN)
            top = head.height + row * (above + height) + above
            ax = sheet.panel(left, top, width, height)
            sheet.titles(left, top, titles[model], width)
            last = place + columns >= len(shown)
            batch_axis(ax, batches, width, room=room, labels=last)
            value_axis(ax, look.base, ends, ticks, look.tick_text, labels=column == 0)
            draw_grid(ax, batches, ticks)
            for curve in curves[model]:
                draw_curve(ax, curve, *styles[curve.device])
            look.extra(ax, model)
            if named:
                name_ends(ax, curves[model])
        sheet.side(head.height + above, body - above, look.y)
        foot = head.height + body + LINE + 0.12
        sheet.text(_LEFT + (WIDTH - _LEFT - EDGE) / 2, foot, "batch size", 9, ha="center")
        sheet.notes(notes)
        return sheet.finished(report)


def _interval(point: Point) -> tuple[float, float]:
    """Return the ends of the interval, the value itself where there is none."""
    return point.low or point.value, point.high or point.value
