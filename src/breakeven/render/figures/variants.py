"""Ways to be faster: the speedup of each variant over its plain form, a row for each, best first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from breakeven import format as fmt
from breakeven.grouping import grouped
from breakeven.render.figures.axes import RATIOS, limits
from breakeven.render.figures.drawing import Drawing, and_list, machine_text, missing_note
from breakeven.render.figures.models import report_styles
from breakeven.render.figures.panels import HALF
from breakeven.render.figures.sheet import Sheet, legend_size
from breakeven.render.figures.style import INK, NORMAL, PAPER, SMALL
from breakeven.report.report import Report
from breakeven.report.speedup import DeviceVerdict
from breakeven.report.text import ModelNames, model_names, speedup_text
from breakeven.report.variants import Variant

MAX_VARIANTS = 24

_EDGE, _LINE, _HEAD = 6, 11, 14  # points
_LINES, _BETWEEN = 3, 7  # the lines of a row, and points between rows
_PLOT, _NUMBERS = (158, 238), 246  # points from the left
_TICKS = 34  # of the height, below a plot
_CHARACTERS, _MAX_NUMBERS = 30, 20  # of a name, and of a line of numbers
_MAX_COLUMN = 6
"""Up to this many rows are one column; more are two."""

_MUTED = 0.7


def _best(report: Report) -> list[Variant]:
    """Return each variant of each model on each device at its best batch size, the largest speedup first."""
    groups = grouped(((way.sizes, way.name, way.place), way) for way in report.variants if _speedup(way))
    return sorted((max(ways, key=_speedup) for ways in groups.values()), key=_speedup, reverse=True)


def _speedup(way: Variant) -> float:
    return way.row.speedup or 0.0


def _plot(report: Report, ways: Sequence[Variant]) -> Figure:
    shown = ways[:MAX_VARIANTS]
    styles, models = report_styles(report), model_names(way.sizes for way in ways)
    count = len(shown) if len(shown) <= _MAX_COLUMN else math.ceil(len(shown) / 2)
    columns = [shown[:count], *([shown[count:]] if shown[count:] else [])]
    handles = _handles(shown, styles)
    notes = [*missing_note(len(ways) - len(shown), "variant"), machine_text(report)]
    numbers = {way: _numbers(way) for way in shown}
    row_height = _LINE * max(_LINES, *map(len, numbers.values())) + _BETWEEN
    head = _EDGE + _HEAD * (1 + legend_size(handles)[1]) + _EDGE
    foot = head + row_height * count + _TICKS
    sheet = Sheet(report, len(columns) * HALF, foot + _HEAD * len(notes))
    title = f"{VARIANTS.title}: speedup over the plain form"
    sheet.write(_EDGE, _EDGE, title, fontsize=NORMAL, fontweight="bold")
    sheet.legend(0, _EDGE + _HEAD, handles)
    for place, note in enumerate(notes):
        sheet.write(_EDGE, foot + _HEAD * place, fmt.shortened(note, 64))
    low, high = limits([1.0, *(end for way in shown for end in _ends(way))])
    for number, column in enumerate(columns):
        left = HALF * number
        ax = sheet.axes(left + _PLOT[0], head, _PLOT[1] - _PLOT[0], row_height * len(column))
        _draw_axes(ax, len(column), low, high)
        for place, way in enumerate(column):
            top = head + row_height * place + _BETWEEN / 2
            _draw_variant(ax, place, way, styles[way.place[0]])
            _write_lines(sheet, left + _EDGE, top, _names(report, way, models))
            _write_lines(sheet, left + _NUMBERS, top, numbers[way])
    return sheet.figure


def _draw_axes(ax: Axes, rows: int, low: float, high: float) -> None:
    """Make x a base-2 axis of speedups with a heavy line at 1x, and y one of rows without labels."""
    ax.set_xscale("log", base=2)
    ax.set_xlim(low, high)
    ax.set_ylim(rows - 0.5, -0.5)
    step = math.ceil(math.log2(high / low) / 2.5)
    ax.xaxis.set_major_locator(LogLocator(2.0**step, numticks=99))
    ax.xaxis.set_major_formatter(RATIOS)
    ax.minorticks_off()
    ax.set_xlabel("speedup", fontsize=SMALL)
    ax.set_yticks([])
    ax.grid(visible=True, axis="x")
    ax.spines["left"].set_visible(False)
    ax.axvline(1, color=INK, linewidth=1.8, zorder=1)


def _ends(way: Variant) -> tuple[float, float]:
    return way.row.low or _speedup(way), way.row.high or _speedup(way)


def _draw_variant(ax: Axes, place: int, way: Variant, style: tuple[str, str]) -> None:
    """Draw the speedup, hollow where it is undecided or the same, and its interval."""
    color, marker = style
    ax.plot(_ends(way), [place, place], color=color, linewidth=2, solid_capstyle="butt", gid="interval")
    face = color if way.row.verdict.sign else PAPER
    dots: Any = {"color": color, "marker": marker, "markersize": 5.5, "markerfacecolor": face, "zorder": 4}
    ax.plot([_speedup(way)], [place], **dots)


def _write_lines(sheet: Sheet, x: float, top: float, lines: Sequence[str]) -> None:
    for place, line in enumerate(lines):
        sheet.write(x, top + _LINE * place, line, alpha=_MUTED if place else 1)


def _names(report: Report, way: Variant, models: ModelNames) -> list[str]:
    """Return the variant, the model, and the batch size."""
    machine = f" on {report.labels[way.place[1]]}" if len(report.machines) > 1 else ""
    found = [way.name, models[way.sizes], f"batch {fmt.batch_size(way.row.batch_size)}{machine}"]
    return [fmt.shortened(name, _CHARACTERS) for name in found]


def _numbers(way: Variant) -> list[str]:
    """Return the speedup, the one-time costs, and whether the variant computes at lower precision."""
    once_s = (way.compile_s or 0.0) + (way.capture_s or 0.0)
    once = f"{fmt.seconds(once_s)} once" if way.has_one_time_cost else ""
    text = speedup_text(way.row)
    lines = [text] if len(text) <= _MAX_NUMBERS else text.replace(" [", "\n[").split("\n")
    return [*lines, *filter(None, (once, "less precise" if way.is_less_precise else ""))]


def _handles(shown: Iterable[Variant], styles: Mapping[str, tuple[str, str]]) -> list[Artist]:
    devices = {way.place[0] for way in shown}
    found: list[Artist] = [
        Line2D([], [], color=color, marker=marker, markersize=5, label=fmt.shortened(device, 20))
        for device, (color, marker) in styles.items()
        if device in devices
    ]
    if not all(way.row.verdict.sign for way in shown):
        style: dict[str, Any] = {"color": INK, "linestyle": "", "markerfacecolor": PAPER}
        found.append(Line2D([], [], marker="o", markersize=5, label="undecided or same", **style))
    return found


def _text(report: Report, ways: Sequence[Variant]) -> str:
    """Describe the best."""
    models = model_names(way.sizes for way in ways)
    faster = sum(way.row.verdict is DeviceVerdict.FASTER for way in ways)
    listed = and_list(
        [
            f"{', '.join(_names(report, way, models))} on {way.place[0]} {speedup_text(way.row)}"
            for way in ways
        ]
    )
    return (
        f"Speedup of {fmt.plural(len(ways), 'variant')} over the plain form, each at its best batch size. "
        f"{faster} of {len(ways)} {'is' if faster == 1 else 'are'} faster. From the best on: {listed}."
    )


VARIANTS = Drawing(
    "Ways to be faster",
    "The same training step on the same device, done in another way, at the batch size at which that helps "
    "it most. The time that compiling or capturing takes once is not in these speedups.",
    _best,
    _plot,
    _text,
    HALF,
)
