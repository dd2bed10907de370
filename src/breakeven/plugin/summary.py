"""The plugin's last lines: a short table, what gave no timing and why, and where the time went.

Owns their layout. Refuses to compare devices: ``breakeven report`` does, with an interval.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from breakeven.case import Case, Outcome
from breakeven.format import seconds
from breakeven.stats.intervals import MedianInterval

HEADLINE = "train"
MAX_ROWS = 30
MAX_REASONS = 8


@dataclass(frozen=True)
class Timing:
    """A case, the interval of its median, in seconds, and its flags."""

    case: Case
    interval: MedianInterval
    flags: tuple[str, ...]


def summary_lines(
    timings: Sequence[Timing],
    outcomes: Sequence[Outcome],
    spent_s: Mapping[str, float],
    wall_s: float,
    path: Path | None,
    lost: str | None = None,
) -> list[str]:
    """Return the lines that end a run of `wall_s` seconds; `lost` says why its file was not written."""
    lines = ["", *table(timings), *reasons(outcomes)]
    counts = Counter(outcome.outcome for outcome in outcomes)
    ended = "".join(f", {number} {outcome}" for outcome, number in counts.items())
    flagged = sum(bool(timing.flags) for timing in timings)
    lines.append(
        f"breakeven: {len(timings)} timed ({flagged} flagged){ended}; {where_time_went(spent_s, wall_s)}"
    )
    if lost is not None:
        lines.append(f"breakeven: {lost}")
    elif path is not None and timings:
        lines.append(f"breakeven: next, run: breakeven report {shlex.quote(str(path))}")
    elif timings:
        lines.append("breakeven: nothing was kept; add --benchmark-json=run.json to make a report")
    return lines


def table(timings: Sequence[Timing]) -> list[str]:
    """Return a row a cell and a column a device: medians of `train`, or of the last phase measured."""
    phases = [timing.case.phase for timing in timings]
    if not phases:
        return []
    phase = HEADLINE if HEADLINE in phases else phases[-1]
    shown = [timing for timing in timings if timing.case.phase == phase]
    devices = list(dict.fromkeys(timing.case.device for timing in shown))
    by_cell: dict[object, dict[str, Timing]] = {}
    for timing in shown:
        by_cell.setdefault(timing.case.cell, {})[timing.case.device] = timing
    rows = [["workload", "batch", "axes", *devices]]
    for cell in list(by_cell.values())[:MAX_ROWS]:
        case = next(iter(cell.values())).case
        axes = " ".join(f"{name}={value}" for name, value in case.axes)
        times = [_median(cell[device]) if device in cell else "-" for device in devices]
        rows.append([case.workload, str(case.batch_size), axes, *times])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [f"breakeven: {phase}, median and half-width of its 95% interval (* flagged)"]
    for row in rows:
        left = f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:<{widths[2]}}"
        lines.append(
            "  ".join([left, *(f"{cell:>{width}}" for cell, width in zip(row[3:], widths[3:], strict=True))])
        )
    if len(by_cell) > MAX_ROWS:
        lines.append(f"... and {len(by_cell) - MAX_ROWS} more rows, which the report shows")
    return [*lines, ""]


def reasons(outcomes: Sequence[Outcome]) -> list[str]:
    """Return why cases gave no timing, the most frequent reasons first."""
    counts = Counter((outcome.outcome, outcome.reason) for outcome in outcomes)
    lines = [
        f"{outcome} x{number}: {reason}" for (outcome, reason), number in counts.most_common(MAX_REASONS)
    ]
    if len(counts) > MAX_REASONS:
        lines.append(f"... and {len(counts) - MAX_REASONS} more reasons, which the run file holds")
    return [*lines, ""] if lines else []


def where_time_went(spent_s: Mapping[str, float], wall_s: float) -> str:
    """Return the shares of the wall time.

    >>> where_time_went({"preparing": 1.0, "timing": 6.0}, 10.0)
    '10.0 s: preparing 10%, timing 60%, everything else 30%'
    """
    shares = {**spent_s, "everything else": wall_s - sum(spent_s.values())}
    whole = max(wall_s, 1e-9)
    return f"{wall_s:.1f} s: " + ", ".join(f"{what} {100 * s / whole:.0f}%" for what, s in shares.items())


def _median(timing: Timing) -> str:
    interval = timing.interval
    half = interval.half_width
    width = "" if half is None else f" ±{100 * half:.1f}%" if half < 1 else " ±>100%"
    return f"{seconds(interval.median)}{width}{'*' if timing.flags else ' '}"
