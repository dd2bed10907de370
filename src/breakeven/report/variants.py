"""Where each variant pays: the same step on the same device, implemented differently.

An axis of booleans or words, such as ``compile=True`` or ``dtype=bfloat16``, distinguishes variants; an axis
of numbers is a size. Each variant is compared with the plain form on the same device.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from statistics import median
from typing import Any

from breakeven.case import Axes, CaseKey, Model
from breakeven.grouping import grouped
from breakeven.phases import HEADLINE, Phase
from breakeven.report.estimates import Estimate
from breakeven.report.speedup import DeviceVerdict, Speedup, speedups_of
from breakeven.report.startup_cost import Payback, payback

PLAIN_DTYPE, OPTIMIZER = "float32", "optimizer"

Work = tuple[str, str]
"""A workload, and the algorithm of its optimizer where that is an axis."""

LESS_PRECISE = {("tf32", True), ("dtype", "bfloat16"), ("dtype", "float16")}
"""Changes that make a step less precise, which its time does not show."""


@dataclass(frozen=True)
class Variant:
    """One cell's whole training step and its plain form, on one device.

    `row` is the speedup over the plain form, its baseline; `change` holds the axes that differ, `sizes` the
    model with only the axes that are sizes; `plain_s` and `variant_s` are the two medians. `compile_s` and
    `capture_s` are one-time costs and in neither, None if nothing is compiled or captured; `paid_back` is
    when they are paid back, None if the variant is not faster or has no one-time cost.
    """

    row: Speedup
    change: Axes
    sizes: Model
    plain_s: float
    variant_s: float
    compile_s: float | None
    capture_s: float | None
    paid_back: Payback | None

    @property
    def name(self) -> str:
        """What differs, as text."""
        return self.change.text

    @property
    def is_less_precise(self) -> bool:
        """Whether the variant computes at lower precision than its plain form."""
        return bool(LESS_PRECISE & self.change.items())

    @property
    def has_one_time_cost(self) -> bool:
        """Whether the variant is compiled, or captured as a CUDA graph."""
        return self.compile_s is not None or self.capture_s is not None

    @property
    def place(self) -> tuple[str, str]:
        """The device, and the class id of its machine."""
        return self.row.candidate.device, self.row.candidate.machine


def variants(cases: Sequence[Estimate], models: Iterable[Model]) -> list[Variant]:
    """Return a row for each training step whose plain form was timed on the same device of the same machine.

    The plain value of a switch is False, of a dtype ``float32``, else that of the first of `models`. A case
    with other parameters or FLOPs is another model, not a variant.

    Args:
        cases: the estimates; rows are in their order.
        models: in the order in which the runs have them.
    """
    table = {case.key: case for case in cases}
    steps = [case for case in cases if case.key.phase == HEADLINE]
    timed = {case.key.model for case in steps}
    plain_of = plain_values([model for model in models if model in timed])
    pairs, ways = [], []
    for case in steps:
        axes, plain = case.key.axes, plain_of[work_of(case.key.model)]
        change = Axes({name: value for name, value in axes.items() if name in plain and value != plain[name]})
        plain_axes = Axes({name: plain.get(name, value) for name, value in axes.items()})
        base = table.get(replace(case.key, cell=replace(case.key.cell, axes=plain_axes)))
        if change and base is not None and is_same_work(base, case):
            pairs.append((base, case))
            ways.append((change, Model(case.key.workload, axes.without(plain))))
    return [
        _variant(row, *pair, *way, table)
        for row, pair, way in zip(speedups_of(pairs), pairs, ways, strict=True)
    ]


def work_of(model: Model) -> Work:
    """Return what a variant has in common with its plain form: another optimizer trains another way.

    >>> work_of(Model("mlp", Axes({"optimizer": "adam_fused"}))), work_of(Model("mlp"))
    (('mlp', 'adam'), ('mlp', ''))
    """
    optimizer = model.axes.get(OPTIMIZER)
    return model.workload, optimizer.split("_")[0] if isinstance(optimizer, str) else ""


def plain_values(models: Iterable[Model]) -> dict[Work, dict[str, Any]]:
    """Return the plain value of each axis that distinguishes variants, by `work_of` the model."""
    seen = grouped((work_of(model), model.axes.items()) for model in models)
    return {
        work: {name: _plain(values) for name, values in grouped(chain(*several)).items() if _is_way(values)}
        for work, several in seen.items()
    }


def _is_way(values: Sequence[Any]) -> bool:
    """Return whether an axis distinguishes variants: numbers are sizes, and a single word is not a choice."""
    kinds = {type(value) for value in values}
    return kinds == {bool} or (kinds == {str} and len(set(values)) > 1)


def _plain(values: Sequence[Any]) -> Any:
    if isinstance(values[0], bool):
        return False
    return PLAIN_DTYPE if PLAIN_DTYPE in values else values[0]


def is_same_work(base: Estimate, case: Estimate) -> bool:
    """Return whether two cases have the same parameters and FLOPs, as far as these are known."""
    pairs = ((base.facts.parameters, case.facts.parameters), (base.facts.flops, case.facts.flops))
    return all(one == other for one, other in pairs if one is not None and other is not None)


def _variant(
    row: Speedup,
    base: Estimate,
    case: Estimate,
    change: Axes,
    sizes: Model,
    table: Mapping[CaseKey, Estimate],
) -> Variant:
    compile_s, capture_s = _once(case, table)
    plain_compile_s, plain_capture_s = _once(base, table)
    longer_s = (compile_s or 0.0) + (capture_s or 0.0) - (plain_compile_s or 0.0) - (plain_capture_s or 0.0)
    pays = row.verdict is DeviceVerdict.FASTER and longer_s > 0
    return Variant(
        row=row,
        change=change,
        sizes=sizes,
        plain_s=base.median_s,
        variant_s=case.median_s,
        compile_s=compile_s,
        capture_s=capture_s,
        paid_back=payback(row, longer_s, base) if pays else None,
    )


def _once(case: Estimate, table: Mapping[CaseKey, Estimate]) -> tuple[float | None, float | None]:
    """Return the seconds of compiling and of capturing a cell's step.

    Later phases reuse what the first one compiled, so all of them together compile once; each of them
    captures.
    """
    facts = [table[key].facts for phase in Phase if (key := replace(case.key, phase=phase)) in table]
    compiled = [one.compile_s for one in facts if one.compile_s is not None]
    captured = [one.capture_s for one in facts if one.capture_s is not None]
    return (sum(compiled) if compiled else None), (float(median(captured)) if captured else None)
