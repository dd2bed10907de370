"""Panels of lines over batch size in two columns, each half of the figure, which a phone shows one by one.

A panel has the lines of one workload and the batch sizes that they have. Everything is placed in points from
the top left, without matplotlib's layout, which would take most of the time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import Formatter

from breakeven import format as fmt
from breakeven.grouping import grouped
from breakeven.render.figures.axes import batch_axis, value_axis
from breakeven.render.figures.curves import Curve, Curves, curve_batches, curve_values, draw_curve
from breakeven.render.figures.drawing import machine_text, missing_note, text_width
from breakeven.render.figures.labels import GAP, LEADER, EndLabel, draw_labels
from breakeven.render.figures.models import PanelModel, PanelNames, machine_styles
from breakeven.render.figures.sheet import Sheet, legend_size
from breakeven.render.figures.style import INK, NORMAL
from breakeven.report.report import Report

HALF = 342
"""Points: the width of a column. At the width of a phone, the text is as large as on a wide screen."""

MAX_LINES = 6
"""The maximum number of lines in a panel, counted where each device is compared with its baseline."""

MAX_PANELS = 8
"""The maximum number of panels in a column; a note counts the models of the others."""

_LEFT, _RIGHT, _EDGE = 50, 6, 6  # around a panel with its labels
_TITLE, _TICKS, _BETWEEN = 16, 17, 8  # above and below a panel
_AROUND = _TITLE + _TICKS + _BETWEEN
_LINE = 12  # of text
_MIN_HEIGHT = 104
_TICK = 36  # the widest label of a batch size
_MAX_LABEL = 26  # characters, without a break-even
_MAX_TITLE = 60


@dataclass(frozen=True)
class Scale:
    """A y axis: `visible` are values that it always shows, `line` has a heavy line."""

    formatter: Formatter
    base: int = 10
    visible: tuple[float, ...] = ()
    line: float | None = None


@dataclass(frozen=True)
class Group:
    """Models of one workload that share a panel; `part` is its number if the workload has several."""

    models: tuple[PanelModel, ...]
    part: str = ""

    @property
    def has_several_axes(self) -> bool:
        """Whether the models differ in their axes, not only in their machines."""
        return len({model.axes for model in self.models}) > 1


@dataclass(frozen=True)
class Panel:
    """The lines of a group of models."""

    group: Group
    curves: Curves
    scale: Scale

    @property
    def lines(self) -> list[tuple[PanelModel, Curve]]:
        """Every curve with its model."""
        return [(model, curve) for model in self.group.models for curve in self.curves.get(model, ())]


@dataclass(frozen=True)
class Column:
    """The panels of one half of the figure; a None leaves a place empty."""

    heading: str
    handles: Sequence[Artist]
    panels: Sequence[Panel | None]


def split_models(curves: Curves) -> list[Group]:
    """Return the models of each panel.

    A model is in the same panel on every machine; the panels of a workload have about as many models.
    """
    found = []
    for models in grouped((model.workload, model) for model in curves).values():
        same = [tuple(group) for group in grouped((model.axes, model) for model in models).values()]
        lines = max(sum(len(curves[model]) for model in group) for group in same)
        count = math.ceil(len(same) / max(1, MAX_LINES // max(1, lines)))
        size = math.ceil(len(same) / count)
        parts = [same[at : at + size] for at in range(0, len(same), size)]
        for number, part in enumerate(parts, 1):
            several = f"{number} of {len(parts)}" if len(parts) > 1 else ""
            found.append(Group(tuple(model for group in part for model in group), several))
    return found


def select_groups(groups: Sequence[Group], limit: int) -> tuple[list[Group], int]:
    """Return at most `limit` groups, the first of each workload first, and the number of omitted models."""
    by_workload = grouped((group.models[0].workload, at) for at, group in enumerate(groups))
    in_turn = [at for turn in zip_longest(*by_workload.values()) for at in turn if at is not None]
    kept = [groups[at] for at in sorted(in_turn[:limit])]
    return kept, _count(groups) - _count(kept)


def _count(groups: Sequence[Group]) -> int:
    """Return the number of models, each counted once for all machines."""
    return len({(model.workload, model.axes) for group in groups for model in group.models})


def device_handles(report: Report, curves: Curves) -> list[Artist]:
    """Return a legend's handles for the devices of the curves, on each machine if there are several."""
    styles, names = machine_styles(report), PanelNames(report)
    found: dict[tuple[str, str], Artist] = {}
    for model, of_model in curves.items():
        for curve in of_model:
            style = styles[model.machine, curve.device]
            machine = names.machine(model)
            label = fmt.shortened(f"{curve.device} on {machine}" if machine else curve.device, 40)
            line = Line2D([], [], markersize=5, label=label, **style._asdict())
            found.setdefault((model.machine, curve.device), line)
    return list(found.values())


def flow(panels: Sequence[Panel], heading: str, handles: Sequence[Artist]) -> list[Column]:
    """Return the panels row by row in two columns, or in one if there is one panel."""
    left, right = list(panels[::2]), list(panels[1::2])
    return [Column(heading, handles, left), *([Column("", (), right)] if right else [])]


def draw_columns(
    report: Report, columns: Sequence[Column], missing: int, notes: Sequence[str] = ()
) -> Figure:
    """Return the figure; the panels of one row have the same height."""
    names = PanelNames(report)
    rows = list(zip_longest(*(column.panels for column in columns)))
    lines = [max(len(panel.lines) for panel in row if panel) for row in rows]
    heights = [max(_MIN_HEIGHT, GAP * count) for count in lines]
    notes = [fmt.shortened(note, 64) for note in (*notes, *missing_note(missing), machine_text(report))]
    head = _EDGE + _LINE * (1 + max(legend_size(column.handles)[1] for column in columns)) + 4
    foot = _LINE * (1 + len(notes)) + _EDGE
    total = head + sum(heights) + _AROUND * len(rows) + foot
    sheet = Sheet(report, len(columns) * HALF, total)
    for number, column in enumerate(columns):
        sheet.write(number * HALF + _EDGE, _EDGE, column.heading, fontsize=NORMAL, fontweight="bold")
        sheet.legend(number * HALF, _EDGE + _LINE, column.handles)
        _draw_column(report, names, sheet, column, (number * HALF, head), heights)
    for number, note in enumerate(notes):
        sheet.write(_EDGE, total - foot + _LINE * (number + 1), note)
    return sheet.figure


def _draw_column(
    report: Report,
    names: PanelNames,
    sheet: Sheet,
    column: Column,
    corner: tuple[float, float],
    heights: Sequence[float],
) -> None:
    """Draw the panels below each other, and name the x axis below the last."""
    left, top = corner
    labels = [_labels(report, names, panel) if panel else [] for panel in column.panels]
    widest = max(text_width(label.text) for of_panel in labels for label in of_panel)
    width = HALF - _LEFT - LEADER - widest - _RIGHT
    for panel, of_panel, height in zip(column.panels, labels, heights, strict=False):
        top += _TITLE
        if panel is not None:
            _write_title(sheet, names, panel, (left + _LEFT, top - 13))
            ax = sheet.axes(left + _LEFT, top, width, height)
            _draw_panel(report, ax, panel, of_panel, (width, height))
            last = (left + _LEFT + width / 2, top + height + _TICKS)
        top += height + _TICKS + _BETWEEN
    sheet.write(*last, "batch size", ha="center")


def _draw_panel(
    report: Report, ax: Axes, panel: Panel, labels: Sequence[EndLabel], size: tuple[float, float]
) -> None:
    styles, scale = machine_styles(report), panel.scale
    curves = [curve for _, curve in panel.lines]
    value_axis(ax, [*curve_values(curves), *scale.visible], scale.base, scale.formatter)
    batch_axis(ax, curve_batches(curves), max(1, int(size[0] // _TICK)))
    if scale.line is not None:
        ax.axhline(scale.line, color=INK, linewidth=1.8, zorder=1, gid="unity")
    for model, curve in panel.lines:
        draw_curve(ax, curve, styles[model.machine, curve.device])
    draw_labels(ax, labels, *size)


def _labels(report: Report, names: PanelNames, panel: Panel) -> list[EndLabel]:
    """Return the label of each line: what differs between the lines of the panel."""
    styles = machine_styles(report)
    devices = {curve.device for _, curve in panel.lines}
    found = []
    for model, curve in panel.lines:
        axes = names.label(model) if panel.group.has_several_axes else ""
        device = curve.device if len(devices) > 1 or not axes else ""
        text = _joined([part for part in (axes, device, names.machine(model)) if part])
        if curve.crossing is not None:
            text += f", from {fmt.break_even(curve.crossing.at)}"
        end = curve.points[-1]
        found.append(EndLabel(text, end.batch, end.value, styles[model.machine, curve.device]))
    return found


def _joined(parts: Sequence[str]) -> str:
    """Return the parts of a label, each shortened if they are too long together."""
    text = " ".join(parts)
    if len(text) <= _MAX_LABEL:
        return fmt.one_line(text)
    return " ".join(fmt.shortened(part, _MAX_LABEL // len(parts)) for part in parts)


def _write_title(sheet: Sheet, names: PanelNames, panel: Panel, corner: tuple[float, float]) -> None:
    """Write the workload, and the axes of its only model or the names of those that differ."""
    first = panel.group.models[0]
    varying = names.varying_axes(first)
    axes = (
        names.axes(first)
        if not panel.group.has_several_axes
        else f"by {', '.join(varying)}"
        if len(varying) > 1
        else ""
    )
    workload = fmt.shortened(first.workload, 24)
    rest = fmt.shortened(", ".join(filter(None, (axes, panel.group.part))), _MAX_TITLE - len(workload))
    sheet.write(*corner, workload, fontweight="bold")
    sheet.write(corner[0] + text_width(workload, bold=True) + 5, corner[1], rest)
