"""Warnings as values: what is doubtful about a report, why, and what to try.

Owns the words of every warning about measured numbers. A warning is one line, "where: cause; remedy"; the
places that share a cause share a line. Prints nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from breakeven.device_names import is_cpu
from breakeven.format import joined, one_line, plural
from breakeven.report.baseline import Reference
from breakeven.report.break_even import BreakEven
from breakeven.report.estimates import Estimate
from breakeven.report.phase_sums import RESIDUAL, Closure
from breakeven.report.speedup import Speedup
from breakeven.runs.machine import Machine
from breakeven.stats.intervals import MIN_ROUNDS, MIN_RUNS

_CELL = ["workload", "axes", "batch_size", "phase"]
_Cell = tuple[object, ...]

CROSSINGS = {
    "several": "the faster device changes more than once over the batch sizes; the break-even is the last "
    "crossing; look at the plot before trusting it",
    "loses_large": "the candidate wins at a smaller batch size and loses at the largest, so it is `never` "
    "faster from some batch size on; choose the device by batch size",
    "one_batch": "only one batch size was measured, so `always` and `never` speak of that one alone; "
    "measure more, such as --breakeven-sweep='batch_size=1,64,512'",
    "cut_short": "larger batch sizes gave no timing on both devices, so `never`, `always` and the break-even "
    "speak of the smaller ones alone; see the outcomes, and measure what is missing",
    "hole": "the devices cross where a batch size between gave no usable timing on both, so the break-even "
    "is not interpolated; see the outcomes and measure it again",
}
FLAGS = {
    "noisy": "the wished half-width of the interval was not reached; close other programs, or give "
    "--benchmark-max-time more seconds",
    "drift": "the times changed level during the rounds; let the machine settle and measure again",
    "unsteady": "the times were still changing when the warm-up ended; let the machine settle, or give "
    "--benchmark-max-time more seconds",
    "throttled": "the device lowered its clocks; cool it, or lower the power it is asked for",
    "clock": "the clocks moved while measuring; let the machine settle and measure again",
    "contended": "other programs used the same cores; close them, or set OMP_WAIT_POLICY=passive",
    "budget": "the time budget ended before the wished precision; give --benchmark-max-time more seconds",
    "few_rounds": f"fewer than {MIN_ROUNDS} rounds cannot give a 95% interval, so nothing is judged; give "
    "--benchmark-max-time more seconds",
    "shared_gpu": "other processes used the GPU; free it and measure again",
    "zero_time": "the median is zero, below the clock's resolution, and has no ratio; time more work a round",
}

DISTURBED = frozenset({"contended", "throttled", "clock", "drift", "shared_gpu", "unsteady"})
"""Flags of a time that something else had a part in; of the others its interval tells the whole."""

CARE = 0.25
"""Where more than this share of the compared cases was disturbed, the verdict says so itself."""


def disturbed_note(compared: Sequence[Speedup]) -> str | None:
    """Return the sentence that a verdict on much disturbed cases ends with, or None where few were."""
    count = sum(not DISTURBED.isdisjoint(row.flags) for row in compared)
    if count <= CARE * len(compared):
        return None
    return (
        f"{count} of {plural(len(compared), 'speedup')} rest on times that something "
        "else disturbed, see the warnings."
    )


def warnings_of(
    machines: Sequence[Machine],
    cases: Sequence[Estimate],
    break_evens: Iterable[BreakEven],
    closures: Iterable[Closure],
) -> list[str]:
    """Return the warnings of an analysis, the gravest first: break-evens, flags, runs, closure, baselines."""
    label = {machine.class_id: machine.label for machine in machines} if len(machines) > 1 else {}
    return [
        *_crossings(break_evens, label),
        *_flags(cases, label),
        *_runs(cases, label),
        *_closures(closures, label),
    ]


def pairing_notes(
    machines: Sequence[Machine],
    cases: Sequence[Estimate],
    against: Mapping[str, Reference | None],
    outcomes: pd.DataFrame,
) -> list[str]:
    """Return warnings about what found no partner: a machine without its baseline, a cell on one side only.

    Args:
        machines: all that were read.
        cases: all estimates.
        against: what each class id is held against, as `breakeven.report.speedup.references` tells.
        outcomes: needs ``class_id, workload, axes, batch_size, phase, device``; a cell that ended without a
            timing is no riddle, and is told of elsewhere.
    """
    label = {machine.class_id: machine.label for machine in machines}
    cells: dict[tuple[str, str], dict[_Cell, str]] = {}
    for case in cases:
        if case.phase != "transfer":
            key = (case.workload, case.axes, case.batch_size, case.phase)
            cells.setdefault((case.class_id, case.device), {})[key] = one_line(_case_words(case))
    for ended in outcomes[[*_CELL, "class_id", "device"]].dropna().itertuples(index=False, name=None):
        cells.setdefault(ended[-2:], {}).setdefault(ended[:-2], "")
    found = []
    for class_id, reference in against.items():
        if reference is None or reference.class_id is None:
            found.append(
                f"{label[class_id]}: the baseline device was not measured there, so its devices are held "
                "against nothing; measure it there, or name one of another machine: --baseline MACHINE/cpu"
            )
            continue
        base = cells.get((reference.class_id, reference.device), {})
        for machine, device in cells:
            if machine != class_id or (machine, device) == (reference.class_id, reference.device):
                continue
            names = [n for n in _apart(base, cells[machine, device]) if n]
            if names:
                where = f" on {label[class_id]}" if len(machines) > 1 else ""
                many = "1 case was" if len(names) == 1 else f"{len(names)} cases were"
                found.append(
                    f"{many} timed on only one of {reference.device} and {device}{where} ({joined(names)}), "
                    "so they have no speedup; measure them on both"
                )
    return found


def _apart(one: Mapping[_Cell, str], other: Mapping[_Cell, str]) -> list[str]:
    """Return the names of what stands in only one of two mappings."""
    return [*(one[key] for key in one if key not in other), *(other[key] for key in other if key not in one)]


def _case_words(case: Estimate) -> str:
    return " ".join(filter(None, (case.workload, case.axes, f"batch={case.batch_size}", case.phase)))


def _crossings(break_evens: Iterable[BreakEven], label: Mapping[str, str]) -> list[str]:
    places: dict[str, list[str]] = {}
    for row in break_evens:
        words = (
            row.workload,
            row.axes,
            row.phase,
            f"({row.candidate} against {row.baseline})",
            _on(row.class_id, label),
        )
        for note in row.crossing.warnings:
            places.setdefault(note, []).append(one_line(" ".join(filter(None, words))))
    return [f"{joined(places[note])}: {text}" for note, text in CROSSINGS.items() if note in places]


def _flags(cases: Sequence[Estimate], label: Mapping[str, str]) -> list[str]:
    places: dict[str, list[str]] = {}
    for case in cases:
        words = (
            case.workload,
            case.axes,
            f"batch={case.batch_size}",
            case.phase,
            case.device,
            _on(case.class_id, label),
        )
        for flag in case.flags:
            places.setdefault(flag, []).append(one_line(" ".join(filter(None, words))))
    return [
        f"{len(found)} of {len(cases)} cases {'is' if len(found) == 1 else 'are'} flagged "
        f"{one_line(flag, 40)} ({joined(found)}): "
        + FLAGS.get(flag, "a flag that this breakeven does not know; see the breakeven that measured")
        for flag, found in places.items()
    ]


def uncounted_notes(facts: pd.DataFrame) -> list[str]:
    """Return a warning for each reason for which a model's operations could not be counted.

    Args:
        facts: needs ``workload, axes, flops_unknown``; None where nothing is to be said.
    """
    models: dict[str, list[str]] = {}
    known = facts[["workload", "axes", "flops_unknown"]].dropna()
    for workload, axes, reason in known.itertuples(index=False, name=None):
        models.setdefault(reason, []).append(one_line(f"{workload} {axes}".strip()))
    return [
        f"{joined(names)}: the floating point operations could not be counted ({one_line(reason)}), so no "
        "FLOP/s is given; let the model run on torch's meta device, if you need it"
        for reason, names in models.items()
    ]


def _runs(cases: Sequence[Estimate], label: Mapping[str, str]) -> list[str]:
    most: dict[str, int] = {}
    for case in cases:
        most[case.class_id] = max(most.get(case.class_id, 0), case.runs)
    return [
        f"{' '.join(filter(None, (f'{count} runs', _on(class_id, label))))} are replicates of each other, "
        "and so few tell little of the noise between them, so that their intervals (Student's) are wide; add "
        f"runs until there are {MIN_RUNS}"
        for class_id, count in most.items()
        if 1 < count < MIN_RUNS
    ]


def _closures(closures: Iterable[Closure], label: Mapping[str, str]) -> list[str]:
    found = []
    for row in closures:
        if is_cpu(row.device) and row.beyond:
            where = " ".join(filter(None, (row.device, _on(row.class_id, label))))
            worst = f"worst: {one_line(row.worst[0])}, {row.worst[1]:+.0%}"
            found.append(
                f"{where}: in {row.beyond} of {row.cells} cells the phases' sum misses train by more than "
                f"{RESIDUAL:.0%} ({worst}); trust train, and read the phases as shares only"
            )
    return found


def _on(class_id: str, label: Mapping[str, str]) -> str:
    return f"on {label[class_id]}" if class_id in label else ""
