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
from breakeven.render.figures.axes import RATIOS, limits, write
from breakeven.render.figures.drawing import Drawing, and_list, missing_note, new_figure
from breakeven.render.figures.models import report_styles
from breakeven.render.figures.style import INK, PAPER
from breakeven.report.report import Report
from breakeven.report.speedup import DeviceVerdict
from breakeven.report.text import ModelNames, model_names, speedup_text
from breakeven.report.variants import Variant

MAX_VARIANTS = 24

_ROW = 0.36  # inches
_WIDTHS = (0.38, 0.32, 0.3)  # names, plot, numbers
_CHARACTERS = 33  # of a name
_LEADING = 5  # points from the middle of a row to the baselines of its two lines


def _best(report: Report) -> list[Variant]:
    """Return each variant of each model on each device at its best batch size, the largest speedup first."""
    groups = grouped(((way.sizes, way.name, way.place), way) for way in report.variants if _speedup(way))
    return sorted((max(ways, key=_speedup) for ways in groups.values()), key=_speedup, reverse=True)


def _speedup(way: Variant) -> float:
    return way.row.speedup or 0.0


def _plot(report: Report, ways: Sequence[Variant]) -> Figure:
    shown = ways[:MAX_VARIANTS]
    styles, models = report_styles(report), model_names(way.sizes for way in ways)
    figure = new_figure(
        report,
        0.3 + _ROW * len(shown),
        f"{VARIANTS.title}: speedup over the plain form",
        handles=_handles(shown, styles),
        notes=missing_note(len(ways) - len(shown), "variant"),
    )
    names, ax, numbers = figure.subplots(1, 3, width_ratios=_WIDTHS)
    for side in (names, numbers):
        side.set_axis_off()
        side.set_ylim(len(shown) - 0.5, -0.5)
    _draw_axes(ax, shown)
    for place, way in enumerate(shown):
        _draw_variant(ax, place, way, styles[way.place[0]])
        _write_lines(names, place, *_names(report, way, models))
        _write_lines(numbers, place, speedup_text(way.row), _remarks(way))
    return figure


def _draw_axes(ax: Axes, shown: Sequence[Variant]) -> None:
    """Make x a base-2 axis of speedups with a heavy line at 1x, and y one of rows without labels."""
    low, high = limits([1.0, *(end for way in shown for end in _ends(way))])
    ax.set_xscale("log", base=2)
    ax.set_xlim(low, high)
    ax.set_ylim(len(shown) - 0.5, -0.5)
    powers = math.log2(high / low)
    step = 1 if powers < 5 else math.ceil(powers / 3)  # long labels need room
    ax.xaxis.set_major_locator(LogLocator(2.0**step, numticks=99))
    ax.xaxis.set_major_formatter(RATIOS)
    ax.minorticks_off()
    ax.set_xlabel("speedup, 95% interval")
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


def _write_lines(ax: Axes, place: int, first: str, second: str) -> None:
    write(ax, first, (0, place), (0, _LEADING), va="center", fontweight="bold")
    write(ax, second, (0, place), (0, -_LEADING), va="center")


def _names(report: Report, way: Variant, models: ModelNames) -> tuple[str, str]:
    """Return the variant, and the model with its batch size."""
    machine = f" on {report.labels[way.place[1]]}" if len(report.machines) > 1 else ""
    batch = f", batch {fmt.batch_size(way.row.batch_size)}"
    model = fmt.shortened(models[way.sizes].replace(" at ", " ", 1), _CHARACTERS - len(batch))
    return fmt.shortened(way.name + machine, _CHARACTERS - 3), model + batch


def _remarks(way: Variant) -> str:
    """Return the one-time costs, and whether the variant computes at lower precision."""
    once_s = (way.compile_s or 0.0) + (way.capture_s or 0.0)
    once = f"{fmt.seconds(once_s)} once" if way.has_one_time_cost else ""
    return ", ".join(filter(None, (once, "less precise" if way.is_less_precise else "")))


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
)
