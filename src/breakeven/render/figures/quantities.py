"""Step time, throughput and peak memory over batch size: one line for each device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import Formatter

from breakeven import format as fmt
from breakeven.render.figures.axes import SCALED, SECONDS_FORMAT
from breakeven.render.figures.curves import Curve, Curves, PanelStyle, Point, panels, value_curves
from breakeven.render.figures.drawing import Drawing, and_list
from breakeven.render.figures.models import PanelModel, PanelNames, batch_of, main_phase
from breakeven.report.report import Report
from breakeven.report.throughput import Rate


def _drawing(
    title: str,
    caption: str,
    nothing: str,
    *,
    heading: str,
    y_label: str,
    formatter: Formatter,
    phase: Callable[[Report], str | None],
    point: Callable[[Any], Point | None],
    text: Callable[[Report, Curves], str],
) -> Drawing[Curves]:
    """Return the figure of a quantity; heading and label contain ``{phase}``, ``{step}`` or ``{scope}``."""

    def plot(report: Report, curves: Curves) -> Figure:
        name = fmt.shortened(str(phase(report)), 30)
        names = {"phase": name, "step": "training step" if name == "train" else name}
        names["scope"] = report.interval_scope(phase(report))
        return panels(report, curves, PanelStyle(heading.format(**names), y_label.format(**names), formatter))

    return Drawing(
        title,
        caption,
        lambda report: value_curves(report, phase(report), point),
        plot,
        text,
        lambda _: nothing,
    )


def _times(report: Report, curves: Curves) -> str:
    """Describe both ends of the lines of the first model."""
    model, lines = next(iter(curves.items()))
    ends = and_list([_ends(line) for line in lines])
    return (
        f"Time over batch size ({main_phase(report)}) for {fmt.plural(len(curves), 'model')}. "
        f"For {PanelNames(report).sentence(model)}: {ends}."
    )


def _ends(line: Curve) -> str:
    first, last = line.points[0], line.points[-1]
    text = f"{line.device} takes {fmt.seconds(first.value)} at batch {first.batch}"
    return text if first is last else f"{text} and {fmt.seconds(last.value)} at batch {last.batch}"


def highest_of_each(report: Report, curves: Curves, unit: str) -> str:
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
            f"{device} {fmt.scaled(value, unit)} (batch {batch}, {sentence(model)})"
            for device, (value, batch, model) in best.items()
        ]
    )


def _highest(what: str, unit: str) -> Callable[[Report, Curves], str]:
    def text(report: Report, curves: Curves) -> str:
        highest = highest_of_each(report, curves, unit)
        return f"{what} over batch size for {fmt.plural(len(curves), 'model')}. Maximum: {highest}."

    return text


def rate_point(row: Any, rate: Rate | None) -> Point | None:
    """Return the point of a rate, None if there is no rate."""
    return None if rate is None else Point(batch_of(row), rate.value, rate.low, rate.high)


def _peak(row: Any) -> Point | None:
    peak = row.estimate.facts.peak_memory_bytes
    return None if peak is None else Point(batch_of(row), float(peak))


STEP_TIME = _drawing(
    "Step time",
    "Lower is faster: each line is a device, its markers are medians, and its band is the 95% interval.",
    "There is no figure of step times, because all measured times are zero.",
    heading="Time of a {step} (95% interval {scope})",
    y_label="time of a {step}",
    formatter=SECONDS_FORMAT,
    phase=main_phase,
    point=lambda row: Point(batch_of(row), row.estimate.median_s, row.estimate.low_s, row.estimate.high_s),
    text=_times,
)

THROUGHPUT = _drawing(
    "Throughput",
    "Higher is faster: training samples per second; where a line is flat, larger batches have no benefit.",
    "There is no figure of throughput, because no whole training step was timed.",
    heading="Throughput of training (95% interval {scope})",
    y_label="samples/s",
    formatter=SCALED,
    phase=lambda _: "train",
    point=lambda row: rate_point(row, row.samples),
    text=_highest("Throughput", "samples/s"),
)

MEMORY = _drawing(
    "Peak memory",
    "Lower is better: the maximum memory allocated at once, on devices that count it.",
    "There is no figure of peak memory, because no measured device counts it.",
    heading="Peak memory ({phase})",
    y_label="bytes at the peak",
    formatter=SCALED,
    phase=main_phase,
    point=_peak,
    text=_highest("Peak memory", "B"),
)
