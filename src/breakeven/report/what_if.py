"""What would change the verdict: the break-even of the same model in another scenario.

The scenarios: the data already on the device (*resident*: `train` minus `transfer`), a wait in every step,
another CPU baseline, another dtype, inference, an epoch with its loader. Scenarios that were not measured are
not estimated. `transfer` waits for its copy, which a loop need not, so that what resident data saves on an
accelerator is at most this.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from breakeven.case import Line, Model, Outcome
from breakeven.device_names import is_cpu
from breakeven.grouping import grouped
from breakeven.phases import HEADLINE, Phase
from breakeven.report.baseline import Baseline
from breakeven.report.break_even import BreakEven, break_evens
from breakeven.report.estimates import Estimate
from breakeven.report.speedup import Baselines, baselines, devices_of, speedups
from breakeven.stats.intervals import interval_of_draws

RESIDENT = "resident"
"""The name of `train` minus `transfer`, as a phase of estimates that were not timed directly."""

DTYPE = "dtype"

INFERENCE = "inference"


@dataclass(frozen=True)
class WhatIf:
    """A break-even, and that of the same model in another scenario.

    `note` is what else differs, `brief` the part of it that several models share; both may be empty.
    `chosen` are the variants of the baseline and of the candidate, where each batch size has its own.
    """

    scenario: str
    line: BreakEven
    other: BreakEven
    note: str = ""
    brief: str = ""
    chosen: tuple[tuple[str, ...], ...] = ()


Counterpart = tuple[Model, str, str, str]
"""What a line and its counterpart have in common: model, device, its machine, the baseline's machine."""


def what_ifs(
    cases: Sequence[Estimate],
    lines: Sequence[BreakEven],
    all_lines: Sequence[BreakEven],
    marks: Mapping[Line, str],
    outcomes: Sequence[Outcome],
    asked: Baseline | None = None,
) -> list[WhatIf]:
    """Return the lines of the verdict, each with its counterpart in every scenario that was measured.

    Args:
        cases: the estimates behind the lines.
        lines: the break-evens that the verdict is about, all of one phase.
        all_lines: those of every phase and device.
        marks: the lines whose baseline is faster in another variant, as texts by their candidate.
        outcomes: the cases that ended without a timing.
        asked: the baseline that the user named.
    """
    against = baselines(cases, asked)
    train = [line for line in lines if line.phase == HEADLINE]
    return [
        *_resident(cases, train, outcomes, against),
        *_other_phase(train, all_lines, Phase.TRAIN_SYNC, "loss.item() in every step"),
        *_other_baselines(cases, lines, outcomes, against),
        *_other_dtypes(lines, marks),
        *_other_phase(train, all_lines, Phase.INFER, INFERENCE),
        *_other_phase(train, all_lines, Phase.EPOCH, "epoch (with loader)"),
    ]


def counterparts(
    scenario: Callable[[BreakEven], str], lines: Iterable[BreakEven], others: Iterable[BreakEven]
) -> list[WhatIf]:
    """Return the lines that have a counterpart with the same devices and phase among `others`."""
    found = {(line.candidate, line.baseline): line for line in others}
    return [
        WhatIf(scenario(line), line, found[line.candidate, line.baseline])
        for line in lines
        if (line.candidate, line.baseline) in found
    ]


def counterpart(line: BreakEven) -> Counterpart:
    """Return the identity of a line in any scenario."""
    return line.model, line.candidate.device, line.candidate.machine, line.baseline.machine


def resident_of(train: Estimate, transfer: Estimate | None) -> Estimate | None:
    """Return `train` minus `transfer`, with the draws of both; None if the transfer is unknown.

    A step of several passes transfers a batch in each. On a CPU the data is already there, so a transfer that
    was not timed counts as zero.
    """
    key = replace(train.key, phase=RESIDENT)
    if transfer is None:
        return replace(train, key=key) if is_cpu(train.key.device) else None
    passes = train.facts.passes
    median_s, draws = train.median_s - passes * transfer.median_s, train.draws - passes * transfer.draws
    rest_s = train.process_medians_s - passes * transfer.process_medians_s
    low, high = interval_of_draws(draws)
    judged = train.judged and transfer.judged and median_s > 0 and low is not None and high is not None
    return replace(
        train,
        key=key,
        n=min(train.n, transfer.n),
        median_s=max(0.0, median_s),
        low_s=min(low, median_s) if judged and low is not None else None,
        high_s=max(high, median_s) if judged and high is not None else None,
        flags=tuple(dict.fromkeys((*train.flags, *transfer.flags))),
        draws=draws,
        processes=max(1, int(np.isfinite(rest_s).sum())),
        process_medians_s=rest_s,
        log_sd=None,
        df=None,
        rounds_half_width=_half_width_of_rest(train, transfer, median_s),
    )


def _half_width_of_rest(train: Estimate, transfer: Estimate, rest_s: float) -> float:
    """Return the relative half-width that the rounds of both allow for their difference."""
    transfer_s = train.facts.passes * transfer.median_s
    halves_s = (train.rounds_half_width * train.median_s, transfer.rounds_half_width * transfer_s)
    return math.hypot(*halves_s) / rest_s if rest_s > 0 else 0.0


def _other_phase(
    train: Iterable[BreakEven], all_lines: Iterable[BreakEven], phase: str, scenario: str
) -> Iterator[WhatIf]:
    found = {counterpart(line): line for line in all_lines if line.phase == phase}
    for line in train:
        other = found.get(counterpart(line))
        if other is not None and not (phase == Phase.TRAIN_SYNC and _is_cpu_only(line)):
            yield WhatIf(scenario, line, other)


def _is_cpu_only(line: BreakEven) -> bool:
    """Return whether there is nothing to copy to, and to wait for."""
    return is_cpu(line.baseline.device) and is_cpu(line.candidate.device)


def _resident(
    cases: Sequence[Estimate], train: Iterable[BreakEven], outcomes: Iterable[Outcome], against: Baselines
) -> Iterator[WhatIf]:
    table = {case.key: case for case in cases}
    steps = [case for case in cases if case.key.phase == HEADLINE]
    resident = [resident_of(case, table.get(replace(case.key, phase=Phase.TRANSFER))) for case in steps]
    ended = [
        replace(outcome, key=replace(outcome.key, phase=RESIDENT))
        for outcome in outcomes
        if outcome.key is not None and outcome.key.phase == HEADLINE
    ]
    found = _lines([case for case in resident if case is not None], ended, against)
    for line in train:
        other = found.get(counterpart(line))
        if other is not None and not _is_cpu_only(line):
            yield WhatIf("data already on the device", line, other)


def _other_baselines(
    cases: Sequence[Estimate], train: Sequence[BreakEven], outcomes: Iterable[Outcome], against: Baselines
) -> Iterator[WhatIf]:
    phases = {line.phase for line in train}
    timed = [case for case in cases if case.key.phase in phases]
    cpus = dict.fromkeys(device for names in devices_of(timed).values() for device in names if is_cpu(device))
    for device in cpus:
        others = {
            machine: None if baseline is None else replace(baseline, device=device)
            for machine, baseline in against.items()
        }
        found = _lines(timed, outcomes, others)
        for line in train:
            other = found.get(counterpart(line))
            if other is not None and line.baseline.device != device and not is_cpu(line.candidate.device):
                yield WhatIf(f"against {device}", line, other)


def _other_dtypes(train: Sequence[BreakEven], marks: Mapping[Line, str]) -> Iterator[WhatIf]:
    typed = [line for line in train if DTYPE in line.model.axes]
    pairs = grouped(((_without_dtype(line.candidate), _without_dtype(line.baseline)), line) for line in typed)
    for group in pairs.values():
        group.sort(key=lambda line: bool(line.model.axes[DTYPE] != "float32"))
        for other in group[1:]:
            mark = marks.get(other.candidate, "")
            yield WhatIf(f"in {other.model.axes[DTYPE]}", group[0], other, mark, mark)


def _without_dtype(line: Line) -> Line:
    return replace(line, model=Model(line.model.workload, line.model.axes.without({DTYPE})))


def _lines(
    cases: Sequence[Estimate], outcomes: Iterable[Outcome], against: Baselines
) -> dict[Counterpart, BreakEven]:
    """Return the break-evens of the cases, with the baseline of each machine in `against`."""
    found = {}
    for machine, baseline in against.items():
        if baseline is None:
            continue
        here = [case for case in cases if case.key.machine in (machine, baseline.machine)]
        rows = speedups(here, {case.key.machine: baseline for case in here})
        for line in break_evens(here, rows, outcomes):
            if line.candidate.machine == machine:
                found[counterpart(line)] = line
    return found
