"""How a report's numbers were obtained, and which cases have none, as lines."""

from __future__ import annotations

from breakeven import format as fmt
from breakeven.case import CaseKey
from breakeven.device_names import device_order, is_cpu, processes_of
from breakeven.grouping import grouped
from breakeven.phases import Phase
from breakeven.report.processes import only_machine, phase_sentences
from breakeven.report.report import Report
from breakeven.stats.intervals import LEVEL, MIN_ROUNDS
from breakeven.stats.processes import MIN_BOOTSTRAP_PROCESSES, MIN_INSTANCES

_PHASES = {
    Phase.INFER: "infer: the inputs of a batch are copied and the model runs on them, in eval mode without "
    "gradients, batch after batch with one synchronization after the last",
    Phase.LOAD: "load: the next batch from the loader, on the host alone, with its workers running ahead as "
    "far as they may",
    Phase.EPOCH: "epoch: batches from the loader, each trained on, with one synchronization after the last; "
    "starting the workers is not included",
}
"""How the phases beside training were timed."""


def how_made(report: Report, version: str) -> list[str]:
    """Return how the numbers were obtained: the files, the machines, the methods."""
    rounds = sum(row.estimate.n for row in report.rows)
    files = [
        f"{run.path} ({run.datetime[:19]}, commit {run.commit[:12] or 'unknown'})" for run in report.runs
    ]
    lines = [
        f"breakeven {version} from {fmt.joined(files)}",
        f"measured on {fmt.joined([machine.label for machine in report.machines])}: "
        f"{fmt.plural(len(report.rows), 'case')}, {fmt.plural(rounds, 'round')}",
        *_methods(report),
        *_several(report),
        *(text for phase, text in _PHASES.items() if any(row.key.phase == phase for row in report.rows)),
        *_scope(report),
        *phase_sentences(report.machines, [row.estimate for row in report.rows]),
    ]
    for row in report.residuals:
        if row.median > 0 and not is_cpu(row.device):
            lines.append(
                f"{row.device}: the phase sum is {row.median:.0%} above train (median of "
                f"{fmt.plural(row.cells, 'cell')}); that is what synchronizing after every phase costs"
            )
    return lines


def outcome_lines(report: Report) -> list[str]:
    """Return a line for each outcome and reason without a timing, with its cases."""
    groups = grouped(
        ((one.outcome, one.reason), _case_name(one.key) if one.key else one.fullname or "an unnamed case")
        for one in report.outcomes
    )
    return [
        f"{fmt.plural(len(names), 'case')} {outcome} ({fmt.joined(names)}): {reason or 'no reason recorded'}"
        for (outcome, reason), names in groups.items()
    ]


def _case_name(key: CaseKey) -> str:
    return f"{key.model.label()} batch={key.batch_size} {key.phase} {key.device}"


def _scope(report: Report) -> list[str]:
    """Return of which machine the numbers are; of several machines, the answer has it among its notes."""
    machine = only_machine(report.runs)
    if machine is None:
        return []
    return [
        f"the numbers hold for {machine}, not for every machine of its class: {MIN_INSTANCES} machines or "
        "more show how much they differ"
    ]


def _several(report: Report) -> list[str]:
    """Return how devices of several processes are compared, where there are any."""
    devices = {row.key.device for row in report.rows if processes_of(row.key.device) is not None}
    if not devices:
        return []
    return [
        f"{fmt.listed(sorted(devices, key=device_order))}: each round takes as long as its slowest process; "
        "measured in processes of their own, so that ratios with other devices pair those of the same index, "
        "and have the intervals of independent measurements"
    ]


def _methods(report: Report) -> list[str]:
    """Return how medians, speedups and their intervals are computed, one line per method."""
    counts = {row.estimate.processes for row in report.rows}
    ways = (
        (
            "one process",
            any(count == 1 for count in counts),
            f"medians with {LEVEL:.0%} intervals by order statistics, widened by the rounds' "
            "autocorrelation; speedups and break-evens by a seeded bootstrap over rounds; fewer than "
            f"{MIN_ROUNDS} rounds have none",
        ),
        (
            f"2 to {MIN_BOOTSTRAP_PROCESSES - 1} processes",
            any(1 < count < MIN_BOOTSTRAP_PROCESSES for count in counts),
            f"medians of the processes' medians with {LEVEL:.0%} intervals by Student's distribution over "
            "processes, the variance improved by that of similar cases; speedups by the ratios within each "
            "process; break-evens are drawn with a seed",
        ),
        (
            f"{MIN_BOOTSTRAP_PROCESSES} processes or more",
            any(count >= MIN_BOOTSTRAP_PROCESSES for count in counts),
            f"medians of the processes' medians with {LEVEL:.0%} intervals, speedups and break-evens by a "
            "seeded bootstrap over processes",
        ),
    )
    used = [(cases, text) for cases, is_used, text in ways if is_used]
    lines = [f"cases of {cases}: {text}" if len(used) > 1 else text for cases, text in used]
    if any(row.estimate.pool.over_instances is not None for row in report.rows):
        lines.append(
            f"where {MIN_INSTANCES} machines of a class or more were measured, each counts as one process: "
            "the median of its processes"
        )
    return lines
