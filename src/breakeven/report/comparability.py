"""Whether numbers may be compared: green, amber or red, with the reasons.

Red means that numbers of the same name differ in meaning: another numeric mode, another model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

from breakeven.case import Model
from breakeven.flags import Flag
from breakeven.format import joined, one_line, plural
from breakeven.grouping import grouped
from breakeven.phases import HEADLINE
from breakeven.report.estimates import Estimate
from breakeven.runs.machine import Machine
from breakeven.runs.schema import Run, waits_without_steps


class ComparabilityLevel(StrEnum):
    """Whether numbers may be compared."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


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
"""Facts that affect the times but not the results; unknown ones are ignored."""

DOUBTFUL = (Flag.THROTTLED, Flag.SHARED_GPU)
"""Flags on a device that make a comparison amber."""


@dataclass(frozen=True)
class Reason:
    """Why the comparison is amber or red: one line, cause and remedy."""

    level: ComparabilityLevel
    text: str


@dataclass(frozen=True)
class Comparability:
    """The level, which is that of the worst reason, and the reasons, the worst first."""

    level: ComparabilityLevel
    reasons: tuple[Reason, ...]


def comparability(
    machines: Sequence[Machine], cases: Sequence[Estimate], runs: Sequence[Run], moved: Iterable[str] = ()
) -> Comparability:
    """Return whether the machines and cells of a report may be compared.

    Args:
        machines: every machine class in the report.
        cases: their estimates, whose flags record throttling and a shared GPU.
        runs: those behind the estimates.
        moved: a line for each canary or case that changed during a run.
    """
    # Red comes first: the order of the checks is that of their weight.
    red = [Reason(ComparabilityLevel.RED, text) for text in (*_modes(machines), *_models(runs))]
    doubts = (
        *_moved(list(moved)),
        *_versions(machines),
        *_unknown(machines),
        *_waiting(machines, cases),
        *_flagged(cases),
    )
    amber = [Reason(ComparabilityLevel.AMBER, text) for text in doubts]
    level = ComparabilityLevel.GREEN if not amber else ComparabilityLevel.AMBER
    return Comparability(ComparabilityLevel.RED if red else level, (*red, *amber))


def _modes(machines: Sequence[Machine]) -> Iterator[str]:
    with_gpu = [machine for machine in machines if machine.facts.get("gpu")]
    for name, among in [(n, machines) for n in NUMERIC_MODES] + [(n, with_gpu) for n in GPU_MODES]:
        values = _values(among, name)
        if len(values) > 1:
            yield f"{name} differs ({_listed(values)}); measure all machines in one numeric mode"


def _models(runs: Sequence[Run]) -> Iterator[str]:
    cases = [(case.key, case.facts) for run in runs for case in run.cases.values() if case.key is not None]
    parameters = grouped((key.cell, facts.parameters) for key, facts in cases)
    flops = grouped(((key.cell, key.phase), facts.flops) for key, facts in cases)
    differing = (
        ("parameters", [cell for cell, values in parameters.items() if len({*values} - {None}) > 1]),
        ("flops", [cell for (cell, _), values in flops.items() if len({*values} - {None}) > 1]),
    )
    for name, cells in differing:
        if cells:
            yield (
                f"{joined([one_line(cell.label()) for cell in cells])}: cells of the same name differ in "
                f"their {name}; give them different names or axes"
            )
    found = {cell.model for _, cells in differing for cell in cells}
    yield from (text for model, text in _networks(runs) if model not in found)


def _networks(runs: Sequence[Run]) -> Iterator[tuple[Model, str]]:
    """Yield each model that two runs have without a common number of parameters, at whatever batch sizes."""
    sizes = grouped(
        ((case.key.model, number), case.facts.parameters)
        for number, run in enumerate(runs)
        for case in run.cases.values()
        if case.key is not None and case.facts.parameters is not None
    )
    of_model = grouped((model, (runs[number].path, found)) for (model, number), found in sizes.items())
    for model, each in of_model.items():
        for (path, one), (other_path, other) in combinations(each, 2):
            if set(one).isdisjoint(other):
                yield (
                    model,
                    f"{one_line(model.label())} has {one[0]:,.0f} parameters in {one_line(path, 60)} and "
                    f"{other[0]:,.0f} in {one_line(other_path, 60)}; give the two networks different names "
                    "or axes",
                )
                break


def _moved(moved: Sequence[str]) -> Iterator[str]:
    """Yield the first change of a run, and how many more there are."""
    for text in moved[:1]:
        yield text if len(moved) == 1 else f"{text} ({plural(len(moved) - 1, 'more change')} of this kind)"


def _versions(machines: Sequence[Machine]) -> Iterator[str]:
    for name in SHOULD_AGREE:
        values = _values(machines, name)
        if len(values) > 1:
            yield f"{name} differs ({_listed(values)}); the ratios include that difference"
    for gpu, same in grouped((str(machine.facts.get("gpu")), machine) for machine in machines).items():
        values = _values(same, "power_limit_w")
        if len(values) > 1:
            yield f"power_limit_w of {one_line(gpu, 60)} differs ({_listed(values)}); set one limit on all"


def _unknown(machines: Sequence[Machine]) -> Iterator[str]:
    unknown = [machine.label for machine in machines if not any(n in machine.facts for n in NUMERIC_MODES)]
    if unknown and len(machines) > 1:
        yield (
            f"{joined(unknown)}: the run file does not record numeric modes and versions, so it is unknown "
            "whether they agree; measure again with this breakeven"
        )


def _waiting(machines: Sequence[Machine], cases: Sequence[Estimate]) -> Iterator[str]:
    labels = {machine.class_id: machine.label for machine in machines}
    places = grouped(
        (case.facts.steps is None, f"{case.key.device} of {labels[case.key.machine]}")
        for case in cases
        if waits_without_steps(case.key)
    )
    if len(places) > 1:
        yield (
            f"{HEADLINE} waited for the device after each training step on {joined(places[True])}, as "
            f"breakeven 0.1 timed it, and not on {joined(places[False])}; measure all of it with one version"
        )


def _flagged(cases: Sequence[Estimate]) -> Iterator[str]:
    for flag in DOUBTFUL:
        count = sum(flag in case.flags for case in cases)
        if count:
            yield f"{plural(count, 'case')} {flag.disturbed}; free or cool the device, and measure again"


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
