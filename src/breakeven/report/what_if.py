"""What would flip the verdict: the same models with one circumstance changed.

Owns the circumstances: the data already on the device (*resident*: `train` less `transfer`), another CPU
baseline that was measured too, another dtype. A circumstance that was not measured is not guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from breakeven.device_names import is_cpu
from breakeven.report.baseline import Reference
from breakeven.report.break_even import BreakEven, break_evens
from breakeven.report.estimates import Estimate
from breakeven.report.speedup import devices_of, references, speedups
from breakeven.stats.intervals import interval_of_draws

RESIDENT = "resident"
"""The name of `train` less `transfer`, as a phase of estimates that were never timed by themselves."""

DTYPE = "dtype"


@dataclass(frozen=True)
class WhatIf:
    """A break-even, and that of the same model in another circumstance, which `scenario` names."""

    scenario: str
    line: BreakEven
    other: BreakEven


def what_ifs(
    cases: Sequence[Estimate],
    lines: Sequence[BreakEven],
    outcomes: pd.DataFrame,
    axes: Mapping[str, Mapping[str, Any]],
    wished: Reference | None = None,
) -> list[WhatIf]:
    """Return each line of the whole training step beside what it becomes in every measured circumstance.

    Args:
        cases: the estimates behind the lines.
        lines: as `breakeven.report.break_even.break_evens` returns them.
        outcomes: as that function takes them.
        axes: the object behind each text of axes.
        wished: the reference that the user chose.
    """
    train = [line for line in lines if line.phase == "train"]
    return [
        *_resident(cases, train, outcomes, wished),
        *_other_baselines(cases, train, outcomes, wished),
        *_other_dtypes(train, axes),
    ]


def name_of(line: BreakEven) -> tuple[str, ...]:
    """Return what a line and its counterpart in another circumstance have in common."""
    return (line.class_id, line.candidate, line.baseline_class_id, line.workload, line.axes)


def resident_of(train: Estimate, transfer: Estimate | None) -> Estimate | None:
    """Return `train` less `transfer`, with the draws of both; None where it cannot be told.

    On a CPU the data is already there, so a transfer that was not timed is taken as nothing.
    """
    if transfer is None:
        return replace(train, phase=RESIDENT) if is_cpu(train.device) else None
    median_s, draws = train.median_s - transfer.median_s, train.draws - transfer.draws
    low, high = interval_of_draws(draws)
    judged = train.judged and transfer.judged and median_s > 0 and low is not None and high is not None
    return replace(
        train,
        phase=RESIDENT,
        n=min(train.n, transfer.n),
        median_s=max(0.0, median_s),
        low_s=min(low, median_s) if judged and low is not None else None,
        high_s=max(high, median_s) if judged and high is not None else None,
        flags=tuple(dict.fromkeys((*train.flags, *transfer.flags))),
        draws=draws,
    )


def _resident(
    cases: Sequence[Estimate],
    train: Iterable[BreakEven],
    outcomes: pd.DataFrame,
    wished: Reference | None,
) -> Iterator[WhatIf]:
    transfers = {_cell(case): case for case in cases if case.phase == "transfer"}
    resident = [resident_of(case, transfers.get(_cell(case))) for case in cases if case.phase == "train"]
    ended = outcomes[outcomes["phase"] == "train"].assign(phase=RESIDENT)
    known = [case for case in resident if case is not None]
    # The baseline is that of the report, also where a device has no resident time.
    chosen = references(cases, wished)
    found = _lines(known, ended, chosen)
    for line in train:
        other = found.get(name_of(line))
        if other is not None and not (is_cpu(line.baseline) and is_cpu(line.candidate)):
            yield WhatIf("with the data resident", line, other)


def _other_baselines(
    cases: Sequence[Estimate],
    train: Sequence[BreakEven],
    outcomes: pd.DataFrame,
    wished: Reference | None,
) -> Iterator[WhatIf]:
    timed = [case for case in cases if case.phase == "train"]
    chosen = references(cases, wished)
    cpus = dict.fromkeys(device for names in devices_of(timed).values() for device in names if is_cpu(device))
    for device in cpus:
        against = {
            class_id: None if reference is None else replace(reference, device=device)
            for class_id, reference in chosen.items()
        }
        found = _lines(timed, outcomes, against)
        for line in train:
            other = found.get(name_of(line))
            if other is not None and line.baseline != device and not is_cpu(line.candidate):
                yield WhatIf(f"against {device}", line, other)


def _other_dtypes(train: Sequence[BreakEven], axes: Mapping[str, Mapping[str, Any]]) -> Iterator[WhatIf]:
    groups: dict[tuple[Any, ...], list[BreakEven]] = {}
    for line in train:
        values = axes.get(line.axes, {})
        if DTYPE in values:
            rest = tuple(sorted((key, repr(value)) for key, value in values.items() if key != DTYPE))
            key = (line.class_id, line.candidate, line.baseline_class_id, line.baseline, line.workload, rest)
            groups.setdefault(key, []).append(line)
    for group in groups.values():
        group.sort(key=lambda line: axes[line.axes][DTYPE] != "float32")
        for other in group[1:]:
            yield WhatIf(f"in {axes[other.axes][DTYPE]}", group[0], other)


def _lines(
    cases: Sequence[Estimate], outcomes: pd.DataFrame, against: Mapping[str, Reference | None]
) -> dict[tuple[str, ...], BreakEven]:
    """Return the break-evens of the cases when each machine is held against what `against` says, by name."""
    found = {}
    for class_id, reference in against.items():
        if reference is None:
            continue
        members = {class_id, reference.class_id}
        here = [case for case in cases if case.class_id in members]
        if not any((case.class_id, case.device) == (reference.class_id, reference.device) for case in here):
            continue
        for line in break_evens(here, speedups(here, reference), outcomes):
            if line.class_id == class_id:
                found[name_of(line)] = line
    return found


def _cell(case: Estimate) -> tuple[object, ...]:
    return (case.class_id, case.workload, case.axes, case.batch_size, case.device)
