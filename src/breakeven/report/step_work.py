"""What one training step does, where that is not one pass over one batch, as sentences and warnings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from breakeven import format as fmt
from breakeven.case import CaseKey, Model
from breakeven.grouping import grouped
from breakeven.phases import HEADLINE, Phase, find_phase
from breakeven.report.estimates import Estimate
from breakeven.report.speedup import TWO, Speedup
from breakeven.report.text import ModelNames, place_name
from breakeven.runs.machine import Machine

SAME_CALLS = 1.05
"""Steps whose numbers of evaluations differ by a larger factor do different work."""


def step_sentences(
    cases: Iterable[Estimate], machines: Sequence[Machine], models: ModelNames
) -> Iterator[str]:
    """Yield how many batches a step takes, which batches it takes in turn, and its evaluations."""
    steps = [case for case in cases if case.key.phase == HEADLINE]
    for passes, of in grouped((round(case.facts.passes), case.key.model) for case in steps).items():
        if passes > 1:
            yield (
                f"Each step of {_named(of, models)} accumulates the gradients of {passes:,} batches: it "
                f"takes {passes:,} x the batch size in samples."
            )
    turns = grouped((_turns(case), case.key.model) for case in steps)
    for text, of in turns.items():
        if text:
            yield f"The steps of {_named(of, models)} take {text}."
    calls = grouped(
        (case.key.line, case.facts.closure_calls) for case in steps if case.facts.closure_calls is not None
    )
    for line, counts in calls.items():
        low, high = (fmt.digits(end) for end in (min(counts), max(counts)))
        between = low if low == high else f"{low} to {high}"
        where = place_name(line.device, line.machine, machines)
        yield f"{fmt.capital(where)}, {models[line.model]}: {between} evaluations per step."


def work_warnings(speedups: Iterable[Speedup], cases: Iterable[Estimate]) -> list[str]:
    """Return a warning for each pair of devices whose optimizers evaluate the model not equally often."""
    calls = {case.key: case.facts.closure_calls for case in cases}
    differing = grouped(
        ((row.baseline.device, row.candidate.device), row) for row in speedups if _differs(row, calls)
    )
    return [
        f"{_counted(rows, calls, pair)}: their steps do different work, which the speedup includes; limit "
        "the evaluations of a step, such as by max_eval of LBFGS"
        for pair, rows in differing.items()
    ]


def _turns(case: Estimate) -> str:
    """Return which batches a step takes in turn, empty for one."""
    batches, shapes = round(case.facts.batches or 1), round(case.facts.batch_shapes or 1)
    if batches <= 1:
        return ""
    unequal = f" of {shapes:,} shapes, so the phases are not compared with the step" if shapes > 1 else ""
    return f"{batches:,} batches in turn{unequal}"


def _named(models: Iterable[Model], names: ModelNames) -> str:
    listed = list(dict.fromkeys(names[model] for model in models))
    return " and ".join(listed) if len(listed) <= TWO else fmt.joined(listed, separator="; ")


def _differs(row: Speedup, calls: Mapping[CaseKey, float | None]) -> bool:
    ours, theirs = calls[row.candidate], calls[row.baseline]
    phase = find_phase(row.phase)
    if not ours or not theirs or phase is None or Phase.STEP not in phase.parts:
        return False
    return max(ours, theirs) > SAME_CALLS * min(ours, theirs)


def _counted(rows: Sequence[Speedup], calls: Mapping[CaseKey, float | None], pair: tuple[str, str]) -> str:
    """Return the cells, and the evaluations per step of the first one on both devices."""
    first = rows[0]
    theirs, ours = (fmt.digits(calls[key] or 0.0) for key in (first.baseline, first.candidate))
    cells = list(dict.fromkeys(fmt.one_line(f"{row.candidate.cell.label()} {row.phase}") for row in rows))
    more = f" and {len(cells) - 1} more" if len(cells) >= TWO else ""
    on = [
        f"{count} evaluations per step on {device}"
        for count, device in zip((theirs, ours), pair, strict=True)
    ]
    return f"{cells[0]}{more}: {' and '.join(on)}"
