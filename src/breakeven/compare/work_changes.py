"""Exact changes of what a step does: counts, which timing noise does not touch.

The counts are those of an accelerator, whatever device was timed, and each run file has them of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from breakeven import format as fmt
from breakeven.case import CaseKey
from breakeven.format import one_line
from breakeven.grouping import grouped
from breakeven.runs.schema import Run


class Quantity(StrEnum):
    """What is counted, by the name of the fact: kernel launches, and floating point operations."""

    OPERATORS = "operators"
    FLOPS = "flops"


_UNITS = {Quantity.OPERATORS: "operators", Quantity.FLOPS: "FLOPs"}


@dataclass(frozen=True)
class WorkChange:
    """A count of one step of a case that is the same in all runs of each side, and differs between them."""

    key: CaseKey
    quantity: Quantity
    baseline: float
    candidate: float

    @property
    def case(self) -> str:
        """The label of the case."""
        return self.key.label()

    @property
    def text(self) -> str:
        """The two counts: in full if three digits would look alike."""
        counts = (self.baseline, self.candidate)
        before, after = (fmt.scaled(count, "FLOP") for count in counts)
        if self.quantity is Quantity.FLOPS and before != after:
            return f"{before} -> {after}"
        before, after = (f"{count:,.0f}" for count in counts)
        return f"{before} -> {after} {_UNITS[self.quantity]}"


def work_changes(baseline: Sequence[Run], candidate: Sequence[Run]) -> list[WorkChange]:
    """Return the changes of each case that both sides counted, in the order of the baseline's cases."""
    names = dict.fromkeys(name for run in baseline for name in run.cases)
    return [change for name in names for change in _of_case(name, baseline, candidate)]


def change_lines(changes: Iterable[WorkChange]) -> list[str]:
    """Return a line for each quantity of a model; models of a workload that changed alike share one."""
    of_models = grouped(((change.key.model, change.quantity), change) for change in changes)
    alike = grouped(
        ((model.workload, _phases_text(of_model)), model) for (model, _), of_model in of_models.items()
    )
    return [
        f"{fmt.joined([one_line(model.label()) for model in models])}: {text}"
        for (_, text), models in alike.items()
    ]


def _of_case(name: str, baseline: Sequence[Run], candidate: Sequence[Run]) -> Iterator[WorkChange]:
    sides = [[run.cases[name] for run in side if name in run.cases] for side in (baseline, candidate)]
    key = sides[0][0].key
    if key is None:
        return
    for quantity in Quantity:
        before, after = ({getattr(case.facts, quantity) for case in side} for side in sides)
        if len(before) == len(after) == 1 and before != after and None not in before | after:
            yield WorkChange(key, quantity, before.pop(), after.pop())


def _phases_text(changes: Sequence[WorkChange]) -> str:
    """Return the changes of each phase over batch sizes and devices; phases that changed alike together."""
    of_phases = grouped((change.key.phase, change) for change in changes)
    alike = grouped((_range_text(of_phase), one_line(phase, 40)) for phase, of_phase in of_phases.items())
    return "; ".join(f"{text} in {fmt.listed(phases)}" for text, phases in alike.items())


def _range_text(changes: Sequence[WorkChange]) -> str:
    """Return the one change, or else the range of the changes in percent."""
    texts = list(dict.fromkeys(change.text for change in changes))
    if len(texts) == 1 or not all(change.baseline and change.candidate for change in changes):
        return fmt.joined(texts)
    ratios = [change.candidate / change.baseline for change in changes]
    low, high = (f"{100 * (end - 1):+.3g}%" for end in (min(ratios), max(ratios)))
    return f"{low if low == high else f'{low} to {high}'} {_UNITS[changes[0].quantity]}"
