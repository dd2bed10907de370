"""The training steps after which a faster device has paid back its longer start-up time.

The start-up time is that of initializing the device, moving the model, capturing it as a graph, and the first
calls beyond steady ones. Each occurs once in a run, so the start-up time has no interval; the steps have that
of the time saved per step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from breakeven.case import CaseKey
from breakeven.device_names import is_cpu
from breakeven.grouping import grouped
from breakeven.phases import HEADLINE, STEP_PARTS
from breakeven.report.estimates import Estimate
from breakeven.report.speedup import DeviceVerdict, Speedup
from breakeven.runs.schema import CaseResult, Run
from breakeven.stats.intervals import interval_of_draws


@dataclass(frozen=True)
class Payback:
    """When the candidate of `row` has paid back its start-up time.

    `start_s` is how much longer the candidate takes to start than the baseline, in seconds; where it is not
    positive, `steps` is 0. `low` and `high` are the 95% interval of `steps`, `high` None where it is
    unbounded.
    """

    row: Speedup
    start_s: float
    steps: float
    low: float | None
    high: float | None


def paybacks(cases: Iterable[Estimate], speedups: Iterable[Speedup], runs: Sequence[Run]) -> list[Payback]:
    """Return a row for each training step in which an accelerator is faster and its start-up time is known.

    Two CPU devices are not compared: the one that is timed first includes loading the libraries.

    Args:
        cases: the estimates behind the speedups.
        speedups: all rows.
        runs: those behind the estimates.
    """
    table = {case.key: case for case in cases}
    starts = _starts(table, runs)
    return [
        payback(row, starts[row.candidate] - starts[row.baseline], table[row.baseline])
        for row in speedups
        if row.phase == HEADLINE and row.verdict is DeviceVerdict.FASTER and not is_cpu(row.candidate.device)
        if row.candidate in starts and row.baseline in starts
    ]


def payback(row: Speedup, start_s: float, base: Estimate) -> Payback:
    """Return the steps after which a faster candidate pays back a start-up time that is `start_s` longer.

    Args:
        row: the speedup over `base`, above 1.
        start_s: seconds.
        base: the whole training step of the baseline.
    """
    if start_s <= 0 or row.speedup is None or row.draws is None or row.speedup <= 1:
        return Payback(row, start_s, 0.0, 0.0, 0.0)
    saved_s = base.median_s * (1 - 1 / row.speedup)
    low_s, high_s = interval_of_draws(base.draws * (1 - 1 / row.draws))
    return Payback(
        row,
        start_s,
        start_s / saved_s,
        None if high_s is None else start_s / high_s,
        None if low_s is None or low_s <= 0 else start_s / low_s,
    )


def _starts(table: Mapping[CaseKey, Estimate], runs: Sequence[Run]) -> dict[CaseKey, float]:
    """Return the seconds of starting each cell on each device, by the key of its whole training step."""
    init_s = _device_inits(runs)
    seen = grouped(
        (replace(case.key, phase=HEADLINE), case)
        for run in runs
        for case in run.cases.values()
        if case.key and case.facts.first_call_s is not None and case.facts.model_transfer_s is not None
    )
    found = {}
    for key, cases in seen.items():
        start = init_s.get((key.machine, key.device), 0.0 if is_cpu(key.device) else math.nan)
        if any(case.key == key for case in cases) and not math.isnan(start):
            moves_s = median(case.facts.model_transfer_s or 0.0 for case in cases)
            # Every phase captures again, but training captures once.
            captures_s = median(case.facts.capture_s or 0.0 for case in cases)
            found[key] = start + moves_s + captures_s + _first_step(cases, table)
    return found


def _first_step(cases: Iterable[CaseResult], table: Mapping[CaseKey, Estimate]) -> float:
    """Return the extra seconds of the first training step, compared with a steady one.

    Libraries load and tune in the first call of the phase that is timed first, and each phase begins with a
    new optimizer. A first call of `train` is one step that waits for the device, also where a round is a
    loop. Neither the sum of the phases' extra times nor that of `train` includes everything, so the larger is
    used; nothing is counted twice.
    """
    # A captured graph's first call comes after compiling and capturing, and so is shorter.
    extra = grouped(
        (key.phase, max(0.0, (facts.first_call_s or 0.0) - table[key].median_s, facts.compile_s or 0.0))
        for key, facts in ((case.key, case.facts) for case in cases)
        if key is not None and (key.phase == HEADLINE or key.phase in STEP_PARTS)
    )
    medians = {phase: median(values) for phase, values in extra.items()}
    return max(medians.pop(HEADLINE), sum(medians.values()))


def _device_inits(runs: Iterable[Run]) -> dict[tuple[str, str], float]:
    """Return the median over runs of the seconds that initializing each device of each class took.

    For a device of several processes they include that these join.
    """
    seen = grouped(
        ((run.machine.class_id, device), init_s)
        for run in runs
        for device, init_s in (
            *run.device_init_s.items(),
            *((case.key.device, case.facts.init_s) for case in run.cases.values() if case.key),
        )
        if init_s is not None
    )
    return {key: float(median(values)) for key, values in seen.items()}
