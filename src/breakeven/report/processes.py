"""What the answer rests on: one process or several, all of a run or the part before it was interrupted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from breakeven import format as fmt
from breakeven.grouping import grouped
from breakeven.report.estimates import Estimate
from breakeven.runs.machine import Machine, gpus_of
from breakeven.runs.schema import Run
from breakeven.stats.processes import MIN_INSTANCES

ONE_PROCESS = "one process: another run may differ"
_SHOWS = "--breakeven-processes=5 shows by how much another run differs"
_WIDENED = "the intervals are widened by the noise floor that `breakeven calibrate` stored"


def one_process_text(
    machines: Sequence[Machine], cases: Iterable[Estimate], widened: Collection[str]
) -> str | None:
    """Return for the answer that all of a machine's cases rest on one process, whose noise is unknown.

    Args:
        machines: in the order of the report.
        cases: all estimates.
        widened: class ids of the machines whose noise floor widened their intervals.
    """
    alone = [machine for machine in _alone(machines, cases) if machine.class_id not in widened]
    where = "" if len(alone) == len(machines) else f" ({_labels(alone)})"
    return f"Only {ONE_PROCESS}{where}." if alone else None


def one_process_sentences(
    machines: Sequence[Machine], cases: Iterable[Estimate], widened: Collection[str]
) -> Iterator[str]:
    """Yield what helps against one process, and where a noise floor did. The arguments are the same."""
    groups = grouped((machine.class_id in widened, machine) for machine in _alone(machines, cases))
    for is_widened, alone in groups.items():
        where = "" if len(alone) == len(machines) else f" on {fmt.listed([one.label for one in alone])}"
        yield f"One process{where}: {_WIDENED if is_widened else _SHOWS}."


def _alone(machines: Sequence[Machine], cases: Iterable[Estimate]) -> list[Machine]:
    """Return the machines on which every case rests on one process."""
    counts = grouped((case.key.machine, case.processes) for case in cases)
    return [machine for machine in machines if set(counts.get(machine.class_id, ())) == {1}]


def _labels(machines: Sequence[Machine]) -> str:
    return fmt.joined([fmt.shortened(machine.label, 30) for machine in machines], 1)


def interval_scope(cases: Iterable[Estimate]) -> str:
    """Return what the intervals cover, as a phrase after "interval": ``of 3 to 5 processes``."""
    found = list(cases)
    counts = {case.processes for case in found}
    if max(counts, default=1) == 1:
        return "within one process"
    pools = [pool for case in found if (pool := case.pool.over_instances) is not None]
    on = f" on {len(pools[0].runs)} machines" if len(pools) == len(found) else ""
    return f"of {fmt.number_range(min(counts), max(counts))} processes{on}"


def only_machine(runs: Sequence[Run]) -> str | None:
    """Return a name for the machine that all runs are of, such as "this NVIDIA H100"; None for several."""
    first = runs[0]
    is_merged = any(run.parts > 1 and not run.instance_id for run in runs)
    if is_merged or len({(run.machine.class_id, run.instance_id) for run in runs}) > 1:
        return None
    gpus = gpus_of(first.machine.facts)
    return f"this {gpus[0]}" if len(gpus) == 1 else "this machine"


def instance_sentences(machines: Sequence[Machine], cases: Iterable[Estimate]) -> Iterator[str]:
    """Yield of which classes the intervals cover how machines differ, and of which not."""
    counts = {
        case.key.machine: len(pool.runs) for case in cases if (pool := case.pool.over_instances) is not None
    }
    general = [machine for machine in machines if machine.class_id in counts]
    for machine in general:
        where = f" on {machine.label}" if len(machines) > 1 else ""
        count = counts[machine.class_id]
        yield f"The intervals{where} cover how much the {count} machines of the class differ."
    rest = [machine for machine in machines if machine not in general]
    if rest:
        where = f" on {fmt.listed([machine.label for machine in rest])}" if general else ""
        yield (
            f"The numbers{where} hold for the measured machines, not for all of their class: "
            f"{MIN_INSTANCES} or more of a class show how much they differ."
        )


def phase_sentences(machines: Sequence[Machine], cases: Iterable[Estimate]) -> Iterator[str]:
    """Yield which phases fewer processes timed than the others."""
    counts = grouped((case.key.machine, (case.key.phase, case.processes)) for case in cases)
    for machine in machines:
        phases = {name: max(of) for name, of in grouped(counts.get(machine.class_id, ())).items()}
        total = max(phases.values(), default=0)
        where = f" on {machine.label}" if len(machines) > 1 else ""
        for number, names in sorted(grouped((number, name) for name, number in phases.items()).items()):
            if number < total:
                verb = "was" if len(names) == 1 else "were"
                yield f"{fmt.listed(names)} {verb} timed in {number} of the {total} processes{where}"


def interrupted_text(runs: Sequence[Run]) -> str | None:
    """Return for the answer how many of the runs did not reach their end, None where all did."""
    count = sum(not run.is_complete for run in runs)
    if not count:
        return None
    verb = "was" if count == 1 else "were"
    return (
        f"The run {verb} interrupted."
        if len(runs) == 1
        else f"{count} of {len(runs)} runs {verb} interrupted."
    )


def interrupted_sentences(runs: Iterable[Run]) -> Iterator[str]:
    """Yield for each run that did not reach its end in which process, and how many cases have no timing."""
    for run in runs:
        if not run.is_complete:
            reached = max((case.timed_processes for case in run.cases.values()), default=0)
            wanted = max((len(case.processes) for case in run.cases.values()), default=0)
            where = f" in process {reached} of {wanted}" if wanted > 1 and run.parts == 1 else ""
            missing, total = len(run.untimed), len(run.untimed) + len(run.cases)
            verb = "has" if missing == 1 else "have"
            yield (
                f"{fmt.one_line(run.name or run.path, 60)} was interrupted{where}: {missing} of "
                f"{fmt.plural(total, 'case')} {verb} no timing."
            )
