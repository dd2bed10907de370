"""The one analysed record: everything a person reads about runs is taken from it.

Owns the path from the frames of `breakeven.analysing.runs` to a `Report`. Terminal, markdown, CSV, JSON
and plots only show what stands here, so their numbers cannot disagree. Opens no file and formats nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from breakeven.analysing.break_even import BreakEven, break_evens
from breakeven.analysing.closure import Closure, closures
from breakeven.analysing.estimates import Estimate, estimates
from breakeven.analysing.naming import Machine
from breakeven.analysing.notes import warnings_of
from breakeven.analysing.runs import Runs, Source
from breakeven.analysing.sentence import headline_phase, verdict_sentence
from breakeven.analysing.speedup import Speedup, device_order, speedups

COLUMNS = [
    "machine",
    "workload",
    "axes",
    "batch_size",
    "phase",
    "device",
    "n",
    "median_s",
    "low_s",
    "high_s",
    "speedup",
    "speedup_low",
    "speedup_high",
    "verdict",
    "flags",
]
"""The columns of the frame of cases, which are those of ``summary.csv``."""


@dataclass(frozen=True)
class Report:
    """What runs say, ready to be shown.

    `cases` has a row a case and the columns of `COLUMNS`; ``flags`` is a tuple, and what is unknown is None
    (the baseline's own rows have neither speedup nor verdict). `outcomes` is that of
    `breakeven.analysing.runs.Runs`. `headline` is the phase that `verdict` speaks of, None when nothing was
    compared. `axes` gives the object behind each text of axes.
    """

    verdict: str
    headline: str | None
    cases: pd.DataFrame
    speedups: tuple[Speedup, ...]
    break_evens: tuple[BreakEven, ...]
    closures: tuple[Closure, ...]
    outcomes: pd.DataFrame
    warnings: tuple[str, ...]
    machines: tuple[Machine, ...]
    sources: tuple[Source, ...]
    axes: Mapping[str, Mapping[str, Any]]

    @property
    def judged(self) -> bool:
        """Whether there was anything to judge: at least one case was timed."""
        return len(self.cases) > 0

    def label(self, class_id: str) -> str:
        """Return the readable label of a machine class."""
        return next(machine.label for machine in self.machines if machine.class_id == class_id)


def analyse(runs: Runs, baseline: str | None = None) -> Report:
    """Return the record of `runs`, each machine class judged by itself.

    Args:
        runs: as `breakeven.analysing.runs.read` returns them.
        baseline: the device that the others are held against; by default as METHOD says.

    Raises:
        UsageError: when `baseline` was not measured.
    """
    cases = sorted(estimates(runs.rounds, runs.facts), key=_order)
    compared = speedups(cases, baseline)
    lines = break_evens(cases, compared, runs.outcomes)
    closed = closures(cases, runs.facts)
    devices: dict[str, list[str]] = {}
    for case in cases:
        devices.setdefault(case.class_id, [])
        if case.device not in devices[case.class_id]:
            devices[case.class_id].append(case.device)
    endings = Counter(runs.outcomes["outcome"])
    return Report(
        verdict=verdict_sentence(runs.machines, compared, lines, devices, endings),
        headline=headline_phase(compared),
        cases=_frame(cases, compared, runs.machines),
        speedups=tuple(compared),
        break_evens=tuple(lines),
        closures=tuple(closed),
        outcomes=runs.outcomes,
        warnings=(*runs.warnings, *warnings_of(runs.machines, cases, lines, closed)),
        machines=runs.machines,
        sources=runs.sources,
        axes=runs.axes,
    )


def _order(case: Estimate) -> tuple[object, ...]:
    """Lines stay together, the batch sizes ascend, and the devices stand in one order everywhere."""
    return (
        case.class_id,
        case.workload,
        _natural(case.axes),
        case.phase,
        case.batch_size,
        device_order(case.device),
    )


def _natural(axes: str) -> list[tuple[str, float, str]]:
    """Sort key of axes: width=64 before width=512."""
    key = []
    for part in axes.split(" "):
        name, _, value = part.partition("=")
        number = value.lstrip("-")
        is_number = number.replace(".", "", 1).isdecimal() and number.isascii()
        key.append((name, float(value) if is_number else 0.0, value))
    return key


def _frame(
    cases: Iterable[Estimate], compared: Iterable[Speedup], machines: Iterable[Machine]
) -> pd.DataFrame:
    label = {machine.class_id: machine.label for machine in machines}
    found = {(r.class_id, r.workload, r.axes, r.batch_size, r.phase, r.candidate): r for r in compared}
    rows = []
    for case in cases:
        row = found.get((case.class_id, case.workload, case.axes, case.batch_size, case.phase, case.device))
        ratio = (row.speedup, row.low, row.high, row.verdict) if row else (None, None, None, None)
        rows.append(
            (
                label[case.class_id],
                case.workload,
                case.axes,
                case.batch_size,
                case.phase,
                case.device,
                case.n,
                case.median_s,
                case.low_s,
                case.high_s,
                *ratio,
                case.flags,
            )
        )
    return pd.DataFrame(rows, columns=COLUMNS, dtype=object)
