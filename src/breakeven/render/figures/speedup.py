"""Step time and speedup over batch size, side by side: a row for each workload, a line for each model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from breakeven import format as fmt
from breakeven.grouping import grouped
from breakeven.phases import HEADLINE, Phase
from breakeven.render.figures.axes import RATIOS, SECONDS_FORMAT
from breakeven.render.figures.curves import CrossingPoint, Curve, Curves, Point, value_curves
from breakeven.render.figures.drawing import Drawing, and_list
from breakeven.render.figures.models import PanelNames, baseline_of, batch_of, key_of, main_phase
from breakeven.render.figures.panels import (
    HALF,
    MAX_PANELS,
    Column,
    Panel,
    Scale,
    device_handles,
    draw_columns,
    flow,
    select_groups,
    split_models,
)
from breakeven.render.figures.style import PAPER
from breakeven.report.break_even import BreakEven
from breakeven.report.report import Report
from breakeven.report.text import phase_name

_MAX_DESCRIBED = 12
_TIME = Scale(SECONDS_FORMAT)
_SPEEDUP = Scale(RATIOS, base=2, visible=(0.5, 2.0), line=1.0)


@dataclass(frozen=True)
class _Data:
    times: Curves
    speedups: Curves

    def __bool__(self) -> bool:
        return bool(self.times)


def _select(report: Report) -> _Data:
    times = value_curves(
        report,
        main_phase(report),
        lambda row: Point(batch_of(row), row.estimate.median_s, row.estimate.low_s, row.estimate.high_s),
    )
    lines = [line for line in report.break_evens if line.phase == report.headline]
    speedups = grouped(
        (key_of(line).model, _curve(line)) for line in lines if any(row.speedup for row in line.rows)
    )
    return _Data(times, speedups)


def _plot(report: Report, data: _Data) -> Figure:
    phase = main_phase(report)
    of_batch = "a batch in " if phase in (Phase.INFER, Phase.LOAD, Phase.EPOCH) else ""
    heading = f"Time of {'a training step' if phase == HEADLINE else of_batch + phase_name(phase)}"
    handles = device_handles(report, data.times)
    if not data.speedups:
        kept, missing = select_groups(split_models(data.times), 2 * MAX_PANELS)
        panels = [Panel(group, data.times, _TIME) for group in kept]
        return draw_columns(report, flow(panels, heading, handles), missing)
    compared = {model: data.speedups.get(model, ()) for model in data.times}
    kept, missing = select_groups(split_models(compared), MAX_PANELS)
    times = [Panel(group, data.times, _TIME) for group in kept]
    speedups = [Panel(group, data.speedups, _SPEEDUP) for group in kept]
    columns = [
        Column(heading, handles, times),
        Column(
            f"Speedup over {_baselines(report)}",
            _handles(data.speedups),
            [p if p.lines else None for p in speedups],
        ),
    ]
    return draw_columns(report, columns, missing)


def _baselines(report: Report) -> str:
    """Return what the speedups are relative to; with its machine where that is another one."""
    pairs = [(baseline_of(line), key_of(line)) for line in report.break_evens]
    is_elsewhere = any(base.model.machine != own.model.machine for base, own in pairs)
    found = [
        f"{base.device} on {report.labels[base.model.machine]}" if is_elsewhere else base.device
        for base, _ in pairs
    ]
    return fmt.shortened(", ".join(dict.fromkeys(found)), 40)


def _curve(line: BreakEven) -> Curve:
    points = tuple(
        Point(batch_of(row), row.speedup, row.low, row.high, row.verdict.sign != 0)
        for row in line.rows
        if row.speedup
    )
    found, at = line.crossing, line.crossing.batch_size
    crossing = (
        None
        if at is None
        else CrossingPoint(at, found.low or line.batches[0], found.high or line.batches[-1])
    )
    return Curve(key_of(line).device, points, line.holes, crossing)


def _handles(curves: Curves) -> list[Artist]:
    """Return a legend's handles for the marks that are drawn."""
    every = [curve for of_model in curves.values() for curve in of_model]
    style: dict[str, Any] = {"color": "#777777", "linestyle": ""}
    found: list[Artist] = []
    if any(curve.crossing for curve in every):
        found.append(Line2D([], [], marker="d", markersize=7, label="break-even", **style))
    if not all(point.sure for curve in every for point in curve.points):
        label = "undecided or same (within 2%)"
        found.append(Line2D([], [], marker="o", markerfacecolor=PAPER, label=label, **style))
    return found


def _text(report: Report, data: _Data) -> str:
    """Return the ends of the lines of each model: their speedups, or else their times."""
    names, curves = PanelNames(report), data.speedups or data.times
    parts = [
        f"{names.sentence(model)}, {_ends(curve, bool(data.speedups))}"
        for model, of_model in curves.items()
        for curve in of_model
    ]
    what = f"Speedup over {_baselines(report)}" if data.speedups else "Time"
    return f"{what} over batch size ({main_phase(report)}). {and_list(parts, _MAX_DESCRIBED)}."


def _ends(curve: Curve, is_ratio: bool) -> str:
    number = fmt.ratio if is_ratio else fmt.seconds
    first, last = curve.points[0], curve.points[-1]
    text = f"{curve.device}: {number(first.value)} at batch {first.batch:,}"
    if first is not last:
        text += f" to {number(last.value)} at {last.batch:,}"
    return text if curve.crossing is None else f"{text}, break-even {fmt.break_even(curve.crossing.at)}"


SPEEDUP = Drawing(
    "Speedup and step time",
    "Points are medians, joined by straight lines; bands are 95% intervals.",
    _select,
    _plot,
    _text,
    HALF,
)
