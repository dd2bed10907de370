"""The record as pictures: frame -> matplotlib Figure.

Owns the registry of figures, one entry and one file each. Computes nothing: every number drawn stands in the
record. Uses Figure objects without pyplot, so that no window system and no global state is touched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from breakeven.render.figures import efficiency, memory, phases, speedup, speedup_map, step_time, throughput
from breakeven.render.figures.speedup import speedup_figure
from breakeven.render.figures.style import device_styles, to_png, to_svg
from breakeven.report.report import Report

__all__ = ["FIGURES", "Drawing", "device_styles", "speedup_figure", "to_png", "to_svg"]


@dataclass(frozen=True)
class Drawing:
    """A figure: its heading, one sentence how to read it, and what makes it of a record.

    `draw` returns None where the record has nothing to show. `describe` returns the text for those who do not
    see the figure, with its numbers; where there is none, it says why in one sentence.
    """

    title: str
    caption: str
    draw: Callable[[Report], Figure | None]
    describe: Callable[[Report], str]


FIGURES: dict[str, Drawing] = {
    "step_time": Drawing(
        "Step time",
        "Lower is faster: each line is a device, its markers are medians, and its band is the 95% interval.",
        step_time.draw,
        step_time.describe,
    ),
    "speedup": Drawing(
        "Speedup",
        "Above the heavy line at 1x the device is faster than the baseline; the diamond is the break-even. "
        "Between measured batches each device's time is taken as a straight line.",
        speedup.draw,
        speedup.describe,
    ),
    "map": Drawing(
        "Map of speedups",
        "Each cell is a model at one batch size, in the color of the faster device; the heavy line is 1x.",
        speedup_map.draw,
        speedup_map.describe,
    ),
    "phases": Drawing(
        "Phases",
        "Each bar stacks the phases of one training step; the tick across it is the step timed as a whole.",
        phases.draw,
        phases.describe,
    ),
    "efficiency": Drawing(
        "Efficiency",
        "Higher is better: achieved FLOP/s, and bytes moved a second; not a share of any peak.",
        efficiency.draw,
        efficiency.describe,
    ),
    "throughput": Drawing(
        "Throughput",
        "Higher is faster: training samples a second; where a line is flat, larger batches gain nothing.",
        throughput.draw,
        throughput.describe,
    ),
    "memory": Drawing(
        "Peak memory",
        "Lower is better: the most memory that a device held at once, where the device counts it.",
        memory.draw,
        memory.describe,
    ),
}
"""Every figure of a page, in its order."""
