"""A map of models and batch sizes: the color of a cell shows which device is faster.

A block is one candidate, baseline, workload and machine; its rows are models, its columns batch sizes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from breakeven import format as fmt
from breakeven.case import axes_text
from breakeven.device_names import is_cpu
from breakeven.render.figures.axes import panel_title, ratio_tick, write
from breakeven.render.figures.drawing import Drawing, and_list, missing_note, new_figure
from breakeven.render.figures.models import (
    PanelModel,
    PanelNames,
    RowKey,
    baseline_of,
    batch_of,
    key_of,
    report_styles,
    select_models,
    untimed_cases,
)
from breakeven.render.figures.style import SMALL
from breakeven.report.report import Report

MAX_ROWS, MAX_COLUMNS = 36, 12
"""The maximum number of rows and columns."""

MIDDLE = "#f7f7f7"
"""The color if neither device is faster. Cells, and the text in them, keep their colors on a dark page."""

DARK, LIGHT = "#111111", "#fefefe"
"""Text in cells."""

UNDECIDED = "undecided"
HATCHES = {UNDECIDED: "///", "out of memory": "xxx", "skipped": "---", "failed": "++"}
"""The hatches of cells without a verdict or a timing."""

_OUTCOMES = {"oom": "out of memory", "skipped": "skipped"}  # all others are failures
_HATCH: Any = {"facecolor": "none", "edgecolor": "#8a8a8a", "linewidth": 0}
_SHADES = 45  # matplotlib would turn a color bar of 50 into a bitmap
_MAX_POWER = 6  # 2**6 in either direction has the full color; a single 1000x must not make all others pale
_MAX_LABEL = 32  # characters before a row


class MapCell(NamedTuple):
    """The speedup of a model at one batch size, and its verdict, or the reason if there is no speedup."""

    speedup: float | None
    verdict: str


@dataclass(frozen=True)
class Block:
    """Cells of one candidate over one baseline, by model and batch size."""

    baseline: str
    candidate: str
    rows: dict[PanelModel, dict[int, MapCell]]

    @property
    def batches(self) -> list[int]:
        """Every batch size with a cell, ascending."""
        return sorted({batch for cells in self.rows.values() for batch in cells})

    @property
    def columns(self) -> list[int]:
        """The batch sizes that are shown: all of them, or `MAX_COLUMNS` evenly spaced ones with both ends."""
        batches = self.batches
        last = min(len(batches), MAX_COLUMNS) - 1
        return [batches[round(i * (len(batches) - 1) / max(1, last))] for i in range(last + 1)]

    def powers(self) -> NDArray[Any]:
        """Return the base-2 logarithm of each shown speedup, NaN where there is none."""
        cells = [[of_model.get(batch) for batch in self.columns] for of_model in self.rows.values()]
        speedups = [[cell.speedup or math.nan if cell else math.nan for cell in row] for row in cells]
        return np.asarray(np.log2(np.array(speedups, dtype=float)))


def _blocks(report: Report) -> list[Block]:
    """Return a block for each machine, workload, candidate and baseline, accelerators first."""
    untimed: dict[RowKey, dict[int, MapCell]] = {}
    for outcome in untimed_cases(report, report.headline):
        cell = MapCell(None, _OUTCOMES.get(outcome.outcome, "failed"))
        untimed.setdefault(key_of(outcome), {})[batch_of(outcome)] = cell
    blocks: dict[tuple[object, ...], Block] = {}
    for row in report.speedups:
        key, base = key_of(row), baseline_of(row)
        if key.phase == report.headline:
            new = Block(base.device, key.device, {})
            rows = blocks.setdefault((key.model[:2], key.device, base.model[:2], base.device), new).rows
            if key.model not in rows:
                rows[key.model] = untimed.get(base, {}) | untimed.get(key, {})
            rows[key.model][batch_of(row)] = MapCell(row.speedup, row.verdict)
    return sorted(blocks.values(), key=lambda block: is_cpu(block.candidate))


def _plot(report: Report, every: Sequence[Block]) -> Figure:
    blocks, missing = _cut(every)
    left_out = max(len(block.batches) - len(block.columns) for block in blocks)
    pairs = list(dict.fromkeys((block.baseline, block.candidate) for block in blocks))
    rows = [len(block.rows) for block in blocks]
    figure = new_figure(
        report,
        0.55 * len(pairs) + 0.64 * len(blocks) + 0.26 * sum(rows),
        f"Speedup by model and batch size ({report.headline})",
        handles=_handles(blocks),
        notes=[*missing_note(missing), *missing_note(left_out, "batch size")],
    )
    axes = [*figure.subplots(len(blocks), 1, squeeze=False, height_ratios=rows).flat]
    norm, columns = _norm(blocks), max(6, *(len(block.columns) for block in blocks))
    shades = {pair: _shades(report, pair, norm) for pair in pairs}
    names = PanelNames(report)
    for ax, block in zip(axes, blocks, strict=True):
        _draw_cells(ax, block, shades[block.baseline, block.candidate])
        _label_block(ax, block, names)
        ax.set_xlim(0, columns)
    for pair, shade in shades.items():
        _color_bar(figure, axes, shade, pair)
    return figure


def _cut(blocks: Sequence[Block]) -> tuple[list[Block], int]:
    """Return blocks with at most `MAX_ROWS` rows together, and the number of omitted models."""
    models = list(dict.fromkeys(model for block in blocks for model in block.rows))
    per_model = max(1, math.ceil(sum(len(block.rows) for block in blocks) / len(models)))
    shown = set(select_models(models, max(1, MAX_ROWS // per_model)))
    kept = [
        replace(block, rows={model: cells for model, cells in block.rows.items() if model in shown})
        for block in blocks
    ]
    return [block for block in kept if block.rows][:MAX_ROWS], len(models) - len(shown)


def _norm(blocks: Iterable[Block]) -> Normalize:
    """Return the scale of powers of two on which the largest, or `_MAX_POWER`, has the full color."""
    powers = np.concatenate([block.powers().ravel() for block in blocks])
    end = min(_MAX_POWER, float(np.ceil(np.abs(powers[~np.isnan(powers)]).max(initial=1))))
    return Normalize(-end, end)


def _shades(report: Report, pair: tuple[str, str], norm: Normalize) -> ScalarMappable:
    """Return the scale from the color of the baseline over a near white to that of the candidate."""
    baseline, candidate = (report_styles(report)[device][0] for device in pair)
    colors = LinearSegmentedColormap.from_list("devices", [baseline, MIDDLE, candidate], N=_SHADES)
    return ScalarMappable(norm, colors)


def _handles(blocks: Iterable[Block]) -> list[Artist]:
    """Return a legend's handle for each hatch that is drawn."""
    present = {
        cells[batch].verdict
        for block in blocks
        for cells in block.rows.values()
        for batch in cells.keys() & block.columns
    }
    return [
        Patch(label=word, hatch=HATCHES[word], **_HATCH | {"linewidth": 0.8})
        for word in HATCHES
        if word in present
    ]


def _draw_cells(ax: Axes, block: Block, shade: Any) -> None:
    powers = block.powers()
    ax.pcolormesh(np.ma.masked_invalid(powers), cmap=shade.cmap, norm=shade.norm)
    for y, cells in enumerate(block.rows.values()):
        for x, batch in enumerate(block.columns):
            if cell := cells.get(batch):
                if hatch := HATCHES.get(cell.verdict):
                    ax.add_patch(Rectangle((x, y), 1, 1, hatch=hatch, **_HATCH))
                if cell.speedup:
                    _write_speedup(ax, x, y, cell, to_rgb(shade.to_rgba(powers[y, x])))
    edges = LineCollection(_edges(powers), colors=DARK, linewidths=2.4, capstyle="projecting")
    ax.add_collection(edges, autolim=False)


def _write_speedup(ax: Axes, x: int, y: int, cell: MapCell, ground: tuple[float, float, float]) -> None:
    speedup = cell.speedup or 0
    text = fmt.short_ratio(speedup)
    box = {"facecolor": ground, "edgecolor": "none", "pad": 0.8} if cell.verdict == UNDECIDED else None
    style: Any = {"ha": "center", "va": "center", "fontsize": SMALL, "color": text_color(ground)}
    ax.text(x + 0.5, y + 0.5, text, bbox=box, **style)


def _edges(powers: NDArray[Any]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return the edges between neighboring cells on either side of 1x."""
    faster = np.where(np.isnan(powers), np.nan, powers > 0)
    upright = [((x + 1, y), (x + 1, y + 1)) for y, x in np.argwhere(np.abs(np.diff(faster, axis=1)) == 1)]
    level = [((x, y + 1), (x + 1, y + 1)) for y, x in np.argwhere(np.abs(np.diff(faster, axis=0)) == 1)]
    return [*upright, *level]


def text_color(ground: tuple[float, float, float]) -> str:
    """Return the color of text with the higher contrast on `ground`, by the WCAG's contrast ratio.

    >>> text_color((1.0, 1.0, 0.9)), text_color((0.0, 0.2, 0.5))
    ('#111111', '#fefefe')
    """
    return max((DARK, LIGHT), key=lambda color: abs(_lightness(to_rgb(color)) - _lightness(ground)))


def _lightness(color: Sequence[float]) -> float:
    """Return the logarithm of the luminance term of WCAG's contrast ratio."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
    return math.log(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)


def _label_block(ax: Axes, block: Block, names: PanelNames) -> None:
    """Name the block, its columns, and its rows by the values of the axes that differ."""
    first, *_ = block.rows
    pair = f"{fmt.shortened(block.candidate, 12)} over {fmt.shortened(block.baseline, 12)}"
    constant = first.axes.without(names.varying_axes(first)).text
    rest = ", ".join(filter(None, [constant, names.machine(first)]))
    panel_title(ax, f"{fmt.shortened(first.workload, 30)}: {pair}", fmt.shortened(rest, 60), lift=16)
    values = {
        model: [axes_text({k: v}).partition("=")[2] for k, v in names.varying_axes(model).items()]
        for model in block.rows
    }
    rows = [fmt.shortened(", ".join(texts) or model.workload, _MAX_LABEL) for model, texts in values.items()]
    ax.set_xticks(np.arange(len(block.columns)) + 0.5, [fmt.batch_size(batch) for batch in block.columns])
    ax.set_yticks(np.arange(len(rows)) + 0.5, rows)
    ax.tick_params(labeltop=True, labelbottom=False, length=0)
    ax.invert_yaxis()
    ax.spines[:].set_visible(False)
    corner = " | ".join(filter(None, [", ".join(names.varying_axes(first)), "batch size"]))
    write(ax, fmt.shortened(corner, _MAX_LABEL), (0, 1), (-4, 3.5), xycoords="axes fraction", ha="right")


def _color_bar(figure: Figure, axes: Sequence[Axes], shade: ScalarMappable, pair: tuple[str, str]) -> None:
    """Draw the scale of one pair of devices between their names."""
    bar = figure.colorbar(
        shade,
        ax=axes,
        location="top",
        shrink=0.6,
        aspect=30,
        pad=0.02,
        ticks=MaxNLocator(4, integer=True, symmetric=True),
        format=FuncFormatter(lambda power, _: ratio_tick(2.0**power)),
    )
    bar.outline.set_visible(False)
    for x, side, device in ((-0.02, "right", pair[0]), (1.02, "left", pair[1])):
        text = f"{fmt.shortened(device, 12)} faster"
        bar.ax.text(x, 0.5, text, transform=bar.ax.transAxes, ha=side, va="center", fontsize=SMALL)


def _text(report: Report, blocks: Sequence[Block]) -> str:
    """Count the cells each device wins, and name the extremes."""
    verdicts: dict[tuple[str, str], Counter[str]] = {}
    timed = []
    for block in blocks:
        for model, cells in block.rows.items():
            verdicts.setdefault((block.candidate, block.baseline), Counter()).update(
                cell.verdict for cell in cells.values()
            )
            timed += [(cell.speedup, block.candidate, b, model) for b, cell in cells.items() if cell.speedup]
    counts = and_list([_counts(*pair, counted) for pair, counted in verdicts.items()])
    text = f"Map of the speedup of {fmt.plural(len({cell[-1] for cell in timed}), 'model')}: {counts}."
    if not timed:
        return text
    sentence = PanelNames(report).sentence
    lowest, highest = (
        f"{fmt.ratio(speedup)} ({candidate}, batch {batch}, {sentence(model)})"
        for speedup, candidate, batch, model in (pick(timed, key=lambda cell: cell[0]) for pick in (min, max))
    )
    return f"{text} The speedups range from {lowest} to {highest}."


def _counts(candidate: str, baseline: str, counted: Counter[str]) -> str:
    words = ("faster", "slower", "same", UNDECIDED)
    cells = fmt.plural(sum(counted[word] for word in words), "cell")
    parts = [f"{counted[word]} {word}" for word in words[1:] if counted[word]]
    return ", ".join([f"{candidate} is faster than {baseline} in {counted['faster']} of {cells}", *parts])


SPEEDUP_MAP = Drawing(
    "Map of speedups",
    "Each cell is a model at one batch size, in the color of the faster device; the heavy line is 1x.",
    _blocks,
    _plot,
    _text,
    lambda _: "There is no map of speedups, because no two devices could be compared.",
)
