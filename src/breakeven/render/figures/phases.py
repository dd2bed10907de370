"""Where the time goes: a bar of phases for each device at three batch sizes, in two columns of models."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path

from breakeven import format as fmt
from breakeven.grouping import grouped
from breakeven.render.figures.drawing import Drawing, and_list, machine_text, missing_note, text_width
from breakeven.render.figures.models import PanelNames, key_of, report_styles, select_models
from breakeven.render.figures.panels import HALF
from breakeven.render.figures.phase_blocks import (
    BETWEEN,
    LINE,
    TITLE,
    Block,
    Sums,
    block_of,
    in_columns,
    timed_steps,
)  # fmt: skip
from breakeven.render.figures.sheet import Sheet, legend_size
from breakeven.render.figures.style import INK, NORMAL
from breakeven.report.phase_sums import PhaseSum
from breakeven.report.report import Report

PHASE_COLORS = {
    "transfer": "#4d4d4d",
    "zero_grad": "#e6e3ec",
    "forward": "#e0bd4f",
    "backward": "#6a449c",
    "step": "#9490cc",
    "load": "#8a5a2b",
}
"""Colors in the order of a step; they differ in lightness, and from all device colors."""

LABELS = {"zero_grad": "zero grad", "step": "optimizer step", "load": "waiting for the loader"}

MAX_MODELS = 12

_MUTED = 0.7

_SHARES = "Bars are shares of one step; the times compare the devices."
_EDGE, _BAR = 6, 8
_DEVICE, _START, _END, _TIME, _RIGHT = 52, 104, 238, 245, HALF - 2 * _EDGE  # points from the left
_INDENT, _SPACE = 9, 6  # behind a marker, and behind a name


@dataclass(frozen=True)
class _Slot:
    """The step of one device; its line begins at (x, y) in points."""

    x: float
    y: float
    device: str
    row: PhaseSum | None
    bound: str


def _blocks(report: Report, sums: Sums) -> list[Block]:
    names = PanelNames(report)
    models = select_models(sums, MAX_MODELS)
    return [block_of(report, model, names.lines(model), sums[model]) for model in models]


def _has_break_even(blocks: Iterable[Block]) -> bool:
    return any(block.near is not None for block in blocks)


def _plot(report: Report, sums: Sums) -> Figure:
    columns = in_columns(_blocks(report, sums))
    handles = _handles([block for column in columns for block in column])
    notes = [_SHARES, *missing_note(len(sums) - sum(map(len, columns))), machine_text(report)]
    head = _EDGE + LINE * (1 + legend_size(handles)[1]) + BETWEEN
    foot = head + LINE + max(sum(block.height for block in column) for column in columns)
    width, height = len(columns) * HALF, foot + LINE * len(notes) + _EDGE
    sheet = Sheet(report, width, height)
    sheet.write(_EDGE, _EDGE, PHASES.title, fontsize=NORMAL, fontweight="bold")
    sheet.legend(0, _EDGE + LINE, handles)
    for place, note in enumerate(notes):
        sheet.write(_EDGE, foot + LINE * place, fmt.shortened(note, 64))
    ax = sheet.axes(0, 0, width, height)
    ax.set_axis_off()
    ax.set_xlim(0, width)
    ax.set_ylim(height, 0)
    slots: list[_Slot] = []
    for place, column in enumerate(columns):
        slots += _write_column(sheet, ax, column, (place * HALF + _EDGE, head))
    _draw_slots(sheet, ax, slots, report_styles(report))
    return sheet.figure


def _write_column(
    sheet: Sheet, ax: Axes, column: Sequence[Block], corner: tuple[float, float]
) -> list[_Slot]:
    """Write the names and the batch sizes below their headings, and return the slots beside them."""
    x, y = corner
    for at, heading in ((0, "batch"), (_DEVICE, "device"), (_START, "phases"), (_TIME, "step")):
        sheet.write(x + at, y, heading, alpha=_MUTED)
    sheet.write(x + _RIGHT, y, "bound by", ha="right", alpha=_MUTED)
    slots, y = list[_Slot](), y + LINE
    for block in column:
        workload, axes = block.title
        sheet.write(x, y, workload, fontweight="bold")
        sheet.write(x + text_width(workload, bold=True) + _SPACE, y, axes)
        y += TITLE
        for batch, rows in block.batches.items():
            is_near = batch == block.near
            sheet.write(x + _INDENT * is_near, y, fmt.batch_size(batch))
            if is_near:
                _draw_markers(ax, [(x, y)], INK, "d")
            for device in block.devices:
                bound = block.bounds.get((device, batch), "")
                slots.append(_Slot(x, y, device, rows.get(device), bound))
                y += LINE
        y += BETWEEN
    return slots


def _draw_markers(ax: Axes, points: Sequence[tuple[float, float]], color: str, marker: str) -> None:
    """Draw a marker before each text."""
    if points:
        x, y = zip(*points, strict=True)
        at = [one + 3 for one in x], [one + 5 for one in y]
        ax.plot(*at, linestyle="", marker=marker, markersize=5, color=color, clip_on=False)


def _draw_slots(
    sheet: Sheet, ax: Axes, slots: Sequence[_Slot], styles: Mapping[str, tuple[str, str]]
) -> None:
    for device, (color, marker) in styles.items():
        points = [(slot.x + _DEVICE, slot.y) for slot in slots if slot.device == device]
        _draw_markers(ax, points, color, marker)
    for slot in slots:
        sheet.write(slot.x + _DEVICE + _INDENT, slot.y, fmt.shortened(slot.device, 7))
        if slot.row is None or not slot.row.is_complete:
            text = "step not timed" if slot.row is None else "phases not timed"
            sheet.write(slot.x + _START, slot.y, text, alpha=_MUTED)
        if slot.row is not None:
            sheet.write(slot.x + _TIME, slot.y, fmt.seconds(slot.row.train_s))
            sheet.write(slot.x + _RIGHT, slot.y, slot.bound, ha="right")
    rows = ((slot.x + _START, slot.y + 0.5, slot.row) for slot in slots if slot.row is not None)
    _draw_bars(ax, [bar for bar in rows if bar[2].is_complete])


def _draw_bars(ax: Axes, bars: Sequence[tuple[float, float, PhaseSum]]) -> None:
    """Draw the phases of each step from (x, y), with a tick at the time of the step in the loop.

    All bars of a phase are one path, and so are all ticks: separate ones would be most of the file's bytes.
    """
    boxes = grouped(box for bar in bars for box in _boxes(*bar))
    for part in filter(boxes.__contains__, PHASE_COLORS):
        path = Path.make_compound_path(*boxes[part])
        ax.add_patch(PathPatch(path, facecolor=PHASE_COLORS[part], edgecolor=INK, linewidth=0.4, gid=part))
    ends = [(x + row.train_s * _scale(row), y) for x, y, row in bars]
    x_ticks = [x for end, _ in ends for x in (end, end, math.nan)]
    y_ticks = [y for _, top in ends for y in (top - 1, top + _BAR + 1, math.nan)]
    ax.plot(x_ticks, y_ticks, color=INK, linewidth=1.8, gid="loop")


def _scale(row: PhaseSum) -> float:
    """Return points per second: the longer of the sum and the loop's step has the length of a whole bar."""
    return (_END - _START) / max(row.train_s, sum(_parts(row).values()))


def _parts(row: PhaseSum) -> dict[str, float]:
    """Return the seconds of each part of a step, with what it waits for the loader in an epoch."""
    return {**row.parts, "load": row.loader_s} if row.loader_s else dict(row.parts)


def _boxes(x: float, y: float, row: PhaseSum) -> Iterator[tuple[str, Path]]:
    for part, seconds in _parts(row).items():
        width = seconds * _scale(row)
        corners = [(x, y), (x + width, y), (x + width, y + _BAR), (x, y + _BAR), (x, y)]
        yield part, Path(corners, closed=True)
        x += width


def _handles(blocks: Sequence[Block]) -> list[Artist]:
    rows = [row for block in blocks for found in block.batches.values() for row in found.values()]
    present = {part for row in rows for part in _parts(row)}
    parts: list[Artist] = [
        Patch(facecolor=color, edgecolor=INK, linewidth=0.5, label=LABELS.get(part, part))
        for part, color in PHASE_COLORS.items()
        if part in present
    ]
    style: dict[str, Any] = {"color": INK, "linestyle": ""}
    parts.append(Line2D([], [], marker="|", markersize=9, markeredgewidth=1.8, label="step in loop", **style))
    if _has_break_even(blocks):
        parts.append(Line2D([], [], marker="d", label="break-even", **style))
    return parts


def _text(report: Report, sums: Sums) -> str:
    """Describe the largest step of the first model."""
    model, batches = next(iter(sums.items()))
    batch = max(batches)
    bars = and_list([_bar_text(row) for row in batches[batch] if row.is_complete])
    return (
        f"Phases of a training step for {fmt.plural(len(sums), 'model')}. "
        f"For {PanelNames(report).sentence(model)} at batch {batch}: {bars}."
    )


def _bar_text(row: PhaseSum) -> str:
    parts = ", ".join(
        f"{LABELS.get(part, part)} {fmt.seconds(seconds)}" for part, seconds in _parts(row).items()
    )
    more = "more" if row.residual > 0 else "less"
    return (
        f"{key_of(row).device} spends {parts}; a step in the loop takes {fmt.seconds(row.train_s)}, "
        f"its phases together {fmt.percent(abs(row.residual))} {more}"
    )


PHASES = Drawing(
    "Where the time goes",
    "Each phase was timed by itself. On an accelerator the phases together take longer than a step in the "
    "loop, because each of them is waited for.",
    timed_steps,
    _plot,
    _text,
    HALF,
    "The diamond marks the batch size nearest to the break-even.",
    lambda report, sums: _has_break_even(_blocks(report, sums)),
)
