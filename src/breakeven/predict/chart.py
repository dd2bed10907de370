"""The break-even chart of a prediction: ranges in place of break-evens, and bands in place of intervals."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from breakeven import format as fmt
from breakeven.case import Line
from breakeven.phases import HEADLINE
from breakeven.predict.break_even import PredictedBreakEven
from breakeven.predict.prediction import Predictions
from breakeven.predict.text import machine_names
from breakeven.report.candidates import place
from breakeven.report.chart import (
    STRETCHES,
    BreakEvenMark,
    Chart,
    Segment,
    Stretch,
    Track,
    chart_of,
    midway,
    segments,
)
from breakeven.report.sides import Side
from breakeven.report.speedup import DeviceVerdict


def chart(found: Predictions) -> Chart:
    """Return the chart of the predicted break-evens, with a track for each machine."""
    devices = {card.name: card.device for card in found.cards}
    names = {machine: name.removeprefix("the ") for machine, name in machine_names(found.cards).items()}
    baseline = Side(found.baseline_name.removeprefix("the "), found.baseline.device)
    tracks = [
        (
            place(line.status, line.high),
            Track(
                line=Line(line.model, HEADLINE, devices[line.machine], line.machine),
                against=Line(line.model, HEADLINE, found.baseline.device, found.machine.class_id),
                batches=line.batches,
                holes=line.holes,
                segments=tuple(_segments(line)),
                mark=None if line.low is line.high is None else BreakEvenMark(None, line.low, line.high),
                baseline=baseline,
                candidate=Side(names[line.machine], devices[line.machine]),
                name=names[line.machine] if len(devices) > 1 else "",
                wins_from=line.describe_briefly(),
                best=_best(line),
                notes=(),
            ),
        )
        for line in found.break_evens
    ]
    return chart_of(tracks, found.names, is_predicted=True)


def _segments(line: PredictedBreakEven) -> Iterator[Segment]:
    verdicts = {one.batch_size: STRETCHES[one.verdict] for one in line.cells}
    sizes = sorted({*line.batches, *line.holes})
    points = [(batch, verdicts.get(batch, Stretch.UNTIMED)) for batch in sizes]
    return segments(points, partial(_edge, line))


def _edge(
    line: PredictedBreakEven, batch: int, stretch: Stretch, next_batch: int, next_stretch: Stretch
) -> tuple[float, float]:
    """Return where a stretch ends and the next begins: at the ends of the range that are between them."""
    low, high = (
        end if end is not None and batch <= end <= next_batch else midway(batch, next_batch)
        for end in (line.low, line.high)
    )
    if stretch is Stretch.BASELINE and next_stretch is Stretch.CANDIDATE:
        return low, high
    end = low if stretch is Stretch.BASELINE else high if next_stretch is Stretch.CANDIDATE else None
    return (midway(batch, next_batch) if end is None else end,) * 2


def _best(line: PredictedBreakEven) -> str:
    """Return the band of the largest speedup, of the cells in which the machine is faster if it is in any."""
    best = max(line.cells, key=lambda one: (one.verdict is DeviceVerdict.FASTER, one.speedup))
    return f"{fmt.ratio_band(best.low, best.high)} at {fmt.batch_size(best.batch_size)}"
