"""How many processes would decide the break-evens that a run leaves open.

The point estimates stay where they are; the intervals narrow as the noise from process to process lets them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from breakeven.case import CaseKey
from breakeven.report.break_even import BreakEven
from breakeven.report.estimates import Estimate
from breakeven.report.speedup import DeviceVerdict, Speedup, verdict_of
from breakeven.stats.crossing import CrossingStatus
from breakeven.stats.intervals import RatioInterval
from breakeven.stats.process_noise import MAX_SUGGESTED, ProcessNoise, processes_needed

WIDE = 4.0
"""A break-even is open if the upper end of its interval is more than this many times the lower."""

AFFORDABLE = 25
"""The number suggested decides as much as possible up to this; above it, the first open break-even."""


@dataclass(frozen=True)
class ProcessesNeeded:
    """Of the `open` break-evens of the verdict, `processes` would decide `decides`; None if unknown.

    `noun` is what each of them is one of: a model, where each model has only one.
    """

    processes: int | None
    decides: int
    open: int
    noun: str = "model"


def needed_for(lines: Sequence[BreakEven], cases: Iterable[Estimate]) -> ProcessesNeeded | None:
    """Return how many processes would decide the open break-evens, None where none is open.

    A break-even is open if intervals leave its status undecided, or if its own interval is wide. Nothing is
    predicted from two processes that cannot show how far they vary. None also where the machine is the
    replicate: more processes on the same machines decide nothing.

    Args:
        lines: those that the verdict is about.
        cases: the estimates behind them.
    """
    open_lines = [
        line
        for line in lines
        if not line.needs_processes
        if not _is_settled(_verdicts(line)) or _log_width(line) > math.log(WIDE)
    ]
    table = {case.key: case for case in cases}
    if not open_lines or any(case.pool.over_instances is not None for case in table.values()):
        return None
    rows = [row for line in open_lines for row in _judged(line)]
    noise = _noise_of(rows, table)
    needed = [_needed(line, noise) for line in open_lines]
    numbers = sorted(number for number in needed if number is not None)
    affordable = [number for number in numbers if number <= AFFORDABLE]
    suggested = affordable[-1] if affordable else next(iter(numbers), None)
    decides = sum(number <= (suggested or 0) for number in numbers)
    kinds = {
        (line.baseline.device, line.candidate.device, line.candidate.machine, line.phase) for line in lines
    }
    return ProcessesNeeded(suggested, decides, len(open_lines), "model" if len(kinds) == 1 else "break-even")


def needed_sentence(needed: ProcessesNeeded | None, lines: Sequence[BreakEven]) -> str | None:
    """Return how many processes would decide, None where nothing is open or one process shows no spread."""
    if needed is None or all(row.processes < 2 for line in lines for row in line.rows):
        return None
    noun = needed.noun
    if needed.processes is None:
        opened = f"the open {noun}" if needed.open == 1 else f"any of the {needed.open} open {noun}s"
        return (
            f"Up to {MAX_SUGGESTED} processes would not decide {opened}; give each case more time "
            "(--benchmark-max-time)."
        )
    if needed.open == 1:
        decided = f"the open {noun}"
    elif needed.decides == needed.open:
        decided = f"{'both' if needed.open == 2 else f'all {needed.open}'} open {noun}s"
    else:
        decided = f"{needed.decides} of the {needed.open} open {noun}s"
    return f"A run with --breakeven-processes={needed.processes} would decide {decided}."


def _needed(line: BreakEven, noise: Mapping[CaseKey, ProcessNoise]) -> int | None:
    rows = _judged(line)
    known = [noise[row.candidate].processes for row in rows if row.candidate in noise]
    if not known:
        return None
    near = [row for row in rows if row.batch_size in line.crossing.bracket]
    width = _log_width(line)

    def decides(processes: int) -> bool:
        narrower = max((_narrower(noise.get(row.candidate), processes) for row in near), default=1.0)
        last = _verdict_at(rows[-1], noise.get(rows[-1].candidate), processes)
        if width * narrower > math.log(WIDE) or last is DeviceVerdict.UNDECIDED:
            return False
        return _is_settled([_verdict_at(row, noise.get(row.candidate), processes) for row in rows])

    return processes_needed(decides, max(known))


def _judged(line: BreakEven) -> list[Speedup]:
    return [row for row in line.rows if row.batch_size in line.batches]


def _verdicts(line: BreakEven) -> list[DeviceVerdict]:
    return [row.verdict for row in _judged(line)]


def _is_settled(verdicts: Sequence[DeviceVerdict]) -> bool:
    """Return whether more processes cannot change what the verdicts at ascending batch sizes decide."""
    if not verdicts or verdicts[-1] is DeviceVerdict.UNDECIDED:
        return False
    if verdicts[-1] is not DeviceVerdict.FASTER:
        return True
    return DeviceVerdict.SLOWER in verdicts or DeviceVerdict.UNDECIDED not in verdicts


def _log_width(line: BreakEven) -> float:
    """Return the width of a crossing's interval in logarithms, where unbounded that of the measured range."""
    if line.crossing.status is not CrossingStatus.CROSSES:
        return 0.0
    low, high = line.crossing.low or line.batches[0], line.crossing.high or line.batches[-1]
    return math.log(high / low)


def _verdict_at(row: Speedup, noise: ProcessNoise | None, processes: int) -> DeviceVerdict:
    if noise is None or row.speedup is None:
        return row.verdict
    half = math.exp(noise.half_width(processes))
    return verdict_of(RatioInterval(row.speedup / half, row.speedup, row.speedup * half))


def _narrower(noise: ProcessNoise | None, processes: int) -> float:
    return 1.0 if noise is None else noise.half_width(processes) / noise.half_width(noise.processes)


def _noise_of(rows: Iterable[Speedup], table: Mapping[CaseKey, Estimate]) -> dict[CaseKey, ProcessNoise]:
    """Return the noise of each speedup that several processes timed, by its candidate."""
    found = {}
    for row in rows:
        if row.processes > 1 and row.df and row.low is not None and row.high is not None:
            halves = (math.log1p(table[key].rounds_half_width) for key in (row.candidate, row.baseline))
            reach = math.log(row.high / row.low) / 2
            found[row.candidate] = ProcessNoise.of_interval(reach, row.df, row.processes, math.hypot(*halves))
    return found
