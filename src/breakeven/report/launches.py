"""Where launches bound a training step: what helps, and the machines on which they vary between processes.

The host queues the work of a small step for longer than the device computes, so its time is that of the host,
which on some machines (virtual ones with noisy neighbors) varies by a quarter from process to process.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from breakeven import format as fmt
from breakeven.case import Line
from breakeven.grouping import grouped
from breakeven.phases import HEADLINE
from breakeven.report.bottleneck import Bottleneck
from breakeven.report.bound import Bound
from breakeven.report.candidates import Candidate
from breakeven.report.estimates import Estimate
from breakeven.report.speedup import DeviceVerdict
from breakeven.report.text import ModelNames, place_name, time_text
from breakeven.report.variants import Variant
from breakeven.runs.machine import Machine

VARYING = 0.1
"""A log standard deviation of launch-bound steps from process to process above which the answer shows it."""


@dataclass(frozen=True)
class VaryingLaunches:
    """An accelerator whose launch-bound steps vary from process to process, by a log-sd of `launch`.

    `other` is that of its steps that the device bounds, `graph` the fastest cell that was captured as a CUDA
    graph, with its plain form; None where there is none.
    """

    device: str
    machine: str
    launch: float
    other: float | None
    graph: tuple[Estimate, Estimate] | None


def varying_launches(cases: Sequence[Estimate], ways: Iterable[Variant]) -> list[VaryingLaunches]:
    """Return the accelerators whose launch-bound steps vary from process to process."""
    table = {case.key: case for case in cases}
    spreads = grouped(
        ((case.key.device, case.key.machine), (case.bound, float(np.nanstd(case.log_medians, ddof=1))))
        for case in cases
        if case.key.phase == HEADLINE and case.processes > 1 and case.median_s > 0
    )
    captured = grouped(
        (way.place, way)
        for way in ways
        if way.capture_s is not None and way.row.verdict is DeviceVerdict.FASTER
    )
    found = []
    for (device, machine), steps in spreads.items():
        launch = [log_sd for bound, log_sd in steps if bound is Bound.LAUNCH]
        other = [log_sd for bound, log_sd in steps if bound is Bound.COMPUTE]
        if not launch or median(launch) <= VARYING:
            continue
        best = max(captured.get((device, machine), ()), key=lambda way: way.row.speedup or 0.0, default=None)
        graph = None if best is None else (table[best.row.candidate], table[best.row.baseline])
        found.append(
            VaryingLaunches(device, machine, median(launch), median(other) if other else None, graph)
        )
    return found


def launch_sentence(found: VaryingLaunches, machines: Sequence[Machine], models: ModelNames) -> str:
    """Return by how much the launches of a machine vary, and what helps."""
    other = "" if found.other is None else f" (those that the device bounds by {fmt.percent(found.other)})"
    helps = "more processes help (--breakeven-processes)"
    if found.graph is not None:
        captured, plain = found.graph
        helps += (
            f", and so does a CUDA graph: {time_text(captured)} instead of {time_text(plain)} "
            f"({models[plain.key.model]}, batch {fmt.batch_size(plain.key.batch_size)})"
        )
    elif found.device.startswith("cuda"):
        helps += ", and so do CUDA graphs and single_threaded_backward=True"
    return (
        f"Launch-bound training steps on {place_name(found.device, found.machine, machines)} vary by "
        f"{fmt.percent(found.launch)} from process to process{other}: {helps}."
    )


def launch_texts(
    one: Candidate, bounds: Iterable[Bottleneck], ways: Iterable[Variant], models: ModelNames
) -> list[str]:
    """Return for the answer that launches bound a candidate, and what helps, the longest form first.

    They do if they bound most of its headline cells, or those beside the break-even of its only model.
    """
    bound = _bound_cells(one, bounds)
    if not bound:
        return []
    text = f"Kernel launches limit {one.name}"
    best = _best_way(one, bound, ways)
    if best is None:
        return [f"{text}."]
    made = " and ".join(filter(None, (_compiled(best), _recorded(best))))
    ratio = fmt.ratio(best.row.speedup)
    step = f"{text}: {made}, the same training step"
    where = f"batch {fmt.batch_size(best.row.batch_size)}"
    if len(one.lines) > 1:
        where = f"{models[best.row.baseline.model]}, {where}"
    return [
        f"{step} takes {fmt.seconds(best.variant_s)}, {ratio} faster ({where}).",
        f"{step} is up to {ratio} faster.",
        f"{text}; {made}: up to {ratio} faster.",
        f"{text}.",
    ]


def launch_advice(one: Candidate) -> str:
    """Return what may help where no variant was measured."""
    return f"{'CUDA graphs or torch.compile' if one.device.startswith('cuda') else 'torch.compile'} may help"


def _bound_cells(one: Candidate, bounds: Iterable[Bottleneck]) -> set[tuple[Line, int]]:
    """Return the cells of a candidate that launches bound; none where they do not bound the candidate."""
    lines = {line.candidate: line for line in one.lines}
    kinds = {
        (row.line, cell.batch_size): cell.kind for row in bounds if row.line in lines for cell in row.cells
    }
    bound = {cell for cell, kind in kinds.items() if kind is Bound.LAUNCH}
    near = [(line.candidate, batch) for line in one.lines for batch in line.crossing.bracket]
    is_bound = 2 * len(bound) > len(kinds) or (len(lines) == 1 and bound.intersection(near))
    return bound if is_bound else set()


def _best_way(one: Candidate, bound: set[tuple[Line, int]], ways: Iterable[Variant]) -> Variant | None:
    """Return the fastest of the simplest that help: a second change on top of the first adds little."""
    helps = [
        way
        for way in ways
        if way.place == (one.device, one.machine)
        and way.row.verdict is DeviceVerdict.FASTER
        and (way.row.baseline.line, way.row.batch_size) in bound
        and (_recorded(way) or _compiled(way))
    ]
    return max(helps, key=lambda way: (-len(way.change), way.row.speedup or 0.0), default=None)


def _recorded(way: Variant) -> str:
    return "" if way.capture_s is None else "recorded as a CUDA graph"


def _compiled(way: Variant) -> str:
    return "" if way.compile_s is None else "compiled"
