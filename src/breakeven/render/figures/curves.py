"""Lines over batch size: straight between the measured points, with bands of their intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from breakeven.case import Model, Outcome
from breakeven.device_names import processes_of
from breakeven.grouping import grouped
from breakeven.render.figures.models import PanelModel, batch_of, cases_by_model, key_of, untimed_cases
from breakeven.render.figures.style import PAPER, LineStyle
from breakeven.report.case_rows import CaseRow
from breakeven.report.report import Report

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

    @property
    def interval(self) -> tuple[float, float]:
        """The ends of the interval, the value itself where there is none."""
        return self.low or self.value, self.high or self.value


class CrossingPoint(NamedTuple):
    """The batch size at which a line crosses 1, with its interval."""

    at: float
    low: float
    high: float


@dataclass(frozen=True)
class Curve:
    """The points of one device by ascending batch size; no line may cross the batch sizes `holes`."""

    device: str
    points: tuple[Point, ...]
    holes: Collection[int] = ()
    crossing: CrossingPoint | None = None


def value_curves(
    report: Report, phase: str | None, point: Callable[[Any], Point | None]
) -> dict[PanelModel, list[Curve]]:
    """Return the curves of each model that has any.

    A batch size is a hole of a device if another device was timed there, or if a case ended without a timing;
    in a weak sweep, where each number of processes has its own batch sizes, among devices of that number.
    `point` returns the point of a timed case, None if there is nothing to draw.
    """
    models = cases_by_model(report, phase)
    every: Iterable[CaseRow | Outcome] = chain(*models.values(), untimed_cases(report, phase))
    tried = grouped((_sharing_batches(key_of(row).model, key_of(row).device), batch_of(row)) for row in every)
    found = {}
    for model, rows in models.items():
        drawn = ((row.key.device, point(row)) for row in rows)
        devices = grouped((device, dot) for device, dot in drawn if dot is not None and dot.value > 0)
        if devices:
            found[model] = [
                Curve(
                    device,
                    tuple(points),
                    {*tried[_sharing_batches(model, device)]} - {p.batch for p in points},
                )
                for device, points in devices.items()
            ]
    return found


def _sharing_batches(model: PanelModel, device: str) -> tuple[PanelModel, int | None]:
    """Return what the devices that are timed at the same batch sizes have in common."""
    is_weak = Model(model.workload, model.axes).is_weak
    return model, processes_of(device) if is_weak else None


def draw_curve(ax: Axes, curve: Curve, style: LineStyle) -> None:
    """Draw the line in its pieces, the band of the intervals, a marker at each point and at the crossing."""
    # Everything is inside the panel, so clipping would only add bytes.
    paint: dict[str, Any] = {"color": style.color, "clip_on": False}
    alone = []
    for piece in _pieces(curve):
        if len(piece) > 1:
            x, y, low, high = _path(piece, curve.crossing)
            ax.plot(x, y, linewidth=1.4, linestyle=style.linestyle, zorder=3, gid="line", **paint)
            ax.fill([*x, *x[::-1]], [*low, *high[::-1]], alpha=0.2, linewidth=0, zorder=2, **paint)
        else:
            alone += [(piece[0].batch, end) for end in piece[0].interval] + [(math.nan, math.nan)]
    if alone:
        ax.plot(*zip(*alone, strict=True), linewidth=1, zorder=3, gid="intervals", **paint)
    for sure, face in ((True, style.color), (False, PAPER)):
        points = [(point.batch, point.value) for point in curve.points if point.sure is sure]
        if points:
            dots: Any = {"marker": style.marker, "markersize": 4, "markerfacecolor": face, "zorder": 4}
            ax.plot(*zip(*points, strict=True), linestyle="", **dots, **paint)
    if curve.crossing is not None:
        at, *ends = curve.crossing
        bar: Any = {"linewidth": 2.2, "marker": "|", "markersize": 6, "gid": "break-even"}
        ax.plot(ends, [1, 1], zorder=5, **bar, **paint)
        ax.plot([at], [1], marker="d", markersize=7, markeredgecolor=PAPER, zorder=6, **paint)


def _pieces(curve: Curve) -> list[list[Point]]:
    """Return the runs of neighboring points without a hole between them."""
    found = [[curve.points[0]]]
    for before, point in pairwise(curve.points):
        if any(before.batch < hole < point.batch for hole in curve.holes):
            found.append([])
        found[-1].append(point)
    return found


def _path(piece: Sequence[Point], crossing: CrossingPoint | None) -> tuple[_Floats, ...]:
    """Return x and y of a line through the points and the crossing, and the ends of its band."""
    points = {float(point.batch): point.value for point in piece}
    between = {crossing.at: 1.0} if crossing and piece[0].batch < crossing.at < piece[-1].batch else {}
    x, y = np.array(sorted({**between, **points}.items())).T

    def straight(values: Sequence[float]) -> _Floats:
        return np.asarray(np.exp(np.interp(np.log(x), np.log(list(points)), np.log(values))))

    low, high = zip(*(point.interval for point in piece), strict=True)
    bent = y / straight(list(points.values()))
    return x, y, straight(low) * bent, straight(high) * bent


def curve_values(curves: Iterable[Curve]) -> list[float]:
    """Return every number that the curves show, for the ends of an axis."""
    return [end for curve in curves for point in curve.points for end in (point.value, *point.interval)]


def curve_batches(curves: Iterable[Curve]) -> list[int]:
    """Return every batch size of the curves, ascending."""
    return sorted({point.batch for curve in curves for point in curve.points})
