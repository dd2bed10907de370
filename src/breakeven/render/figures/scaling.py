"""Efficiency of several devices over batch size: a column for strong and one for weak scaling."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from breakeven.grouping import grouped
from breakeven.render.figures.curves import Curve, Curves, Point
from breakeven.render.figures.drawing import Drawing
from breakeven.render.figures.models import PanelModel
from breakeven.render.figures.panels import (
    HALF,
    MAX_PANELS,
    Column,
    Panel,
    Scale,
    device_handles,
    draw_columns,
    flow,
    select_groups,
    split_models,
)
from breakeven.report.report import Report
from breakeven.report.scaling import ScalingKind, ScalingRow

_EFFICIENCY = Scale(FuncFormatter(lambda value, _: f"{100 * value:g}%"), visible=(0.5, 1.0), line=1.0)
_HEADINGS = {
    ScalingKind.STRONG: "Efficiency, strong scaling",
    ScalingKind.WEAK: "Efficiency, weak scaling",
}


def _select(report: Report) -> Mapping[ScalingKind, Curves]:
    """Return the curves of each kind of scaling; the same model has the same name in both."""
    known = [row for row in report.scaling.rows if row.efficiency.ratio]
    kinds = grouped((row.kind, row) for row in known)
    return {
        kind: {
            model: _curves(rows) for model, rows in grouped((_model(row), row) for row in kinds[kind]).items()
        }
        for kind in ScalingKind
        if kind in kinds
    }


def _model(row: ScalingRow) -> PanelModel:
    return PanelModel(row.key.machine, row.key.workload, row.key.model.without_weak.axes)


def _curves(rows: list[ScalingRow]) -> list[Curve]:
    devices = grouped((row.key.device, row) for row in rows)
    return [Curve(device, tuple(map(_point, of_device))) for device, of_device in devices.items()]


def _point(row: ScalingRow) -> Point:
    found = row.efficiency
    return Point(row.key.batch_size, found.ratio or 0.0, found.low, found.high)


def _plot(report: Report, kinds: Mapping[ScalingKind, Curves]) -> Figure:
    first, *_ = kinds.values()
    every = {model: of_model for curves in kinds.values() for model, of_model in curves.items()}
    kept, missing = select_groups(split_models(every), MAX_PANELS)
    handles = device_handles(report, every)
    if len(kinds) == 1:
        (heading,) = (_HEADINGS[kind] for kind in kinds)
        return draw_columns(
            report, flow([Panel(group, first, _EFFICIENCY) for group in kept], heading, handles), missing
        )
    columns = []
    for kind, curves in kinds.items():
        panels = [Panel(group, curves, _EFFICIENCY) for group in kept]
        shown = [panel if panel.lines else None for panel in panels]
        columns.append(Column(_HEADINGS[kind], handles if curves is first else (), shown))
    return draw_columns(report, columns, missing)


def _text(report: Report, _: Mapping[ScalingKind, Curves]) -> str:
    return " ".join(report.scaling.sentences)


SCALING = Drawing(
    "Scaling efficiency",
    "100% is N times as fast as one device (strong: the same batch), or as long a step for N times the batch "
    "(weak). Bands are 95% intervals. Batch sizes are those of all devices together.",
    _select,
    _plot,
    _text,
    HALF,
)
