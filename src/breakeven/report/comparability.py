"""May these numbers stand side by side? Green, amber or red, with the reasons.

Owns what must be equal, what should be, and what a doubtful machine looks like. Red is where two numbers of
one name mean different things: another numeric mode, another model. Says so and refuses nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from breakeven.format import joined, one_line
from breakeven.report.estimates import Estimate
from breakeven.runs.machine import Machine

GREEN, AMBER, RED = "green", "amber", "red"

NUMERIC_MODES = ("tf32", "amp", "deterministic")
"""Facts of a machine that change what is computed."""

GPU_MODES = ("cudnn_tf32",)
"""Likewise, where both machines have a GPU."""

SHOULD_AGREE = (
    "torch",
    "driver",
    "cuda",
    "cudnn",
    "cudnn_benchmark",
    "flush_denormal",
    "threads",
    "omp_wait_policy",
)
"""Facts that move the times without changing what is computed; unknown ones are passed over."""

DISTURBED = {"throttled": "ran throttled", "shared_gpu": "shared their GPU with other processes"}


@dataclass(frozen=True)
class Reason:
    """Why the comparison is amber or red: one line, cause and remedy."""

    level: str
    text: str


@dataclass(frozen=True)
class Comparability:
    """The level, which is that of the gravest reason, and the reasons, the gravest first."""

    level: str
    reasons: tuple[Reason, ...]


def comparability(
    machines: Sequence[Machine],
    cases: Iterable[Estimate],
    facts: pd.DataFrame,
    moved: Iterable[str] = (),
) -> Comparability:
    """Return whether the machines and cells of a report may be compared.

    Args:
        machines: every machine class in the report.
        cases: their estimates, whose flags tell of throttling and of a shared GPU.
        facts: needs ``workload, axes, batch_size, phase, parameters, flops``.
        moved: what is to be said of canaries that moved while a run was measured.
    """
    # What is red stands first: the order of the checks is that of their weight.
    red = (*_modes(machines), *_models(facts))
    unsteady = (Reason(AMBER, text) for text in moved)
    amber = (*unsteady, *_versions(machines), *_unknown(machines), *_flagged(cases))
    return Comparability(RED if red else AMBER if amber else GREEN, (*red, *amber))


def _modes(machines: Sequence[Machine]) -> Iterator[Reason]:
    with_gpu = [machine for machine in machines if machine.facts.get("gpu")]
    for name, among in [(n, machines) for n in NUMERIC_MODES] + [(n, with_gpu) for n in GPU_MODES]:
        values = _values(among, name)
        if len(values) > 1:
            text = f"{name} is not the same ({_listed(values)}); measure all machines in one numeric mode"
            yield Reason(RED, text)


def _models(facts: pd.DataFrame) -> Iterator[Reason]:
    cell = ["workload", "axes", "batch_size"]
    for column, key in (("parameters", cell), ("flops", [*cell, "phase"])):
        known = facts[[*key, column]].dropna()
        different = known.groupby(key, sort=False)[column].nunique()
        names = [_cell_name(*key_of[:3]) for key_of in different.index[different > 1]]
        if names:
            yield Reason(
                RED,
                f"{joined(names)}: the cells of one name differ in their {column}; give what differs an axis "
                "or a name of its own",
            )


def _versions(machines: Sequence[Machine]) -> Iterator[Reason]:
    for name in SHOULD_AGREE:
        values = _values(machines, name)
        if len(values) > 1:
            text = f"{name} is not the same ({_listed(values)}); the ratios hold that difference too"
            yield Reason(AMBER, text)
    by_gpu: dict[str, list[Machine]] = {}
    for machine in machines:
        by_gpu.setdefault(str(machine.facts.get("gpu")), []).append(machine)
    for gpu, same in by_gpu.items():
        values = _values(same, "power_limit_w")
        if len(values) > 1:
            text = f"power_limit_w of {one_line(gpu, 60)} is not the same ({_listed(values)}); set them alike"
            yield Reason(AMBER, text)


def _unknown(machines: Sequence[Machine]) -> Iterator[Reason]:
    unknown = [machine.label for machine in machines if not any(n in machine.facts for n in NUMERIC_MODES)]
    if unknown and len(machines) > 1:
        yield Reason(
            AMBER,
            f"{joined(unknown)}: the run file tells nothing of numeric modes and versions, so nobody can say "
            "whether they agree; measure again with this breakeven",
        )


def _flagged(cases: Iterable[Estimate]) -> Iterator[Reason]:
    counts = dict.fromkeys(DISTURBED, 0)
    for case in cases:
        for flag in counts:
            counts[flag] += flag in case.flags
    for flag, count in counts.items():
        if count:
            text = f"{count} {'case' if count == 1 else 'cases'} {DISTURBED[flag]}; free or cool the device"
            yield Reason(AMBER, f"{text}, and measure again")


def _values(machines: Sequence[Machine], name: str) -> dict[str, str]:
    """Return each known value of a fact, as text, with the first machine that has it."""
    found: dict[str, str] = {}
    for machine in machines:
        value = machine.facts.get(name)
        if value is not None:
            found.setdefault(one_line(value, 60), machine.label)
    return found


def _listed(values: dict[str, str]) -> str:
    return joined([f"{value} on {label}" for value, label in values.items()])


def _cell_name(workload: str, axes: str, batch_size: int) -> str:
    return one_line(" ".join(filter(None, (workload, axes, f"batch={batch_size}"))))
