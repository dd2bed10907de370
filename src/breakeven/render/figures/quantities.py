"""Throughput and peak memory over batch size: a panel for each workload, a line for each model and device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure

from breakeven import format as fmt
from breakeven.render.figures.axes import SCALED
from breakeven.render.figures.curves import Curves, Point, value_curves
from breakeven.render.figures.drawing import Drawing, and_list
from breakeven.render.figures.models import PanelModel, PanelNames, batch_of, main_phase
from breakeven.render.figures.panels import (
    HALF,
    MAX_PANELS,
    Panel,
    Scale,
    device_handles,
    draw_columns,
    flow,
    select_groups,
    split_models,
)
from breakeven.report.report import Report


def _drawing(
    title: str,
    caption: str,
    unit: str,
    *,
    phase: Callable[[Report], str | None],
    point: Callable[[Any], Point | None],
) -> Drawing[Curves]:
    """Return the figure of a quantity."""

    def plot(report: Report, curves: Curves) -> Figure:
        kept, missing = select_groups(split_models(curves), MAX_PANELS)
        panels = [Panel(group, curves, Scale(SCALED)) for group in kept]
        heading = f"{title} ({fmt.shortened(str(phase(report)), 20)}), {unit}"
        return draw_columns(report, flow(panels, heading, device_handles(report, curves)), missing)

    def text(report: Report, curves: Curves) -> str:
        number = fmt.plural(len(curves), "model")
        return f"{title} over batch size for {number}. Maximum: {_highest(report, curves, unit)}."

    return Drawing(
        title, caption, lambda report: value_curves(report, phase(report), point), plot, text, HALF
    )


def _highest(report: Report, curves: Curves, unit: str) -> str:
    """Return the highest point of each device, and its batch size and model."""
    best: dict[str, tuple[float, int, PanelModel]] = {}
    for model, of_model in curves.items():
        for curve in of_model:
            top = max(curve.points, key=lambda point: point.value)
            if curve.device not in best or top.value > best[curve.device][0]:
                best[curve.device] = (top.value, top.batch, model)
    sentence = PanelNames(report).sentence
    return and_list(
        [
            f"{device} {fmt.scaled(value, unit)} (batch {batch:,}, {sentence(model)})"
            for device, (value, batch, model) in best.items()
        ]
    )


def _samples(row: Any) -> Point | None:
    rate = row.samples
    return None if rate is None else Point(batch_of(row), rate.value, rate.low, rate.high)


def _peak(row: Any) -> Point | None:
    peak = row.estimate.facts.peak_memory_bytes
    return None if peak is None else Point(batch_of(row), float(peak))


THROUGHPUT = _drawing(
    "Throughput",
    "Higher is faster; where a line is flat, larger batches have no benefit.",
    "samples/s",
    phase=lambda _: "train",
    point=_samples,
)

MEMORY = _drawing(
    "Peak memory",
    "Lower is better: the maximum memory allocated at once, on devices that count it.",
    "B",
    phase=main_phase,
    point=_peak,
)
