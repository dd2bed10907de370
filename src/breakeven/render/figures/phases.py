"""What a training step is made of: stacked bars of the phases, in seconds from zero.

Owns the colors of the phases, which batch sizes are shown, and how the whole step is held against the sum
of its parts. Rows are models; each batch size has its own scale.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from breakeven import format as fmt
from breakeven.device_names import device_order
from breakeven.render.figures.axes import seconds_tick
from breakeven.render.figures.layout import EDGE, LINE, WIDTH, Head, Sheet, missing_note, notes_height
from breakeven.render.figures.models import Model, Names, chosen, model_of
from breakeven.render.figures.style import GRID, INK, SMALL, device_styles, drawing, fitted
from breakeven.render.figures.text import and_list
from breakeven.report.phase_sums import PhaseSum
from breakeven.report.report import Report

MAX_MODELS = 6

PHASE_COLORS = {
    "transfer": "#383838",
    "zero_grad": "#e6e3ec",
    "forward": "#e0bd4f",
    "backward": "#6a449c",
    "step": "#9490cc",
}
"""Told apart by lightness alone, and no device's color; in the order of a step."""

EXCESS = "+3%: timed one by one, the phases take 3% longer than the step timed as a whole."

NEAR = "near break-even"

_LEFT, _BETWEEN = 0.62, 0.6
_HEIGHT, _BELOW = 1.2, 0.4


def draw(report: Report) -> Figure | None:
    """Return the bars of at most `MAX_MODELS` models; None when no phase was timed beside a whole step."""
    sums = _sums(report)
    if not sums:
        return None
    with drawing():
        names = Names(report)
        shown = chosen(sums, MAX_MODELS)
        notes = [EXCESS, *missing_note(len(sums) - len(shown))]
        head = Head("Phases of a training step (medians)", _handles(sums[model] for model in shown))
        above = 2 * LINE + 0.1
        each = above + _HEIGHT + _BELOW
        sheet = Sheet(WIDTH, head.height + len(shown) * each + notes_height(notes))
        sheet.head(head, report)
        width = (WIDTH - _LEFT - EDGE - 2 * _BETWEEN) / 3
        for row, model in enumerate(shown):
            top = head.height + row * each
            sheet.title(EDGE, top + above - LINE - 0.04, names.lines(model), WIDTH - 2 * EDGE)
            for column, (batch, why) in enumerate(_batches(report, model, sums[model])):
                left = _LEFT + column * (width + _BETWEEN)
                label = fitted(f"batch {batch}{f', {why}' if why else ''}", width + _BETWEEN - 0.05)
                sheet.text(left, top + above - 0.03, label, va="bottom")
                ax = sheet.panel(left, top + above, width, _HEIGHT)
                slots = _devices(sums[model])
                _draw_bars(ax, sums[model][batch], slots)
                _draw_axes(ax, slots, device_styles(report.cases["device"]), width)
        sheet.notes(notes)
        return sheet.finished(report)


def describe(report: Report) -> str:
    """Return the parts of the largest step of the first model, or why there is no figure."""
    sums = _sums(report)
    if not sums:
        return "There is no figure of phases, because no phase was timed beside a whole training step."
    model, batches = next(iter(sums.items()))
    batch = max(batches)
    bars = and_list([_bar_text(row) for row in batches[batch]])
    return (
        f"Phases of a training step for {fmt.plural(len(sums), 'model')}. "
        f"For {Names(report).place(model)} at batch {batch}: {bars}."
    )


def _bar_text(row: PhaseSum) -> str:
    parts = ", ".join(f"{part} {fmt.seconds(seconds)}" for part, seconds in row.parts.items())
    text = f"{row.device} spends {parts}; the whole step takes {fmt.seconds(row.train_s)}"
    if not row.whole:
        return text
    return f"{text}, its parts together {fmt.percent(abs(row.excess))} {'more' if row.excess > 0 else 'less'}"


def _sums(report: Report) -> dict[Model, dict[int, list[PhaseSum]]]:
    """Return the cells of each model that have parts and took any time, by batch size."""
    found: dict[Model, dict[int, list[PhaseSum]]] = {}
    for row in report.phase_sums:
        if row.parts and row.train_s > 0:
            found.setdefault(model_of(row), {}).setdefault(row.batch_size, []).append(row)
    return {model: dict(sorted(batches.items())) for model, batches in found.items()}


def _batches(report: Report, model: Model, sums: Mapping[int, object]) -> list[tuple[int, str]]:
    """Return the smallest batch size, the one nearest to the break-even, and the largest."""
    smallest, largest = min(sums), max(sums)
    shown = dict.fromkeys((smallest, largest), "")
    for line in report.break_evens:
        at = line.crossing.batch_size
        if at and model_of(line) == model and line.phase == report.headline:
            nearest = min(sums, key=lambda batch: abs(math.log(batch / at)))
            shown[nearest] = NEAR
            break
    return sorted(shown.items())


def _devices(sums: Mapping[int, Sequence[PhaseSum]]) -> list[str]:
    """Return the devices of a model: each has the same place at every batch size, timed there or not."""
    present = {row.device for rows in sums.values() for row in rows}
    return sorted(present, key=device_order)


def _draw_bars(ax: Axes, rows: Sequence[PhaseSum], slots: Sequence[str]) -> None:
    tallest = max(max(sum(row.parts.values()), _top(row)) for row in rows)
    for row in rows:
        place, bottom = slots.index(row.device), 0.0
        for part, seconds in row.parts.items():
            color = PHASE_COLORS[part]
            ax.bar(place, seconds, 0.56, bottom, color=color, edgecolor=INK, linewidth=0.5, zorder=2)
            bottom += seconds
        ax.plot([place - 0.4, place + 0.4], [row.train_s] * 2, color=INK, linewidth=1.8, zorder=4)
        if row.low_s is not None and row.high_s is not None:
            ax.vlines(place, row.low_s, row.high_s, color=INK, linewidth=1, zorder=4)
        if row.whole:
            top = max(bottom, _top(row))
            ax.annotate(
                _signed(row.excess),
                (place, top),
                textcoords="offset points",
                xytext=(0, 3),
                ha="center",
                fontsize=SMALL,
            )
    for place in set(range(len(slots))) - {slots.index(row.device) for row in rows}:
        ax.annotate(
            "none", (place, 0), textcoords="offset points", xytext=(0, 3), ha="center", fontsize=SMALL
        )
    ax.set_xlim(-0.6, len(slots) - 0.4)
    ax.set_ylim(0, tallest * 1.2)


def _top(row: PhaseSum) -> float:
    """Return how high the mark of the whole step reaches."""
    return row.train_s if row.high_s is None else row.high_s


def _draw_axes(ax: Axes, slots: Sequence[str], styles: Mapping[str, tuple[str, str]], inches: float) -> None:
    """Label seconds on y, and on x each device with its marker."""
    ax.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: seconds_tick(value)))
    ax.yaxis.grid(True, color=GRID, linewidth=0.6)
    ax.set_xticks(range(len(slots)), [fitted(device, inches / len(slots)) for device in slots])
    ax.tick_params(axis="x", pad=8)
    for place, device in enumerate(slots):
        color, marker = styles[device]
        ax.plot(
            [place],
            [-0.07],
            transform=ax.get_xaxis_transform(),
            color=color,
            marker=marker,
            markersize=5,
            clip_on=False,
        )


def _handles(shown: Iterable[Mapping[int, Sequence[PhaseSum]]]) -> list[Artist]:
    present = {part for sums in shown for rows in sums.values() for row in rows for part in row.parts}
    parts: list[Artist] = [
        Patch(facecolor=color, edgecolor=INK, linewidth=0.5, label=part)
        for part, color in PHASE_COLORS.items()
        if part in present
    ]
    whole = Line2D([], [], color=INK, linewidth=1.8, label="step timed as a whole")
    return [*parts, whole]


def _signed(excess: float) -> str:
    return f"{'+' if excess > 0 else ''}{fmt.percent(excess)}"
