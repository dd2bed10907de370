"""Draws the blocks of the map of speedups, in two columns, from names and cells."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from breakeven import format as fmt
from breakeven.render.figures.drawing import machine_text, missing_note, text_width
from breakeven.render.figures.models import report_styles
from breakeven.render.figures.panels import HALF
from breakeven.render.figures.sheet import Sheet, legend_size
from breakeven.render.figures.style import NORMAL, SMALL, main_device
from breakeven.report.report import Report
from breakeven.report.speedup import DeviceVerdict

MIDDLE = "#f7f7f7"
"""The color if neither device is faster. Cells, and the text in them, keep their colors on a dark page."""

DARK, LIGHT = "#111111", "#fefefe"
"""Text in cells."""

OTHER = "#E69F00"
"""The candidate's color if the baseline is the same device on another machine, or a variant of it."""

UNDECIDED = str(DeviceVerdict.UNDECIDED)
HATCHES = {UNDECIDED: "///", "out of memory": "xxx", "skipped": "---", "failed": "++"}
"""The hatches of cells without a verdict or a timing."""

_HATCH: Any = {"facecolor": "none", "edgecolor": "#8a8a8a", "linewidth": 0}
_MAX_POWER = 6  # 2**6 in either direction has the full color; a single 1000x must not make all others pale
_MAX_LABEL = 20  # characters before a row
_EDGE, _LINE, _CELL, _HEAD = 6, 12, 23, 42  # points; the head is above the cells of a block
_PADDING, _MAX_CELL = 6, 62  # around the text of a cell; its width


class MapCell(NamedTuple):
    """The speedup of a model at one batch size, and its verdict, or the reason if there is no speedup."""

    speedup: float | None
    verdict: str

    @property
    def text(self) -> str:
        """The text in the cell: how many times faster, or slower, the candidate is."""
        if not self.speedup:
            return ""
        if self.verdict == DeviceVerdict.SAME:
            return "same"
        is_slower = self.speedup < 1
        times = 1 / self.speedup if is_slower else self.speedup
        text = fmt.ratio(times) if times < 10_000 else f"{times:.0e}x"
        return f"{text}\nslower" if is_slower else text


@dataclass(frozen=True)
class BlockView:
    """A block as it is drawn: its names, each side's name and device, and its rows with their labels."""

    workload: str
    axes: str
    corner: str
    baseline: tuple[str, str]
    candidate: tuple[str, str]
    rows: Sequence[tuple[str, Mapping[int, MapCell]]]

    @property
    def batches(self) -> list[int]:
        """Every batch size with a cell, ascending."""
        return sorted({batch for _, cells in self.rows for batch in cells})

    def powers(self, batches: Sequence[int]) -> NDArray[Any]:
        """Return the base-2 logarithm of each speedup, NaN where there is none."""
        found = [[cells.get(batch) for batch in batches] for _, cells in self.rows]
        speedups = [[cell.speedup or math.nan if cell else math.nan for cell in row] for row in found]
        return np.asarray(np.log2(np.array(speedups, dtype=float)))

    def signs(self, batches: Sequence[int]) -> NDArray[Any]:
        """Return 1 where the candidate is faster, -1 where it is slower, 0 elsewhere."""
        sign = {str(DeviceVerdict.FASTER): 1, str(DeviceVerdict.SLOWER): -1}
        found = [[cells.get(batch) for batch in batches] for _, cells in self.rows]
        return np.array([[sign.get(cell.verdict, 0) if cell else 0 for cell in row] for row in found])

    @property
    def height(self) -> float:
        """The height in points."""
        return _HEAD + _CELL * len(self.rows) + _LINE


class _Shades:
    """The colors from that of the baseline over a near white to that of the candidate."""

    def __init__(self, baseline: str, candidate: str, end: float) -> None:
        self.cmap = LinearSegmentedColormap.from_list("devices", [baseline, MIDDLE, candidate], N=255)
        self.norm = Normalize(-end, end)

    def of(self, power: float) -> tuple[float, float, float]:
        """Return the color of a power of two."""
        red, green, blue, _ = self.cmap(self.norm(power))
        return red, green, blue


def draw_blocks(report: Report, blocks: Sequence[BlockView], missing: int) -> Figure:
    """Return the figure, the blocks in one column, or in two of about the same height."""
    places, height = _places(blocks)
    handles = _handles(blocks)
    sheet_columns = 1 + max(column for column, _ in places)
    notes = [fmt.shortened(note, 64) for note in (*missing_note(missing), machine_text(report))]
    head = _EDGE + _LINE * (1 + legend_size(handles)[1]) + 8
    total = head + height + _LINE * len(notes) + _EDGE
    sheet = Sheet(report, sheet_columns * HALF, total)
    sheet.write(
        _EDGE, _EDGE, f"Speedup by batch size ({report.headline})", fontsize=NORMAL, fontweight="bold"
    )
    sheet.legend(0, _EDGE + _LINE, handles)
    end = _full_power(blocks)
    for block, (column, top) in zip(blocks, places, strict=True):
        shades = _Shades(*_ends(report, block), end)
        _draw_block(sheet, block, shades, (column * HALF + _EDGE, head + top))
    for number, note in enumerate(notes):
        sheet.write(_EDGE, head + height + _LINE * number, note)
    return sheet.figure


def _places(blocks: Sequence[BlockView]) -> tuple[list[tuple[int, float]], float]:
    """Return each block's column and its distance from the top, and the height of both columns."""
    tops, found = [0.0, 0.0], []
    for block in blocks:
        column = tops.index(min(tops))
        found.append((column, tops[column]))
        tops[column] += block.height
    return found, max(tops)


def _ends(report: Report, block: BlockView) -> tuple[str, str]:
    """Return two different colors, those of the devices where possible."""
    styles = report_styles(report)
    devices = block.baseline[1], block.candidate[1]
    same = len(set(map(main_device, devices))) == 1
    baseline, candidate = (styles[device][0] for device in devices)
    return baseline, OTHER if same else candidate


def _full_power(blocks: Sequence[BlockView]) -> float:
    """Return the power of two with the full color: the largest, or `_MAX_POWER`."""
    powers = np.concatenate([block.powers(block.batches).ravel() for block in blocks])
    return min(_MAX_POWER, float(np.ceil(np.abs(powers[~np.isnan(powers)]).max(initial=1))))


def _handles(blocks: Iterable[BlockView]) -> list[Artist]:
    """Return a legend's handle for each hatch that is drawn."""
    present = {cell.verdict for block in blocks for _, cells in block.rows for cell in cells.values()}
    return [
        Patch(label=word, hatch=hatch, **_HATCH | {"linewidth": 0.8})
        for word, hatch in HATCHES.items()
        if word in present
    ]


def _draw_block(sheet: Sheet, block: BlockView, shades: _Shades, corner: tuple[float, float]) -> None:
    left, top = corner
    labels = [fmt.shortened(label, _MAX_LABEL) for label, _ in block.rows]
    head = fmt.shortened(block.corner, _MAX_LABEL)
    start = left + max(map(text_width, (*labels, head))) + 5
    batches, width = _columns(block, left + HALF - 2 * _EDGE - start)
    _write_names(sheet, block, shades, corner)
    sheet.write(start - 5, top + _HEAD - _LINE, head, ha="right")
    for x, batch in enumerate(batches):
        sheet.write(start + width * (x + 0.5), top + _HEAD - _LINE, f"{batch:,}", ha="center")
    for y, label in enumerate(labels):
        middle = top + _HEAD + _CELL * (y + 0.5)
        sheet.write(start - 5, middle, label, ha="right", va="center")
    ax = sheet.axes(start, top + _HEAD, width * len(batches), _CELL * len(labels))
    ax.set_axis_off()
    _draw_cells(ax, block, batches, shades)
    ax.set(xlim=(0, len(batches)), ylim=(len(labels), 0))


def _columns(block: BlockView, room: float) -> tuple[list[int], float]:
    """Return the batch sizes that fit, evenly spaced with both ends, and the width of a cell."""
    lines = {line for _, cells in block.rows for cell in cells.values() for line in cell.text.split("\n")}
    texts = {*lines, *(f"{batch:,}" for batch in block.batches)}
    widest = max(map(text_width, texts)) + _PADDING
    every = block.batches
    last = max(1, min(len(every), int(room // widest))) - 1
    shown = [every[round(i * (len(every) - 1) / max(1, last))] for i in range(last + 1)]
    return shown, min(room / len(shown), _MAX_CELL)


def _write_names(sheet: Sheet, block: BlockView, shades: _Shades, corner: tuple[float, float]) -> None:
    """Write the workload with its constant axes, and below it which color is which device."""
    x, y = corner
    workload = fmt.shortened(block.workload, 24)
    sheet.write(x, y, workload, fontweight="bold")
    beside = x + text_width(workload, bold=True) + 5
    sheet.write(beside, y, fmt.shortened(block.axes, 60 - len(workload)))
    for color, (name, _) in ((shades.cmap(0.0), block.baseline), (shades.cmap(1.0), block.candidate)):
        text = f"{fmt.shortened(name, 24)} faster"
        sheet.patch(x, y + 14, 8, 8, color)
        sheet.write(x + 11, y + 13, text)
        x += 11 + text_width(text) + 12


def _draw_cells(ax: Axes, block: BlockView, batches: Sequence[int], shades: _Shades) -> None:
    powers = block.powers(batches)
    ax.pcolormesh(np.ma.masked_invalid(powers), cmap=shades.cmap, norm=shades.norm)
    for y, (_, cells) in enumerate(block.rows):
        for x, batch in enumerate(batches):
            if cell := cells.get(batch):
                if hatch := HATCHES.get(cell.verdict):
                    ax.add_patch(Rectangle((x, y), 1, 1, hatch=hatch, **_HATCH))
                if cell.text:
                    _write_cell(ax, x, y, cell, shades.of(powers[y, x]))
    edges = LineCollection(_edges(block.signs(batches)), colors=DARK, linewidths=2.4, capstyle="projecting")
    ax.add_collection(edges, autolim=False)


def _write_cell(ax: Axes, x: int, y: int, cell: MapCell, ground: tuple[float, float, float]) -> None:
    box = {"facecolor": ground, "edgecolor": "none", "pad": 0.8} if cell.verdict == UNDECIDED else None
    style: Any = {"ha": "center", "va": "center", "fontsize": SMALL, "color": text_color(ground)}
    ax.text(x + 0.5, y + 0.5, cell.text, bbox=box, linespacing=0.95, gid="cell", **style)


def _edges(signs: NDArray[Any]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return the edges between neighboring cells of which one is faster and one is slower."""
    upright = [((x + 1, y), (x + 1, y + 1)) for y, x in np.argwhere(np.abs(np.diff(signs, axis=1)) == 2)]
    level = [((x, y + 1), (x + 1, y + 1)) for y, x in np.argwhere(np.abs(np.diff(signs, axis=0)) == 2)]
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
