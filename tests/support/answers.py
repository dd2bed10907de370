"""Reports with the break-evens that a test names, for tests of the answer."""

import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from breakeven.case import Axes, CaseKey, Model, Outcome
from breakeven.report.break_even import BreakEven
from breakeven.report.case_rows import CaseRow
from breakeven.report.comparability import Comparability, ComparabilityLevel, Reason
from breakeven.report.estimates import Estimate
from breakeven.report.speedup import DeviceVerdict, Speedup
from breakeven.report.text import headline_phase, model_names
from breakeven.runs.machine import Machine
from breakeven.runs.schema import CaseResult, Run
from breakeven.stats.crossing import Crossing, CrossingStatus, CrossingWarning
from support.reports import report
from support.run_files import affine_run

BATCHES = (1, 8, 64, 512)
BOX = Machine("box", "id-box", {})
SPEEDUPS = {
    "crosses": (0.1, 0.5, 2.0, 84.4),
    "always": (2.0, 3.0, 4.0, 5.0),
    "never": (0.1, 0.2, 0.3, 0.5),
    "beyond_range": (0.1, 0.2, 0.3, 0.5),
    "undecided": (0.5, None, None, None),
}
"""Of each batch size; None is undecided."""

RED = Comparability(ComparabilityLevel.RED, (Reason(ComparabilityLevel.RED, "tf32 differs; agree on one"),))


def line(status="crosses", speedups=None, *, at=64.0, between=(48.0, 80.0), bracket=(None, None),
         batches=BATCHES, cut=False, workload="mlp", axes=None, device="cuda", baseline="cpu",
         machine="id-box", baseline_machine=None, phase="train", flags=()):  # fmt: skip
    """A break-even with a speedup at each batch size."""
    speedups = SPEEDUPS[status][: len(batches)] if speedups is None else speedups
    rows = tuple(
        _speedup(
            CaseKey.of(workload, batch, phase, device, axes or {}, machine),
            CaseKey.of(workload, batch, phase, baseline, axes or {}, baseline_machine or machine),
            speedup,
            flags,
        )
        for batch, speedup in zip(batches, speedups, strict=True)
    )
    found = (at, *between) if status == "crosses" else (None, None, None)
    warnings = (CrossingWarning.CUT_SHORT,) if cut else ()
    crossing = Crossing(CrossingStatus(status), *found, bracket, warnings)
    first = rows[0]
    return BreakEven(first.candidate.line, first.baseline.line, tuple(batches), (), crossing, rows)


def models(count, **options):
    """The same line for this many models of one workload."""
    return [line(axes={"width": 2**i}, **options) for i in range(count)]


def ran(name="run.json", *, flags=(), share=1.0, state=None, facts=None, machine=BOX, **options):
    """A run whose first cells, this share of ten, have these flags."""
    keys = [CaseKey.of("mlp", 2**i, "train", "cuda", {}, machine.class_id) for i in range(10)]
    cases = {
        key.label(): CaseResult(key.label(), key, np.ones(9), 1.0, flags if i < 10 * share else ())
        for i, key in enumerate(keys)
    }
    machine = replace(machine, facts=facts or {})
    return Run(f"/tmp/{name}", machine, cases, name=name, state=state or {}, **options)


def shown(*lines, runs=None, machines=(BOX,), processes=5, timed=(), outcomes=(), **options):
    """A report with these break-evens; `timed` are the (device, machine) with a case and without a line."""
    speedups = [row for of in lines for row in of.rows]
    keys = dict.fromkeys(key for row in speedups for key in (row.candidate, row.baseline))
    extra = [CaseKey.of("mlp", 1, "train", device, {}, machine) for device, machine in timed]
    cases = [
        Estimate(
            key, 9, 1, 1.0, 0.9, 1.1, np.empty(0), processes=processes, process_medians_s=np.ones(processes)
        )
        for key in (*keys, *extra)
    ]
    return replace(
        _empty(),
        runs=tuple([ran()] if runs is None else runs),
        machines=tuple(machines),
        rows=tuple(CaseRow(case, None) for case in cases),
        outcomes=tuple(Outcome(word, word, "", None) for word in outcomes),
        speedups=tuple(speedups),
        break_evens=tuple(lines),
        headline=headline_phase(speedups),
        names=model_names(Model(of.model.workload, Axes(of.model.axes)) for of in lines),
        **{"comparability": Comparability(ComparabilityLevel.GREEN, ()), **options},
    )


def _speedup(candidate, baseline, speedup, flags):
    if speedup is None:
        return Speedup(candidate, baseline, 1.1, 0.8, 1.5, DeviceVerdict.UNDECIDED, flags)
    faster = DeviceVerdict.FASTER if speedup > 1 else DeviceVerdict.SLOWER
    verdict = DeviceVerdict.SAME if speedup == 1 else faster
    return Speedup(candidate, baseline, speedup, speedup * 0.99, speedup * 1.01, verdict, flags)


@cache
def _empty():
    with tempfile.TemporaryDirectory() as folder:
        made = report(Path(folder), affine_run({"cpu": (1, 1)}))
    blank = {"paybacks": (), "bottlenecks": (), "variants": (), "processes_needed": None}
    return replace(made, forced=False, warnings=(), **blank)
