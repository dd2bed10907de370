"""How many processes would decide the break-evens that a run leaves open.

The point estimates stay where they are; the intervals narrow as the noise from process to process lets them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from breakeven.case import CaseKey
from breakeven.grouping import grouped
from breakeven.report.break_even import BreakEven
from breakeven.report.estimates import SEED
from breakeven.report.speedup import DeviceVerdict, Speedup, verdict_of
from breakeven.runs.schema import Run
from breakeven.stats.crossing import CrossingStatus
from breakeven.stats.intervals import RatioInterval, resampled_medians
from breakeven.stats.process_noise import MAX_SUGGESTED, ProcessNoise, processes_needed

WIDE = 4.0
"""A break-even is open if the upper end of its interval is more than this many times the lower."""

AFFORDABLE = 25
"""The number suggested decides as much as possible up to this; above it, the first open break-even."""


@dataclass(frozen=True)
class ProcessesNeeded:
    """Of `open` break-evens of the verdict, so many `processes` would decide `decides`; None: unknown."""

    processes: int | None
    decides: int
    open: int


def needed_for(lines: Sequence[BreakEven], runs: Sequence[Run]) -> ProcessesNeeded | None:
    """Return how many processes would decide the open break-evens, None where none is open.

    A break-even is open if intervals leave its status undecided, or if its own interval is wide.

    Args:
        lines: those that the verdict is about.
        runs: whose rounds show the noise within a process.
    """
    open_lines = [
        line for line in lines if not _is_settled(_verdicts(line)) or _log_width(line) > math.log(WIDE)
    ]
    if not open_lines:
        return None
    rows = [row for line in open_lines for row in _judged(line)]
    noise = _noise_of(rows, runs)
    needed = [_needed(line, noise) for line in open_lines]
    numbers = sorted(number for number in needed if number is not None)
    affordable = [number for number in numbers if number <= AFFORDABLE]
    suggested = affordable[-1] if affordable else next(iter(numbers), None)
    decides = sum(number <= (suggested or 0) for number in numbers)
    return ProcessesNeeded(suggested, decides, len(open_lines))


def needed_sentence(needed: ProcessesNeeded | None, lines: Sequence[BreakEven]) -> str | None:
    """Return how many processes would decide, None where nothing is open or one process shows no spread."""
    if needed is None or all(row.processes < 2 for line in lines for row in line.rows):
        return None
    pairs = {(line.baseline.device, line.candidate.device, line.candidate.machine) for line in lines}
    noun = "model" if len(pairs) == 1 else "break-even"
    if needed.processes is None:
        opened = f"the open {noun}" if needed.open == 1 else f"any of the {needed.open} open {noun}s"
        return (
            f"Up to {MAX_SUGGESTED} processes would not decide {opened}; give each case more time "
            "(--benchmark-max-time)."
        )
    if needed.open == 1:
        decided = f"the open {noun}"
    elif needed.decides == needed.open:
        decided = f"all {needed.open} open {noun}s"
    else:
        decided = f"{needed.decides} of the {needed.open} open {noun}s"
    return f"A run with --breakeven-processes={needed.processes} would decide {decided}."


def _needed(line: BreakEven, noise: Mapping[CaseKey, ProcessNoise]) -> int | None:
    rows = _judged(line)
    known = [noise[row.candidate].processes for row in rows if row.candidate in noise]
    if not known:
        return None
    near = [row for row in rows if row.batch_size in line.crossing.bracket]

    def decides(processes: int) -> bool:
        verdicts = [_verdict_at(row, noise.get(row.candidate), processes) for row in rows]
        narrower = max((_narrower(noise.get(row.candidate), processes) for row in near), default=1.0)
        return _is_settled(verdicts) and _log_width(line) * narrower <= math.log(WIDE)

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


def _noise_of(rows: Iterable[Speedup], runs: Sequence[Run]) -> dict[CaseKey, ProcessNoise]:
    """Return the noise of each speedup that several processes timed, by its candidate."""
    known = [(row, row.log_sd) for row in rows if row.processes > 1 and row.log_sd and row.speedup]
    within = _within(runs, {key for row, _ in known for key in (row.candidate, row.baseline)})
    return {
        row.candidate: ProcessNoise(
            log_sd,
            row.df,
            row.processes,
            min(1.0, (within[row.candidate] + within[row.baseline]) / log_sd**2),
        )
        for row, log_sd in known
    }


def _within(runs: Sequence[Run], keys: Collection[CaseKey]) -> dict[CaseKey, float]:
    """Return the mean variance of a process's log median that the noise of its rounds explains."""
    samples = grouped(
        (case.key, sample)
        for run in runs
        for case in run.cases.values()
        if case.key in keys and case.key is not None
        for sample in case.samples
        if len(sample)
    )
    rng = np.random.default_rng(SEED)
    return {
        key: float(np.mean([_log_variance(resampled_medians(sample, rng, 400)) for sample in several]))
        for key, several in samples.items()
    }


def _log_variance(draws: NDArray[np.float64]) -> float:
    return float(np.log(draws[draws > 0]).var()) if (draws > 0).any() else 0.0
