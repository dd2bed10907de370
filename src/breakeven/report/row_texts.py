"""The texts at the end of a row of the break-even chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from breakeven import format as fmt
from breakeven.case import Line
from breakeven.report.break_even import BreakEven
from breakeven.report.sides import SideNames
from breakeven.report.speedup import DeviceVerdict

_MAX_LISTED = 2
_ENDINGS = {"oom": "out of memory", "timeout": "timed out"}


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
