"""Names and numbers in sentences, the same in every output; and the break-evens that the verdict is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from breakeven import format as fmt
from breakeven.case import Model, axes_words, distinct_axes
from breakeven.device_names import device_name, is_cpu
from breakeven.format import one_line
from breakeven.phases import COMPARED, Phase
from breakeven.report.break_even import BreakEven
from breakeven.report.estimates import Estimate
from breakeven.report.speedup import TWO, Speedup
from breakeven.report.startup_cost import Payback
from breakeven.runs.machine import Machine

SKEWED = 0.5
"""An interval with a larger relative half-width is shown by its ends, because ± would be misleading."""

MAX_RATIO = 1e9
"""Larger ratios are shown as this one: no machine reaches it, but a broken file may."""

PHASE_NAMES = {
    Phase.STEP: "the optimizer step",
    Phase.INFER: "inference",
    Phase.EPOCH: "an epoch with its loader",
}
"""Phases whose name in a sentence is another one."""

ModelNames = Mapping[Model, str]
"""The name of each model in a sentence."""


def phase_name(phase: str | None) -> str:
    """Return the name of a part of training in a sentence.

    >>> phase_name("infer"), phase_name("forward")
    ('inference', 'forward')
    """
    return next(
        (name for known, name in PHASE_NAMES.items() if known == phase), fmt.shortened(str(phase), 20)
    )


def place_name(device: str, machine: str, machines: Sequence[Machine]) -> str:
    """Return the name of a device in a sentence, with its machine where there are several."""
    labels = {one.class_id: one.label for one in machines}
    return f"{device_name(device)}{f' of {labels[machine]}' if len(labels) > 1 else ''}"


def model_names(models: Iterable[Model]) -> dict[Model, str]:
    """Return the name of each model in a sentence.

    Axes that are the same in all models of a workload are omitted, unless there is only one model.

    >>> from breakeven.case import Axes
    >>> models = [Model("mlp", Axes({"depth": 2, "width": width})) for width in (8, 64)]
    >>> list(model_names(models).values())
    ['mlp, width 8', 'mlp, width 64']
    """
    names = {}
    for model, axes in distinct_axes(models).items():
        words = [axes_words({name: axes[name]}).replace("=", " ", 1) for name in sorted(axes)]
        names[model] = one_line(", ".join([model.workload, *words]))
    return names


def models_text(models: Iterable[Model], *more: str) -> str:
    """Return the number of models, with that of their workloads where it differs, and `more` about them.

    >>> from breakeven.case import Axes
    >>> mlps = [Model("mlp", Axes({"width": width})) for width in (8, 64)]
    >>> models_text(mlps), models_text([Model("cnn"), Model("lstm")]), models_text(mlps, "batch 1")
    ('2 models (1 workload)', '2 models', '2 models (1 workload; batch 1)')
    """
    known = set(models)
    workloads = {model.workload for model in known}
    split = () if len(workloads) == len(known) else (fmt.plural(len(workloads), "workload"),)
    inside = "; ".join((*split, *more))
    return f"{fmt.plural(len(known), 'model')}{f' ({inside})' if inside else ''}"


def headline_phase(speedups: Iterable[Speedup]) -> str | None:
    """Return the phase of the verdict: the first of `COMPARED` that was compared, None without any."""
    present = list(dict.fromkeys(row.phase for row in speedups))
    return next((str(phase) for phase in (*COMPARED, *present) if phase in present), None)


def headline_devices(lines: Sequence[BreakEven]) -> list[str]:
    """Return the candidates among the lines of one machine that the verdict is about.

    On a machine with an accelerator, other thread counts are only other baselines, which
    `breakeven.report.what_if` covers.
    """
    names = dict.fromkeys(row.candidate.device for row in lines)
    accelerated = any(not is_cpu(name) for name in names)
    at_home = {
        row.candidate.device
        for row in lines
        if is_cpu(row.baseline.device) and row.baseline.machine == row.candidate.machine
    }
    return [name for name in names if not (accelerated and is_cpu(name) and name in at_home)]


def headline_lines(
    machines: Sequence[Machine], break_evens: Sequence[BreakEven], phase: str | None
) -> list[BreakEven]:
    """Return the break-evens that the verdict is about, by machine and candidate."""
    found = []
    for machine in machines:
        lines = [
            row for row in break_evens if row.candidate.machine == machine.class_id and row.phase == phase
        ]
        for device in headline_devices(lines):
            found += [row for row in lines if row.candidate.device == device]
    return found


def time_text(case: Estimate) -> str:
    """Return a median with the half-width of its interval, in percent of the median."""
    if case.low_s is None or case.high_s is None or case.median_s == 0:
        return f"{fmt.seconds(case.median_s)} {_both(time_between(case))}".strip()
    half = (case.high_s - case.low_s) / 2 / case.median_s
    if half > SKEWED:
        return f"{fmt.seconds(case.median_s)} [{fmt.seconds(case.low_s)}–{fmt.seconds(case.high_s)}]"
    return f"{fmt.seconds(case.median_s)} ±{fmt.percent(half)}"


def times_text(ratio: float | None) -> str:
    """Return how many times as fast something is, as a sentence has room for it.

    >>> times_text(84.41), times_text(None)
    ('84.4x', '')
    """
    return fmt.ratio(None if ratio is None else min(ratio, MAX_RATIO))


def speedup_text(row: Speedup | None) -> str:
    """Return a speedup with its interval, empty for None."""
    if row is None:
        return ""
    if row.low is None:
        return f"{fmt.ratio(row.speedup)} {_both(speedup_between(row))}".strip()
    return fmt.ratio_with_interval(row.speedup, row.low, row.high)


def time_between(case: Estimate) -> str:
    """Return the ends of a median's interval; without one, what several processes measured."""
    if case.low_s is not None and case.high_s is not None:
        return f"{fmt.seconds(case.low_s)} – {fmt.seconds(case.high_s)}"
    known = case.process_medians_s[~np.isnan(case.process_medians_s)]
    return _readings([fmt.seconds(median_s) for median_s in sorted(known.tolist())])


def speedup_between(row: Speedup) -> str:
    """Return a speedup's interval; without one, what several processes measured."""
    if row.speedup is None:
        return ""
    readings = fmt.ratios(sorted(row.readings), row.speedup)
    return fmt.ratio_between(row.low, row.high, row.speedup) or _readings(readings)


def steps_to_pay_back(payback: Payback | None) -> str:
    """Return the training steps of a payback with their interval, empty without one."""
    if payback is None:
        return ""
    return f"{fmt.count(payback.steps)} {fmt.count_between(payback.low, payback.high)}".strip()


def _readings(texts: Sequence[str]) -> str:
    """Return the ascending readings of several processes that give no interval; empty for one."""
    if len(texts) <= TWO:
        return " and ".join(texts) if len(texts) == TWO else ""
    return f"unknown: {texts[0]} to {texts[-1]} in {len(texts)} processes"


def _both(readings: str) -> str:
    return f"({readings})" if readings else ""
