"""How far a report can be trusted: what disturbed its runs, and what else its answer must not hide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from breakeven import format as fmt
from breakeven.device_names import is_cpu
from breakeven.fitness import Cause, Look, spins_while_waiting
from breakeven.flags import Flag
from breakeven.grouping import grouped
from breakeven.report.speedup import Speedup
from breakeven.report.text import MAX_RATIO
from breakeven.runs.canary import canary_samples
from breakeven.runs.json_files import mapping
from breakeven.runs.look import problems_of
from breakeven.runs.schema import Run

MAX_FLAGGED = 0.5
"""A run cannot be trusted if more than this share of its cells was flagged with one of `CAUSES`."""

MAX_CHANGE = 2.0
"""Nor if the canary of one process took this many times as long at one moment as at another."""

MAX_DISTURBED = 0.25
"""If disturbances may have changed more than this share of the speedups, the answer mentions it."""

CAUSES = {
    Flag.CONTENDED: Cause.PROGRAM,
    Flag.THROTTLED: Cause.THROTTLED,
    Flag.CLOCK: Cause.CLOCK,
    Flag.SHARED_GPU: Cause.SHARED_GPU,
}
"""What each flag of a disturbed machine means for the whole run."""

PASSIVE = "OMP_WAIT_POLICY=passive"


@dataclass(frozen=True)
class Disturbance:
    """What made a run useless, as a clause, with what to do and the evidence.

    `spins` is whether threads that sleep while they wait would have been disturbed less.
    """

    run: Run
    clause: str
    remedy: str
    evidence: str
    spins: bool


def disturbances(runs: Iterable[Run], phase: str | None) -> list[Disturbance]:
    """Return what disturbed each run that cannot be trusted, the first evidence of it.

    Args:
        runs: those of a report.
        phase: the headline, None where nothing was compared.
    """
    return [found for run in runs if (found := next(_disturbances(run, phase), None)) is not None]


def distrust(found: Sequence[Disturbance], runs: Sequence[Run]) -> str:
    """Return the answer where runs cannot be trusted: the cause, and what to do."""
    first = found[0]
    names = fmt.joined([fmt.shortened(one.run.name, 30) for one in found], 2)
    every = "This run" if len(runs) == 1 else "These runs"
    who = every if len(found) == len(runs) else names
    steps = ", or ".join(filter(None, (first.remedy, f"set {PASSIVE}" if first.spins else "")))
    again = f"{steps}, and measure again" if steps else "measure again"
    return f"{who} cannot be trusted: {first.clause}. {fmt.capital(again)}."


def evidence_of(found: Iterable[Disturbance]) -> list[str]:
    """Return the evidence of each disturbed run as a sentence."""
    return [f"{fmt.one_line(one.run.name or one.run.path, 60)}: {one.evidence}." for one in found]


def disturbed_sentence(compared: Sequence[Speedup]) -> str | None:
    """Return how many speedups disturbances may have changed, None if they are few."""
    count = sum(row.is_doubtful for row in compared)
    if count <= MAX_DISTURBED * len(compared):
        return None
    return f"Disturbances may have changed {count} of {fmt.plural(len(compared), 'speedup')}."


def _disturbances(run: Run, phase: str | None) -> Iterator[Disturbance]:
    problems = problems_of(run.state)
    if problems:
        yield _disturbance(run, problems[0].cause, problems[0].seen)
    cells = grouped(
        (case.key.cell, case.flags)
        for case in run.cases.values()
        if case.key is not None and case.key.phase == phase
    )
    flagged = [[flag for flag in CAUSES if any(flag in of for of in flags)] for flags in cells.values()]
    count = sum(map(bool, flagged))
    if count > MAX_FLAGGED * len(cells):
        flag, _ = Counter(chain.from_iterable(flagged)).most_common(1)[0]
        verb = "was" if count == 1 else "were"
        evidence = f"{count} of {fmt.plural(len(cells), 'cell')} {verb} disturbed, mostly {flag}"
        yield _disturbance(run, CAUSES[flag], evidence)
    yield from _changes(run)


def _disturbance(run: Run, cause: Cause, evidence: str) -> Disturbance:
    may_sleep = cause in (Cause.PROGRAM, Cause.THREADS) and spins(run)
    return Disturbance(run, cause, cause.remedy, evidence, may_sleep)


def _changes(run: Run) -> Iterator[Disturbance]:
    """Yield each process in which a device's canary took more than twice as long as at another moment."""
    for state in run.processes or (run.state,):
        for device in mapping(mapping(state).get("canary")):
            ordered = sorted(canary_samples(state, device), key=lambda sample: sample.median_s)
            if ordered and ordered[-1].median_s > MAX_CHANGE * ordered[0].median_s:
                slowest, fastest = ordered[-1], ordered[0]
                ratio = min(slowest.median_s / fastest.median_s, MAX_RATIO)
                times = f"{fmt.count(ratio)} times as long"
                name, slow, fast = (fmt.one_line(x, 40) for x in (device, slowest.moment, fastest.moment))
                yield Disturbance(
                    run,
                    f"the same work took {times} at its {slow} as at its {fast}",
                    "close other programs",
                    f"the canary on {name} took {times} at the {slow} of a process as at its {fast}",
                    is_cpu(device) and spins(run),
                )


def spins(run: Run) -> bool:
    """Return whether threads that waited for each other did not sleep, as far as the file records it."""
    look = Look.from_dict(run.state.get("look"))
    if look is not None:
        return look.spins
    facts = run.machine.facts
    known = {"OMP_WAIT_POLICY": facts.get("omp_wait_policy"), "GOMP_SPINCOUNT": facts.get("gomp_spincount")}
    return spins_while_waiting({name: str(value) for name, value in known.items() if value is not None})
