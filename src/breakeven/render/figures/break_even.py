"""The break-even chart of a report: its heading, its parts, and its description.

`wide` is for a page or a README, `narrow` for a phone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from matplotlib.figure import Figure

from breakeven import format as fmt
from breakeven.grouping import grouped
from breakeven.phases import HEADLINE
from breakeven.render.break_even_text import MAX_ROWS
from breakeven.render.chart_labels import baseline_name, candidate_name, wins_from
from breakeven.render.figures.chart_rows import Heading, draw_narrow, draw_wide
from breakeven.render.figures.drawing import SUMMARY, Drawing, and_list, machine_text, watermark
from breakeven.report.chart import Chart, Track
from breakeven.report.report import Report
from breakeven.report.text import phase_name

MAX_DRAWN = 120
"""More rows are in the tables only: an image of a thousand takes as long as all else, and nobody reads it."""


class ChartPart(NamedTuple):
    """Rows that a page shows together; the title of the first part is empty."""

    name: str
    title: str
    chart: Chart


def parts(chart: Chart, name: str) -> list[ChartPart]:
    """Return the rows that fit a screen, then the others that are drawn by workload, for a page to fold.

    Each part has a name that begins with that of the chart.
    """
    drawn = replace(chart.limited(MAX_DRAWN), omitted=0)
    first = replace(drawn, rows=drawn.rows[:MAX_ROWS])
    later = grouped((row.workload, row) for row in drawn.rows[MAX_ROWS:])
    folded = [
        ChartPart(
            f"{name}_{place}",
            f"{workload}: {fmt.plural(len(rows), 'more model')}",
            replace(chart, rows=tuple(rows)),
        )
        for place, (workload, rows) in enumerate(later.items(), start=1)
    ]
    return [ChartPart(name, "", first), *folded] if chart else []


def folded_title(chart: Chart) -> str:
    """Return the title of all parts that a page folds."""
    more, drawn = len(chart.rows) - MAX_ROWS, min(MAX_DRAWN, len(chart.rows)) - MAX_ROWS
    return fmt.plural(more, "more model") + (f", {drawn} of them drawn" if drawn < more else "")


def wide(report: Report, chart: Chart) -> Figure:
    """Return the rows of a report's chart as lines."""
    return draw_wide(heading(report, chart), chart)


def narrow(report: Report, chart: Chart) -> Figure:
    """Return the rows of a report's chart as blocks, for a phone."""
    return draw_narrow(heading(report, chart), chart)


def heading(report: Report, chart: Chart) -> Heading:
    """Return what is above the rows of a report's chart."""
    baseline, candidate = (with_article(name) for name in (baseline_name(chart), candidate_name(chart)))
    if len(report.machines) > 1 and all(_is_at_home(track) for track in chart.tracks):
        baseline = f"its own {baseline_name(chart)}"
    phase = "whole training step" if report.headline == HEADLINE else phase_name(report.headline)
    return Heading(
        f"From which batch size {candidate} is faster than {baseline}",
        f"{phase}, 95% interval {report.interval_scope(report.headline)}; {_machines(report, chart)}",
        watermark(report),
        SUMMARY,
    )


def _is_at_home(track: Track) -> bool:
    """Return whether both sides of a track are on one machine."""
    return track.against.machine == track.line.machine


def _machines(report: Report, chart: Chart) -> str:
    """Return the machine, or the names of those on the chart, and of those that are not."""
    if len(report.machines) == 1:
        return machine_text(report)
    lines = [line for track in chart.tracks for line in (track.against, track.line)]
    shown = {line.machine for line in lines}
    names, others = (
        [fmt.shortened(one.label, 30) for one in report.machines if (one.class_id in shown) is wanted]
        for wanted in (True, False)
    )
    alone = f"; not compared, since it has one device: {fmt.joined(others)}" if others else ""
    return f"{fmt.joined(names, 4)}{alone}"


def with_article(name: str) -> str:
    """Return the name of a side of a chart as part of a sentence."""
    if name == "candidate":
        return "each device"
    return name if name.islower() and name != "baseline" else f"the {name}"


def description(chart: Chart) -> str:
    """Return the alternative text of a chart, which has its numbers."""
    ends = [f"{row.label}{_of(track)}: {track.wins_from}" for row in chart.rows for track in row.tracks]
    count = fmt.plural(len(chart.rows), "model")
    verb = "is predicted to be" if chart.is_predicted else "is"
    return (
        f"Which device {verb} faster over batch sizes "
        f"{fmt.batch_range((chart.smallest, chart.largest))}, for {count}. "
        f"{fmt.capital(wins_from(chart))} batch: {and_list(ends)}."
    )


def _of(track: Track) -> str:
    return f" ({track.name})" if track.name else ""


def _has_break_even(_: Report, chart: Chart) -> bool:
    return any(track.mark for track in chart.tracks)


def _drawing(title: str, select: Callable[[Report], Chart]) -> Drawing[Chart]:
    return Drawing(
        title,
        "The color is that of the faster device, with gaps at measured batch sizes.",
        select,
        lambda report, chart: wide(report, chart.limited(MAX_DRAWN)),
        lambda _, chart: description(chart),
        diamond="Diamonds are break-evens.",
        has_diamond=_has_break_even,
    )


BREAK_EVEN = _drawing("Break-even", lambda report: report.chart)

AGAINST_ONE = _drawing("Break-even of several devices against one", lambda report: report.scaling.chart)
