"""Steps to repay: after how many training steps a faster device has earned its start.

Owns what counts as the start: the device's initialization, moving the model, capturing it as a graph, and
what the first calls take beyond steady ones. Each happens once in a run and is seen once, so the start itself
has no interval; the steps have that of the time saved a step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from breakeven.device_names import is_cpu
from breakeven.report.estimates import Estimate
from breakeven.report.speedup import Speedup
from breakeven.stats.intervals import interval_of_draws

Inits = Mapping[tuple[str, str], float]
"""Seconds of initializing a device, by class id and device."""


@dataclass(frozen=True)
class Payback:
    """When the candidate of `row` has earned its start.

    `start_s` is how much longer the candidate takes to start than the baseline, in seconds; where it is not
    positive there is nothing to repay and `steps` is 0. `low` and `high` are the 95% interval of `steps`,
    `high` None where it is unbounded.
    """

    row: Speedup
    start_s: float
    steps: float
    low: float | None
    high: float | None


def paybacks(
    cases: Iterable[Estimate], speedups: Iterable[Speedup], facts: pd.DataFrame, inits: Inits
) -> list[Payback]:
    """Return a row for every whole training step in which an accelerator is faster and its start is known.

    Two CPU devices are one: whichever is timed first bears what loading the libraries costs.

    Args:
        cases: the estimates behind the speedups.
        speedups: all rows.
        facts: needs ``class_id, workload, axes, batch_size, phase, device, first_call_s, model_transfer_s,
            compile_s, capture_s``.
        inits: as `Inits`; an accelerator that is not in it has no known start.
    """
    table = {_key(case): case for case in cases}
    starts = _starts(table, facts, inits)
    found = []
    for row in speedups:
        if row.phase != "train" or row.verdict != "faster" or is_cpu(row.candidate):
            continue
        cell = (row.workload, row.axes, row.batch_size)
        base, cand = (row.baseline_class_id, *cell, row.baseline), (row.class_id, *cell, row.candidate)
        if base in starts and cand in starts:
            steps = table[*base[:4], "train", base[4]], table[*cand[:4], "train", cand[4]]
            found.append(payback(row, starts[cand] - starts[base], *steps))
    return found


def payback(row: Speedup, start_s: float, base: Estimate, cand: Estimate) -> Payback:
    """Return after how many steps a start that takes `start_s` longer is repaid by `cand`, which is faster.

    Args:
        row: the speedup of `cand` over `base`.
        start_s: seconds.
        base: the whole training step that is held against.
        cand: the same step, faster.
    """
    saved_s = base.median_s - cand.median_s
    low_s, high_s = interval_of_draws(base.draws - cand.draws)
    if start_s <= 0 or saved_s <= 0:
        return Payback(row, start_s, 0.0, 0.0, 0.0)
    return Payback(
        row,
        start_s,
        start_s / saved_s,
        None if high_s is None else start_s / high_s,
        None if low_s is None or low_s <= 0 else start_s / low_s,
    )


def _starts(
    table: Mapping[tuple[object, ...], Estimate], facts: pd.DataFrame, inits: Inits
) -> dict[tuple[object, ...], float]:
    """Return the seconds of starting each cell on each device, by (class, workload, axes, batch, device)."""
    excesses: dict[tuple[object, ...], dict[str, list[float]]] = {}
    moves: dict[tuple[object, ...], list[float]] = {}
    captures: dict[tuple[object, ...], list[float]] = {}
    columns = ["class_id", "workload", "axes", "batch_size", "device", "phase"]
    values = ["first_call_s", "model_transfer_s", "compile_s", "capture_s"]
    for row in facts[[*columns, *values]].itertuples(index=False, name=None):
        key, phase, (first, move, compiled, captured) = row[:5], row[5], row[6:]
        if first is None or move is None:
            continue
        beyond = max(0.0, first - table[*key[:4], phase, key[4]].median_s)
        # A recorded graph's first call comes after compiling and capturing, and is all the sooner over.
        excesses.setdefault(key, {}).setdefault(phase, []).append(max(beyond, compiled or 0.0))
        # Every phase records anew; who trains records once.
        captures.setdefault(key, []).append(captured or 0.0)
        moves.setdefault(key, []).append(move)
    found = {}
    for key, phases in excesses.items():
        init_s = inits.get((str(key[0]), str(key[4])), 0.0 if is_cpu(str(key[4])) else math.nan)
        if "train" in phases and not math.isnan(init_s):
            found[key] = init_s + _middle(moves[key]) + _middle(captures[key]) + _first_step(phases)
    return found


def _first_step(phases: Mapping[str, Sequence[float]]) -> float:
    """Return what the first training step takes beyond a steady one.

    Libraries load and tune in the first call of whichever phase was timed first, and each phase begins with
    a new optimizer: neither the phases' excesses together nor `train`'s own hold all of it, so the larger is
    taken, and nothing is counted twice.
    """
    middles = {phase: _middle(values) for phase, values in phases.items()}
    return max(middles.pop("train"), sum(middles.values()))


def _middle(values: Sequence[float]) -> float:
    return float(np.median(values))


def _key(case: Estimate) -> tuple[object, ...]:
    return (case.class_id, case.workload, case.axes, case.batch_size, case.phase, case.device)
