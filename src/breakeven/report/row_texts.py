"""The texts at the end of a row of the break-even chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from breakeven import format as fmt
from breakeven.case import Line
from breakeven.report.break_even import BreakEven
from breakeven.report.sides import SideNames
from breakeven.report.speedup import DeviceVerdict
from breakeven.stats.crossing import CrossingStatus, CrossingWarning

_MAX_LISTED = 2
_ENDINGS = {"oom": "out of memory", "timeout": "timed out"}


def wins_from(line: BreakEven) -> str:
    """Return the batch size from which the candidate wins, rounded up, or the status with its range."""
    found, batches = line.crossing, line.batches
    if not batches:
        return "undecided"
    if len(batches) == 1:
        words = {CrossingStatus.ALWAYS: "at", CrossingStatus.NEVER: "not at"}
        return f"{words.get(found.status, 'undecided at')} {fmt.batch_size(batches[0])}, the only one"
    if found.status is CrossingStatus.ALWAYS:
        return f"always (from {fmt.batch_size(batches[0])})"
    if found.status is CrossingStatus.BEYOND_RANGE:
        return f"beyond {fmt.batch_size(batches[-1])}"
    if CrossingWarning.LOSES_LARGE in found.warnings:
        faster = [row.batch_size for row in line.rows if row.verdict is DeviceVerdict.FASTER]
        return f"only at {fmt.batch_range(faster)}"
    if found.batch_size is None and found.bracket[1] is None:
        return f"{found.status} ({fmt.batch_range(batches)})"
    return found.describe_briefly(batches)


def best(line: BreakEven) -> str:
    """Return the largest speedup that is shown, or the smallest loss where all are; empty otherwise."""
    wins = [row for row in line.rows if row.verdict is DeviceVerdict.FASTER]
    shown = wins or (line.rows if all(row.verdict is DeviceVerdict.SLOWER for row in line.rows) else ())
    known = [row for row in shown if row.speedup is not None]
    if not known:
        return ""
    row = max(known, key=lambda one: one.speedup or 0)
    return f"{fmt.ratio(row.speedup)} at {fmt.batch_size(row.batch_size)}"


def ending_text(outcome: str) -> str:
    """Return how a case ended without a timing, as words.

    >>> ending_text("oom"), ending_text("skipped")
    ('out of memory', 'skipped')
    """
    return _ENDINGS.get(outcome, fmt.one_line(outcome, 20))


def untimed(line: BreakEven, names: SideNames, ended: Mapping[tuple[Line, int], str]) -> str:
    """Return why and where one of the two devices has no usable timing."""
    found: dict[str, list[int]] = {}
    for batch in line.holes:
        endings = [
            f"{names.side(side).name} {ending_text(word)}"
            for side in (line.baseline, line.candidate)
            if (word := ended.get((side, batch)))
        ]
        found.setdefault(" and ".join(endings) or "no usable timing", []).append(batch)
    return "; ".join(f"{reason} {_where(batches, line)}" for reason, batches in found.items())


def _where(holes: Sequence[int], line: BreakEven) -> str:
    if line.batches and holes[0] > line.batches[-1] and holes[-1] == max(line.holes):
        smaller = [batch for batch in (*line.batches, *line.holes) if batch < holes[0]]
        return f"above {fmt.batch_size(max(smaller))}"
    return f"at {fmt.joined([fmt.batch_size(batch) for batch in holes], _MAX_LISTED)}"
