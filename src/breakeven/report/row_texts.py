"""The texts at the end of a row of the break-even chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from breakeven import format as fmt
from breakeven.case import Line
from breakeven.grouping import grouped
from breakeven.report.break_even import BreakEven
from breakeven.report.candidates import wins
from breakeven.report.sides import SideNames
from breakeven.report.speedup import SAME_WITHIN, DeviceVerdict
from breakeven.stats.crossing import LARGER

_MAX_LISTED = 2
_TOO_FEW = "two processes are too few"
_ENDINGS = {"oom": "out of memory", "timeout": "timed out"}


def wins_from(line: BreakEven) -> str:
    """Return from which batch size the candidate wins; the note says which ones were not timed."""
    text = line.describe_briefly()
    for larger in LARGER.values():
        text = text.replace(f"; {larger}", "")
    return text


def best(line: BreakEven) -> str:
    """Return the largest speedup that is shown, or the smallest loss where all are; empty otherwise."""
    faster = [row for row in line.rows if row.verdict is DeviceVerdict.FASTER]
    shown = faster or (line.rows if all(row.verdict is DeviceVerdict.SLOWER for row in line.rows) else ())
    if not shown:
        return ""
    row = max(shown, key=lambda one: one.speedup or 0)
    ratio = fmt.ratio(row.speedup) if faster else f"{fmt.ratio(1 / (row.speedup or 1))} slower"
    return f"{ratio} at {fmt.batch_size(row.batch_size)}"


def ending_text(outcome: str) -> str:
    """Return how a case ended without a timing, as words.

    >>> ending_text("oom"), ending_text("skipped")
    ('out of memory', 'skipped')
    """
    return _ENDINGS.get(outcome, fmt.one_line(outcome, 20))


def small_gain(line: BreakEven) -> str:
    """Return that a break-even gains next to nothing, empty where it gains more."""
    is_known = line.crossing.batch_size is not None
    return f"by at most {fmt.percent(SAME_WITHIN - 1)}" if is_known and not wins(line) else ""


def untimed(line: BreakEven, names: SideNames, ended: Mapping[tuple[Line, int], str]) -> list[str]:
    """Return the reasons why a batch size cannot be judged, each with its batch sizes."""
    found: dict[str, list[int]] = {}
    for batch in line.holes:
        if batch in line.without_interval:
            found.setdefault(_TOO_FEW, []).append(batch)
            continue
        words = grouped(
            (word, names.side(side).name)
            for side in (line.baseline, line.candidate)
            if (word := ended.get((side, batch)))
        )
        endings = [f"{fmt.listed(sides)} {ending_text(word)}" for word, sides in words.items()]
        found.setdefault(" and ".join(endings) or "no usable timing", []).append(batch)
    return [
        reason if reason == _TOO_FEW and line.needs_processes else f"{reason} {_where(batches, line)}"
        for reason, batches in found.items()
    ]


def _where(holes: Sequence[int], line: BreakEven) -> str:
    if line.batches and holes[0] > line.batches[-1] and holes[-1] == max(line.holes):
        smaller = [batch for batch in (*line.batches, *line.holes) if batch < holes[0]]
        return f"above {fmt.batch_size(max(smaller))}"
    return f"at {fmt.joined([fmt.batch_size(batch) for batch in holes], _MAX_LISTED)}"
