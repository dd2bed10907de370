"""The rounds of a case, process by process, as a small SVG that opens under its time.

A line from the fastest to the slowest round of each process, a box around its middle half, and a tick at its
median, on one logarithmic scale: what an interval of the processes' medians does not show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from breakeven import format as fmt
from breakeven.case import CaseKey
from breakeven.report.estimates import timings_of
from breakeven.report.report import Report

WIDTH, LINE, LABELS = 160, 9, 12
"""The size of a drawing in pixels: its width, the height of a process, and that of the scale's ends."""

MAX_RANGE = 1000.0
"""Shorter rounds, of which the clock sees nothing, are drawn at the left end."""

MAX_DRAWN = 40
"""Further processes are not drawn."""

Array = NDArray[np.float64]


def samples_of(report: Report) -> Mapping[CaseKey, Sequence[Array]]:
    """Return the rounds of each process that timed a case, in seconds, in the order of the runs."""
    return {
        key: [sample for case in found.values() for sample in case.samples if len(sample)]
        for key, found in timings_of(report.runs).items()
    }


def strip(samples: Sequence[Array]) -> Markup:
    """Return the SVG of some processes' rounds, empty where no round took time."""
    shown = [_five_numbers(sample) for sample in samples[:MAX_DRAWN]]
    high = max((numbers[-1] for numbers in shown), default=0.0)
    if high <= 0:
        return Markup()
    low = max(min(numbers[0] for numbers in shown), high / MAX_RANGE)
    scale = WIDTH / np.log(high / low) if high > low else 0.0
    path = "".join(
        _process(line, np.rint(scale * np.log(np.maximum(numbers, low) / low)).astype(int).tolist())
        for line, numbers in enumerate(shown)
    )
    bottom = len(shown) * LINE + LABELS
    processes = "the process" if len(samples) == 1 else f"{len(shown)} processes"
    if len(shown) < len(samples):
        processes = f"{len(shown)} of {len(samples)} processes"
    return Markup(
        f'<svg viewBox="0 0 {WIDTH} {bottom}" role=img aria-label="Rounds of {processes}">'
        f'<path d="{path}"/><text y={bottom}>{fmt.seconds(low)}</text>'
        f"<text x={WIDTH} y={bottom}>{fmt.seconds(high)}</text></svg>"
    )


def _five_numbers(sample: Array) -> Array:
    """Return minimum, quartiles and maximum, each of them a round."""
    ordered = np.sort(sample)
    last = len(ordered) - 1
    return ordered[[0, last // 4, last // 2, last - last // 4, last]]


def _process(line: int, numbers: Sequence[int]) -> str:
    low, first, median, third, high = numbers
    y = line * LINE + LINE // 2
    return f"M{low} {y}H{high}M{first} {y - 3}H{third}v6H{first}zM{median} {y - 3}v6"
