"""Where the time goes: a bar of phases for each device at three batch sizes, with a row for each model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path

from breakeven import format as fmt
from breakeven.grouping import grouped
from breakeven.render.figures.axes import write
from breakeven.render.figures.drawing import Drawing, and_list, missing_note, new_figure
from breakeven.render.figures.models import (
    MAX_PANELS,
    PanelNames,
    key_of,
    report_styles,
    select_models,
)
from breakeven.render.figures.phase_blocks import (
    BAR,
    GAP,
    LINE,
    TITLE,
    Block,
    Slot,
    Sums,
    block_of,
    bounds_of,
    placed,
    slots_of,
    timed_steps,
)
from breakeven.render.figures.style import INK, NORMAL
from breakeven.report.phase_sums import PhaseSum
from breakeven.report.report import Report

PHASE_COLORS = {
    "transfer": "#4d4d4d",
    "zero_grad": "#e6e3ec",
    "forward": "#e0bd4f",
    "backward": "#6a449c",
    "step": "#9490cc",
}
"""Colors in the order of a step; they differ in lightness, and from all device colors."""

LABELS = {"zero_grad": "zero grad", "step": "optimizer step"}

_FILLED = 0.93  # of a column
_INDENT = 9  # points, for a marker

_SHARES = "A bar shows shares of a step; the time above it is that of a step in the training loop."
_BOUNDS = "At the right: what bounds the step (its launches, computing, or copying the batch)."


def _plot(report: Report, sums: Sums) -> Figure:
    names = PanelNames(report)
    blocks = [
        block_of(report, model, names.lines(model), sums[model]) for model in select_models(sums, MAX_PANELS)
    ]
    places, bounds = placed(blocks), bounds_of(report)
    height = max(top + block.height for block, _, top in places)
    slots = [slot for place in places for slot in slots_of(*place, bounds)]
    notes = [_SHARES, *([_BOUNDS] if any(slot.kind for slot in slots) else [])]
    figure = new_figure(
        report,
        height,
        PHASES.title,
        handles=_handles(blocks),
        notes=[*notes, *missing_note(len(sums) - len(blocks))],
    )
    ax = figure.subplots()
    ax.set_axis_off()
    ax.set_xlim(0, max(left + block.width for block, left, _ in places))
    ax.set_ylim(height, 0)
    for place in places:
        _write_titles(ax, *place)
    for device, (color, marker) in report_styles(report).items():
        _draw_markers(ax, [(slot.x, slot.y) for slot in slots if slot.device == device], color, marker)
    for slot in slots:
        _write_slot(ax, slot)
    _draw_bars(ax, [slot for slot in slots if slot.row is not None and slot.row.is_complete])
    return figure


def _write_titles(ax: Axes, block: Block, left: float, top: float) -> None:
    """Write the model's name, and the batch size over each column."""
    workload, axes = block.title
    style: Any = {"fontsize": NORMAL, "va": "baseline"}
    name = ax.annotate(workload, (left, top + TITLE), fontweight="bold", **style)
    ax.annotate(axes, (1, 0), (5, 0), xycoords=name, textcoords="offset points", **style | {"va": "bottom"})
    y = top + TITLE + LINE
    for column, batch in enumerate(block.batches):
        is_near = batch == block.near
        write(ax, f"batch {fmt.batch_size(batch)}", (left + column, y), (_INDENT if is_near else 0, 0))
        if is_near:
            _draw_markers(ax, [(left + column, y)], INK, "d")


def _draw_markers(ax: Axes, points: Sequence[tuple[float, float]], color: str, marker: str) -> None:
    """Draw a marker before each text."""
    if points:
        x, y = zip(*points, strict=True)
        indent = 0.008 * ax.get_xlim()[1]
        at = [one + indent for one in x], [one - 0.04 for one in y]
        ax.plot(*at, linestyle="", marker=marker, markersize=5, color=color, clip_on=False)


def _write_slot(ax: Axes, slot: Slot) -> None:
    """Write a device, the time of its step, and what bounds it."""
    at = slot.x, slot.y
    time = "not timed" if slot.row is None else fmt.seconds(slot.row.train_s)
    write(ax, f"{fmt.shortened(slot.device, 8)} {time}", at, (_INDENT, 0))
    if slot.row is not None and not slot.row.is_complete:
        write(ax, "phases not timed", (slot.x, slot.y + GAP + BAR), (_INDENT, 1))
    if slot.row is not None and slot.kind:
        write(ax, slot.kind, (slot.x + _FILLED, slot.y), (0, 0), ha="right")


def _draw_bars(ax: Axes, slots: Sequence[Slot]) -> None:
    """Draw the phases below each text, with a tick at the time of the step in the loop.

    All bars of a phase are one path, and so are all ticks: separate ones would be most of the file's bytes.
    """
    stacks = [(slot.x, slot.y + GAP, slot.row) for slot in slots if slot.row is not None]
    boxes = grouped(box for stack in stacks for box in _boxes(*stack))
    for part in filter(boxes.__contains__, PHASE_COLORS):
        path = Path.make_compound_path(*boxes[part])
        ax.add_patch(PathPatch(path, facecolor=PHASE_COLORS[part], edgecolor=INK, linewidth=0.4, gid=part))
    ends = [(x + row.train_s * _scale(row), y) for x, y, row in stacks]
    x_ticks = [x for end, _ in ends for x in (end, end, math.nan)]
    y_ticks = [y for _, top in ends for y in (top - 0.03, top + BAR + 0.03, math.nan)]
    ax.plot(x_ticks, y_ticks, color=INK, linewidth=1.8, gid="loop")


def _scale(row: PhaseSum) -> float:
    """Return columns per second: the longer of the sum and the loop's step fills the column."""
    return _FILLED / max(row.train_s, sum(row.parts.values()))


def _boxes(x: float, y: float, row: PhaseSum) -> Iterator[tuple[str, Path]]:
    for part, seconds in row.parts.items():
        width = seconds * _scale(row)
        corners = [(x, y), (x + width, y), (x + width, y + BAR), (x, y + BAR), (x, y)]
        yield part, Path(corners, closed=True)
        x += width


def _handles(blocks: Iterable[Block]) -> list[Artist]:
    rows = [row for block in blocks for found in block.batches.values() for row in found.values()]
    present = {part for row in rows for part in row.parts}
    parts: list[Artist] = [
        Patch(facecolor=color, edgecolor=INK, linewidth=0.5, label=LABELS.get(part, part))
        for part, color in PHASE_COLORS.items()
        if part in present
    ]
    style: dict[str, Any] = {"color": INK, "linestyle": ""}
    parts.append(Line2D([], [], marker="|", markersize=9, markeredgewidth=1.8, label="step in loop", **style))
    if any(block.near is not None for block in blocks):
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
        f"{LABELS.get(part, part)} {fmt.seconds(seconds)}" for part, seconds in row.parts.items()
    )
    more = "more" if row.residual > 0 else "less"
    return (
        f"{key_of(row).device} spends {parts}; a step in the loop takes {fmt.seconds(row.train_s)}, "
        f"its phases together {fmt.percent(abs(row.residual))} {more}"
    )


PHASES = Drawing(
    "Where the time goes",
    "Each phase was timed by itself. On an accelerator the phases together take longer than a step in the "
    "loop, because each of them is waited for. The diamond marks the batch size nearest to the break-even.",
    timed_steps,
    _plot,
    _text,
)
