"""The phases of a training step as stacked bars, with a row of batch sizes for each model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from breakeven import format as fmt
from breakeven.device_names import device_order
from breakeven.grouping import grouped
from breakeven.render.figures.axes import SECONDS_FORMAT, panel_title, write
from breakeven.render.figures.drawing import Drawing, and_list, missing_note, new_figure
from breakeven.render.figures.models import (
    PanelModel,
    PanelNames,
    batch_of,
    key_of,
    report_styles,
    select_models,
)
from breakeven.render.figures.style import INK
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
"""Colors in the order of a step; they differ in lightness, and from all device colors."""

_RESIDUAL = "+3%: timed separately, the phases take 3% longer than the step timed as a whole."

_Sums = dict[PanelModel, dict[int, list[PhaseSum]]]


def _sums(report: Report) -> _Sums:
    """Return the phase sums that have parts and took any time, by model and ascending batch size."""
    shown = [row for row in report.phase_sums if row.parts and row.train_s > 0]
    models = grouped((key_of(row).model, (batch_of(row), row)) for row in shown)
    return {model: dict(sorted(grouped(rows).items())) for model, rows in models.items()}


def _plot(report: Report, sums: _Sums) -> Figure:
    names, styles = PanelNames(report), report_styles(report)
    shown = {model: _batches(report, model, sums[model]) for model in select_models(sums, MAX_MODELS)}
    columns = max(map(len, shown.values()))
    figure = new_figure(
        report,
        0.1 + 1.4 * len(shown),
        "Phases of a training step (medians)",
        handles=_handles(sums[model] for model in shown),
        notes=[_RESIDUAL, *missing_note(len(sums) - len(shown))],
    )
    grid = figure.subplots(len(shown), columns, squeeze=False)
    for axes, (model, batches) in zip(grid, shown.items(), strict=True):
        devices = sorted(
            {key_of(row).device for rows in sums[model].values() for row in rows}, key=device_order
        )
        title = fmt.shortened(", ".join(names.lines(model)), 80)
        for ax, (batch, note) in zip(axes, batches.items(), strict=False):
            panel_title(ax, title, f"batch {batch}{note}")
            title = ""  # over the first panel of the row
            _draw_bars(ax, sums[model][batch], devices)
            _draw_axes(ax, devices, styles, 72 // columns)
        for ax in axes[len(batches) :]:
            ax.remove()
    return figure


def _batches(report: Report, model: PanelModel, sums: Mapping[int, object]) -> dict[int, str]:
    """Return the smallest batch size, the one nearest to the break-even, and the largest, with notes."""
    shown = dict.fromkeys((min(sums), max(sums)), "")
    for line in report.break_evens:
        at = line.crossing.batch_size
        if at and key_of(line)[:2] == (model, report.headline):
            nearest = min(sums, key=lambda batch: abs(math.log(batch / at)))
            shown[nearest] = ", near break-even"
            break
    return dict(sorted(shown.items()))


def _draw_bars(ax: Axes, rows: Sequence[PhaseSum], devices: Sequence[str]) -> None:
    places = [devices.index(key_of(row).device) for row in rows]
    for place, row in zip(places, rows, strict=True):
        bottom = 0.0
        for part, seconds in row.parts.items():
            ax.bar(place, seconds, 0.56, bottom, color=PHASE_COLORS[part], edgecolor=INK, linewidth=0.5)
            bottom += seconds
        ax.plot([place - 0.4, place + 0.4], [row.train_s] * 2, color=INK, linewidth=1.8, zorder=4)
        if row.low_s is not None and row.high_s is not None:
            ax.vlines(place, row.low_s, row.high_s, color=INK, linewidth=1, zorder=4)
        if row.is_complete:
            top = max(bottom, row.high_s or row.train_s)
            write(ax, _signed(row.residual), (place, top), (0, 2), ha="center")
    for place in set(range(len(devices))) - set(places):
        write(ax, "none", (place, 0), (0, 2), ha="center")
    ax.set_xlim(-0.6, len(devices) - 0.4)
    ax.set_ylim(0, 1.22 * max(max(sum(row.parts.values()), row.high_s or row.train_s) for row in rows))


def _draw_axes(ax: Axes, devices: Sequence[str], styles: Mapping[str, tuple[str, str]], room: int) -> None:
    """Label seconds on y, and on x each device with its marker; `room` is in characters."""
    ax.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_formatter(SECONDS_FORMAT)
    ax.grid(visible=True, axis="y")
    ax.set_xticks(
        range(len(devices)), [fmt.shortened(name, max(5, room // len(devices))) for name in devices]
    )
    ax.tick_params(axis="x", pad=8)
    for place, device in enumerate(devices):
        color, marker = styles[device]
        dots: Any = {"color": color, "marker": marker, "markersize": 5, "clip_on": False}
        ax.plot(place, -0.08, transform=ax.get_xaxis_transform(), **dots)


def _handles(shown: Iterable[Mapping[int, Sequence[PhaseSum]]]) -> list[Artist]:
    present = {part for sums in shown for rows in sums.values() for row in rows for part in row.parts}
    parts: list[Artist] = [
        Patch(facecolor=color, edgecolor=INK, linewidth=0.5, label=part)
        for part, color in PHASE_COLORS.items()
        if part in present
    ]
    return [*parts, Line2D([], [], color=INK, linewidth=1.8, label="step timed as a whole")]


def _signed(residual: float) -> str:
    return f"{'+' if residual > 0 else ''}{fmt.percent(residual)}"


def _text(report: Report, sums: _Sums) -> str:
    """Describe the largest step of the first model."""
    model, batches = next(iter(sums.items()))
    batch = max(batches)
    bars = and_list([_bar_text(row) for row in batches[batch]])
    return (
        f"Phases of a training step for {fmt.plural(len(sums), 'model')}. "
        f"For {PanelNames(report).sentence(model)} at batch {batch}: {bars}."
    )


def _bar_text(row: PhaseSum) -> str:
    parts = ", ".join(f"{part} {fmt.seconds(seconds)}" for part, seconds in row.parts.items())
    text = f"{key_of(row).device} spends {parts}; the whole step takes {fmt.seconds(row.train_s)}"
    if not row.is_complete:
        return text
    more = "more" if row.residual > 0 else "less"
    return f"{text}, its parts together {fmt.percent(abs(row.residual))} {more}"


PHASES = Drawing(
    "Phases",
    "Each bar stacks the phases of one training step; the line across it is the step timed as a whole.",
    _sums,
    _plot,
    _text,
)
