"""The record as pictures: frame -> matplotlib Figure.

Owns colours, markers, axes and layout. Computes nothing: every number drawn stands in the record. Uses
Figure objects without pyplot, so that no window system and no global state is touched.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from breakeven.analysing import words
from breakeven.analysing.baseline import device_order, is_cpu
from breakeven.analysing.break_even import BreakEven
from breakeven.analysing.record import Report
from breakeven.analysing.speedup import Speedup
from breakeven.reporting.escaping import plot_text

MAX_PANELS = 48
"""More models than this make a picture nobody reads; the rest is said to be missing."""

_COLOURS = {"cpu": "#0072B2", "accelerator": "#D55E00"}
_OTHERS = (("#009E73", "^"), ("#CC79A7", "D"), ("#56B4E9", "v"))
_STYLE: Any = {
    "text.parse_math": False,  # a dollar in a name is a dollar
    "svg.hashsalt": "breakeven",  # else the ids, and so the file, differ from one drawing to the next
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def device_styles(devices: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return one colour (Okabe-Ito) and one marker for each device, the same in every figure of a report.

    >>> device_styles(["cuda", "cpu@1", "cpu"])
    {'cpu': ('#0072B2', 'o'), 'cpu@1': ('#009E73', '^'), 'cuda': ('#D55E00', 's')}
    """
    styles: dict[str, tuple[str, str]] = {}
    others = 0
    accelerator = None
    for device in sorted(set(devices), key=device_order):
        if device == "cpu":
            styles[device] = (_COLOURS["cpu"], "o")
        elif not is_cpu(device) and accelerator is None:
            accelerator = device
            styles[device] = (_COLOURS["accelerator"], "s")
        else:
            styles[device] = _OTHERS[others % len(_OTHERS)]
            others += 1
    return styles


def speedup_figure(report: Report) -> Figure:
    """Return the speedup over batch size in the headline phase, a panel for each model.

    Both axes are base-2 logarithms and shared; a heavy line marks 1x, a band the 95% interval, hollow
    markers what is undecided or the same, and a diamond with whiskers the break-even. Lines join
    neighbouring measured batch sizes and never cross a hole.
    """
    with mpl.rc_context(_STYLE):
        panels = _panels(report)
        if not panels:
            return _empty(report)
        shown = panels[:MAX_PANELS]
        columns = min(4, len(shown)) if len(shown) != 3 else 3
        rows = math.ceil(len(shown) / columns)
        figure = Figure(figsize=(max(6.4, 2.55 * columns + 0.6), 2.1 * rows + 1.35), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        styles = device_styles(report.cases["device"])
        for ax, (title, lines) in zip(axes, shown, strict=False):
            for line in lines:
                _draw_line(ax, line, _known(line), *styles[line.candidate])
            ax.set_title(title, loc="left")
        _scale(
            axes[: len(shown)],
            [row for _, lines in shown for line in lines for row in _known(line)],
        )
        for ax in axes[len(shown) :]:
            ax.set_visible(False)
        for ax in axes[max(0, len(shown) - columns) : len(shown)]:
            ax.tick_params(labelbottom=True)
        _frame_texts(figure, report, [line for _, lines in shown for line in lines], len(panels) - len(shown))
        return figure


def to_svg(figure: Figure) -> bytes:
    """Return the figure as SVG, byte for byte the same for the same figure."""
    return _saved(figure, "svg", {"Date": None})


def to_png(figure: Figure) -> bytes:
    """Return the figure as PNG, legible in print at twice the size."""
    return _saved(figure, "png", {"Software": None})


def _saved(figure: Figure, form: str, metadata: dict[str, str | None]) -> bytes:
    stream = io.BytesIO()
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # A name in a script that the font lacks shows boxes; that is no reason to speak on stderr.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        figure.savefig(stream, format=form, dpi=160, metadata=metadata)
    return stream.getvalue()


def _panels(report: Report) -> list[tuple[str, list[BreakEven]]]:
    panels: dict[tuple[str, str, str], list[BreakEven]] = {}
    for line in report.break_evens:
        if line.phase == report.headline and any(row.speedup for row in line.rows):
            panels.setdefault((line.class_id, line.workload, line.axes), []).append(line)
    several = len({class_id for class_id, _, _ in panels}) > 1
    return [("\n".join(filter(None, _titles(report, key, several))), lines) for key, lines in panels.items()]


def _titles(report: Report, key: tuple[str, str, str], several: bool) -> tuple[str, ...]:
    class_id, workload, axes = key
    machine = plot_text(report.label(class_id)) if several else ""
    return plot_text(workload, 32), plot_text(axes, 36), machine


def _known(line: BreakEven) -> list[Speedup]:
    return [row for row in line.rows if row.speedup is not None]


def _draw_line(ax: Axes, line: BreakEven, rows: Sequence[Speedup], colour: str, marker: str) -> None:
    for piece in _pieces(rows, line.holes):
        x = [row.batch_size for row in piece]
        ax.plot(x, [row.speedup or math.nan for row in piece], color=colour, linewidth=1.4, zorder=3)
        low = [row.low or row.speedup or math.nan for row in piece]
        high = [row.high or row.speedup or math.nan for row in piece]
        ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0, zorder=2)
        ax.vlines(x, low, high, color=colour, linewidth=1, zorder=3)
    for row in rows:
        sure = row.verdict in ("faster", "slower")
        ax.plot(
            [row.batch_size],
            [row.speedup or math.nan],
            marker=marker,
            markersize=4.5,
            color=colour,
            markerfacecolor=colour if sure else "white",
            zorder=4,
        )
    found = line.crossing
    if found.batch_size is not None:
        ends = [found.low or line.batches[0], found.high or line.batches[-1]]
        ax.plot(ends, [1, 1], color=colour, linewidth=2.2, marker="|", markersize=8, zorder=5)
        ax.plot(
            [found.batch_size], [1], marker="d", markersize=8, color=colour, markeredgecolor="white", zorder=6
        )
        ax.annotate(
            words.batch(found.batch_size),
            (found.batch_size, 1),
            textcoords="offset points",
            xytext=(-6, 5),
            ha="right",
            color=colour,
            fontweight="bold",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.6},
            zorder=6,
        )


def _pieces(rows: Sequence[Speedup], holes: Sequence[int]) -> list[list[Speedup]]:
    """Return the stretches of neighbouring batch sizes without a hole between them."""
    pieces: list[list[Speedup]] = []
    for row in rows:
        before = pieces[-1][-1].batch_size if pieces else None
        if before is None or any(before < hole < row.batch_size for hole in holes):
            pieces.append([row])
        else:
            pieces[-1].append(row)
    return pieces


def _scale(axes: Iterable[Axes], rows: Sequence[Speedup]) -> None:
    batches = sorted({row.batch_size for row in rows})
    values = [value for row in rows for value in (row.low, row.speedup, row.high) if value]
    lowest, highest = min([*values, 0.5]), max([*values, 2.0])
    exponents = range(math.floor(math.log2(lowest)), math.ceil(math.log2(highest)) + 1)
    ticks = [
        2.0**e for e in exponents if e % (1 if len(exponents) <= 9 else 2 if len(exponents) <= 18 else 4) == 0
    ]
    for ax in axes:
        ax.set_xscale("log", base=2)
        ax.set_yscale("log", base=2)
        ax.set_xlim(batches[0] / 1.5, batches[-1] * 1.5)
        ax.set_ylim(lowest / 1.15, highest * 1.15)
        ax.xaxis.set_major_locator(FixedLocator(_thinned(batches)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: words.batch(value)))
        ax.yaxis.set_major_locator(FixedLocator(ticks))
        ax.yaxis.set_major_formatter(FuncFormatter(_ratio_tick))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_minor_locator(NullLocator())
        ax.grid(True, color="#dddddd", linewidth=0.6)
        ax.axhline(1, color="black", linewidth=1.8, zorder=1)


def _thinned(batches: Sequence[int]) -> list[float]:
    """Return batch sizes for ticks: far enough apart on a log axis for their labels."""
    kept: list[float] = []
    room = math.log2(batches[-1] / batches[0] or 1) / 7
    for batch in batches:
        if not kept or math.log2(batch / kept[-1]) >= room:
            kept.append(float(batch))
    return kept


def _ratio_tick(value: float, _: int) -> str:
    return f"1/{1 / value:.0f}x" if value < 1 else f"{value:.0f}x"


def _frame_texts(figure: Figure, report: Report, lines: Sequence[BreakEven], missing: int) -> None:
    baselines = ", ".join(dict.fromkeys(line.baseline for line in lines))
    styles = device_styles(report.cases["device"])
    handles = [
        Line2D([], [], color=styles[name][0], marker=styles[name][1], markersize=5, label=plot_text(name))
        for name in dict.fromkeys(line.candidate for line in lines)
    ]
    extra = [
        Line2D([], [], color="#666666", marker="d", linestyle="", markersize=7, label="break-even, 95%"),
        Line2D(
            [],
            [],
            color="#666666",
            marker="o",
            markerfacecolor="white",
            linestyle="",
            label="undecided or same",
        ),
    ]
    where = "; ".join(machine.label for machine in report.machines)
    title = plot_text(f"Speedup over {baselines} ({report.headline}, median, 95% interval) on {where}", 110)
    figure.legend(
        handles=[*handles, *extra],
        loc="outside upper center",
        ncols=min(len(handles) + 2, 4),
        frameon=False,
        title=title,  # a title of the figure's own would lie on top of the legend
        title_fontsize=11,
    )
    cut = f" ({missing} more models are in summary.csv)" if missing else ""
    figure.supxlabel(f"batch size{cut}", fontsize=9)
    figure.supylabel(f"speedup over {plot_text(baselines, 24)}", fontsize=9)


def _empty(report: Report) -> Figure:
    figure = Figure(figsize=(6.4, 2.4), layout="constrained")
    FigureCanvasAgg(figure)
    reason = "Nothing was timed." if not report.judged else "No two devices could be compared."
    figure.text(0.5, 0.5, reason, ha="center", va="center", fontsize=12)
    return figure
