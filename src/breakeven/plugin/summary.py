"""The last lines of a run: its answer or its medians, why cases have no timing, and how the time was spent.

The answer is that of ``breakeven report`` on the run file; without a file or a comparison, medians are shown.
"""

from __future__ import annotations

import io
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from breakeven.case import CaseKey, Cell, Outcome
from breakeven.errors import BreakevenError
from breakeven.flags import disturbance
from breakeven.format import duration, seconds
from breakeven.phases import HEADLINE
from breakeven.report.ignored_batches import ignored_batch_warnings
from breakeven.stats.intervals import MedianInterval

if TYPE_CHECKING:
    from rich.console import RenderableType

MAX_ROWS = 30
MAX_REASONS = 8


@dataclass(frozen=True)
class Timing:
    """A case, the interval of its median, in seconds, its flags, and the size of its batch."""

    case: CaseKey
    interval: MedianInterval
    flags: tuple[str, ...]
    batch_bytes: int | None = None

    @property
    def is_disturbed(self) -> bool:
        """Whether something other than the work affected the time."""
        return disturbance(self.flags) > 1

    def __str__(self) -> str:
        """Return the median with the half-width of its interval, relative to it: ``141 µs ±0.9%``."""
        half = self.interval.half_width
        width = "" if half is None else f" ±{100 * half:.1f}%" if half < 1 else " ±>100%"
        return seconds(self.interval.median) + width


def table_lines(timings: Sequence[Timing], columns: int) -> list[str]:
    """Return a table with a row per cell and a column per device, at most `columns` wide.

    It shows the headline phase, or the last one that was measured.
    """
    if not timings:
        return []
    phases = [timing.case.phase for timing in timings]
    phase = HEADLINE if HEADLINE in phases else phases[-1]
    cells: dict[Cell, dict[str, Timing]] = {}
    for timing in timings:
        if timing.case.phase == phase:
            cells.setdefault(timing.case.cell, {})[timing.case.device] = timing
    devices = list(dict.fromkeys(device for row in cells.values() for device in row))
    rows = []
    for cell, row in cells.items():
        axes = " ".join(f"{name}={value}" for name, value in cell.axes.items())
        times = [_time(row.get(device)) for device in devices]
        rows.append((cell.workload, str(cell.batch_size), axes, *times))
    lines = _rendered(
        f"breakeven: {phase}, median and half-width of its 95% interval (* disturbed)",
        ("workload", "batch", "axes", *devices),
        rows[:MAX_ROWS],
        columns,
    )
    if len(rows) > MAX_ROWS:
        lines.append(f"... and {len(rows) - MAX_ROWS} more rows, all in the report")
    return [*lines, ""]


def answer_lines(path: Path | None, columns: int) -> list[str]:
    """Return the break-even chart and the answer of a run file, at most `columns` wide.

    Nothing if there is no file, or if no two devices could be compared.
    """
    if path is None or not path.is_file():
        return []
    from breakeven.render.report_terminal import chart_and_answer
    from breakeven.report.report import analyze
    from breakeven.runs.reader import read

    try:
        report = analyze(read([path]))
    except BreakevenError:  # the command that shows it comes next, and names the reason
        return []
    return [*_printed(chart_and_answer(report), columns), ""] if report.headline else []


def reason_lines(outcomes: Sequence[Outcome]) -> list[str]:
    """Return why cases have no timing, the most frequent reasons first."""
    counts = Counter((outcome.outcome, outcome.reason) for outcome in outcomes)
    lines = [
        f"{outcome} x{number}: {reason}" for (outcome, reason), number in counts.most_common(MAX_REASONS)
    ]
    if len(counts) > MAX_REASONS:
        lines.append(f"... and {len(counts) - MAX_REASONS} more reasons, listed in the run file")
    return [*lines, ""] if lines else []


def ignored_lines(timings: Iterable[Timing]) -> list[str]:
    """Return a line for each workload that ignores `batch_size`."""
    found = ignored_batch_warnings((timing.case, timing.batch_bytes) for timing in timings)
    return [f"breakeven: {text}" for text in found]


def closing_lines(
    timings: Sequence[Timing],
    outcomes: Sequence[Outcome],
    spent_s: Mapping[str, float],
    wall_s: float,
    path: Path | None,
) -> list[str]:
    """Return the counts, how the time of the run was spent, and the next command."""
    disturbed = sum(timing.is_disturbed for timing in timings)
    counts = Counter(outcome.outcome for outcome in outcomes)
    ended = "".join(f", {number} {outcome}" for outcome, number in counts.items())
    timed = f"{len(timings)} timed ({disturbed} disturbed){ended}"
    lines = [f"breakeven: {timed}; {where_time_went(spent_s, wall_s)}"]
    if timings and path is not None and path.is_file():
        lines.append(f"breakeven: next, run: breakeven report {shlex.quote(str(path))}")
    elif timings:
        lines.append("breakeven: nothing was saved; add --benchmark-json=run.json to make a report")
    return lines


def where_time_went(spent_s: Mapping[str, float], wall_s: float) -> str:
    """Return the shares of the wall time.

    >>> where_time_went({"preparing": 1.0, "timing": 6.0}, 10.0)
    '10 s: preparing 10%, timing 60%, everything else 30%'
    """
    parts_s = {**spent_s, "everything else": wall_s - sum(spent_s.values())}
    total_s = max(wall_s, 1e-9)
    shares = [f"{part} {100 * part_s / total_s:.0f}%" for part, part_s in parts_s.items()]
    return f"{duration(wall_s)}: {', '.join(shares)}"


def _time(timing: Timing | None) -> str:
    if timing is None:
        return "-"
    return f"* {timing}" if timing.is_disturbed else str(timing)


def _rendered(title: str, names: tuple[str, ...], rows: Sequence[tuple[str, ...]], columns: int) -> list[str]:
    from breakeven.render.table import Table
    from breakeven.render.terminal import rich_table

    table = rich_table(Table("", names, tuple(rows), words=("workload", "axes")))
    return [title, *filter(None, _printed([table], columns))]


def _printed(found: Iterable[RenderableType], columns: int) -> list[str]:
    from rich.console import Console

    from breakeven.render.terminal import WIDTH

    console = Console(file=io.StringIO(), width=min(columns, WIDTH), color_system=None)
    with console.capture() as captured:
        console.print(*found, sep="\n")
    return [line.rstrip() for line in captured.get().splitlines()]
