"""What every drawing of the break-even chart shares: its names, its legend, and its axis."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from breakeven import format as fmt
from breakeven.report.chart import Chart, Stretch
from breakeven.report.sides import Side


def candidate_name(chart: Chart) -> str:
    """Return the name of the candidate, or what they are where there are several."""
    return _name(chart.candidates, "machine" if chart.is_predicted else "candidate")


def baseline_name(chart: Chart) -> str:
    """Return the name of the baseline, or ``baseline`` where there are several."""
    return _name(chart.baselines, "baseline")


def wins_from(chart: Chart) -> str:
    """Return the heading over the break-evens, without the word "batch"."""
    if chart.is_predicted:
        return "predicted win from"
    return f"{chart.candidates[0].name} wins from" if len(chart.candidates) == 1 else "wins from"


def best_heading(chart: Chart) -> str:
    """Return the heading over the speedups."""
    return "predicted speedup" if chart.is_predicted else "best speedup"


def break_even_words(chart: Chart) -> str:
    """Return what the mark of a break-even is, empty on a chart without one."""
    if not any(track.mark for track in chart.tracks):
        return ""
    return "break-even within, 90% band" if chart.is_predicted else "break-even, 95% interval"


def faster(chart: Chart, name: str) -> str:
    """Return the words on a stretch where a side is faster."""
    return f"{name} {'predicted ' * chart.is_predicted}faster"


def legend(chart: Chart) -> dict[Stretch, str]:
    """Return what each kind of stretch on the chart means."""
    words = {
        Stretch.BASELINE: faster(chart, baseline_name(chart)),
        Stretch.CANDIDATE: faster(chart, candidate_name(chart)),
        Stretch.UNDECIDED: "undecided: measure" if chart.is_predicted else "undecided or the same",
        Stretch.UNTIMED: "not predicted" if chart.is_predicted else "not timed",
    }
    present = {segment.stretch for track in chart.tracks for segment in track.segments}
    if Stretch.SAME in present:
        present.add(Stretch.UNDECIDED)
    return {stretch: text for stretch, text in words.items() if stretch in present}


def ticks(
    chart: Chart, place: Callable[[float], float], width: Callable[[str], float], gap: float
) -> list[int]:
    """Return the batch sizes to label on the axis: both ends, then those that most tracks have.

    Args:
        chart: has the batch sizes.
        place: where the center of a label is on the axis.
        width: how wide a label is, in the same unit.
        gap: the minimum distance between two labels.
    """
    counts = Counter(batch for track in chart.tracks for batch in (*track.batches, *track.holes))
    common = sorted(counts, key=lambda batch: (-counts[batch], batch))
    found: list[tuple[int, float, float]] = []
    for batch in dict.fromkeys((chart.smallest, chart.largest, *common)):
        at, half = place(batch), width(fmt.batch_size(batch)) / 2
        if all(abs(at - other) >= half + other_half + gap for _, other, other_half in found):
            found.append((batch, at, half))
    return sorted(batch for batch, _, _ in found)


def on_axis(chart: Chart, batch: float) -> float:
    """Return where a batch size is between the smallest (0) and the largest (1), on a logarithmic axis."""
    if chart.smallest == chart.largest:
        return 0.5
    return math.log(batch / chart.smallest) / math.log(chart.largest / chart.smallest)


def _name(sides: Sequence[Side], several: str) -> str:
    return sides[0].name if len(sides) == 1 else several
