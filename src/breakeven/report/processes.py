"""What the answer rests on: one process or several, all of a run or the part before it was interrupted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from breakeven import format as fmt
from breakeven.grouping import grouped
from breakeven.report.estimates import Estimate
from breakeven.runs.machine import Machine
from breakeven.runs.schema import Run

_MAY_DIFFER = "another run may differ (--breakeven-processes=5 shows by how much)"
_WIDENED = "the intervals are widened by the noise floor that `breakeven calibrate` stored"


def one_process_sentence(
    machines: Sequence[Machine], cases: Iterable[Estimate], widened: Collection[str]
) -> str | None:
    """Return on which machines every case rests on one process, None if there are none.

    Args:
        machines: in the order of the report.
        cases: all estimates.
        widened: class ids of the machines whose noise floor widened their intervals.
    """
    counts = grouped((case.key.machine, case.processes) for case in cases)
    alone = [machine for machine in machines if set(counts.get(machine.class_id, ())) == {1}]
    groups = grouped((machine.class_id in widened, machine.label) for machine in alone)
    sentences = [
        f"One process{'' if len(labels) == len(machines) else f' on {fmt.listed(labels)}'}: "
        f"{_WIDENED if is_widened else _MAY_DIFFER}."
        for is_widened, labels in groups.items()
    ]
    return " ".join(sentences) or None


def interval_scope(cases: Iterable[Estimate]) -> str:
    """Return what the intervals cover, as a phrase after "interval": ``of 3 to 5 processes``."""
    counts = {case.processes for case in cases}
    if max(counts, default=1) == 1:
        return "within one process"
    return f"of {fmt.number_range(min(counts), max(counts))} processes"


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


def interrupted_sentences(runs: Iterable[Run]) -> Iterator[str]:
    """Yield for each run that did not reach its end in which process, and how many cases have no timing."""
    for run in runs:
        if not run.is_complete:
            reached = max((case.timed_processes for case in run.cases.values()), default=0)
            wanted = max((len(case.processes) for case in run.cases.values()), default=0)
            where = f" in process {reached} of {wanted}" if wanted > 1 else ""
            missing, total = len(run.untimed), len(run.untimed) + len(run.cases)
            verb = "has" if missing == 1 else "have"
            yield (
                f"{fmt.one_line(run.name or run.path, 60)} was interrupted{where}: {missing} of "
                f"{fmt.plural(total, 'case')} {verb} no timing."
            )
