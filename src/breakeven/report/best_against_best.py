"""Best against best: each device at its own fastest variant of a model (dtype, compiling, threads)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from breakeven import format as fmt
from breakeven.case import CaseKey, Cell, Line, Model, Outcome
from breakeven.grouping import grouped
from breakeven.report.break_even import BreakEven, break_evens
from breakeven.report.estimates import estimates
from breakeven.report.speedup import DeviceVerdict, speedups_of
from breakeven.report.variant_timings import Fastest, Timings, VariantTimings, numerics, rounding, runs_of
from breakeven.report.what_if import WhatIf
from breakeven.runs.schema import Run

FASTEST = "each device at its fastest variant"
NUMERICS = "their numerics differ"
PLAIN = "in its plain form"


@dataclass(frozen=True)
class BetterBaseline:
    """A line whose baseline is faster in another variant, no less precise, at some of its batch sizes.

    `own` is the baseline's own variant, such as ``in bfloat16``, empty for the plain form. `variants` are
    what is faster at a batch size on the same device, such as ``in float32``, `threads` other numbers of
    threads, such as ``cpu@1``, where no variant on the same device is.
    """

    line: BreakEven
    own: str
    variants: Mapping[int, str]
    threads: Mapping[int, str]

    @property
    def batches(self) -> tuple[int, ...]:
        """The batch sizes at which something is faster, ascending."""
        return tuple(sorted({*self.variants, *self.threads}))

    @property
    def is_variant(self) -> bool:
        """Whether another variant of the model is faster on the same device."""
        return len(self.variants) > 0

    @property
    def variant_text(self) -> str:
        """The variants that are faster, without batch sizes: ``the CPU itself is faster in bfloat16``."""
        return f"{self._name} itself is faster {_any_of(self.variants)}"

    @property
    def text(self) -> str:
        """What is faster, and where unless everywhere: ``cpu@1 is faster than the CPU at batch 1–8``."""
        of_threads = f"{_any_of(self.threads)} is faster than {self._name}"
        parts = ((self.variant_text, self.variants), (of_threads, self.threads))
        return "; ".join(f"{text}{self._where(found)}" for text, found in parts if found)

    @property
    def _name(self) -> str:
        device = self.line.baseline.device
        return "the CPU" if device == "cpu" else device

    def _where(self, found: Mapping[int, str]) -> str:
        stretches = groupby(self.line.batches, found.__contains__)
        ranges = [fmt.batch_range(list(stretch)) for is_faster, stretch in stretches if is_faster]
        return "" if found.keys() >= set(self.line.batches) else f" at batch {fmt.listed(ranges)}"


def fastest_lines(
    variants: VariantTimings, runs: Sequence[Run], lines: Sequence[BreakEven], outcomes: Sequence[Outcome]
) -> list[WhatIf]:
    """Return each model with several variants: its plainest line, and that of the fastest variants.

    Args:
        variants: those of the lines' phase.
        runs: that they are from.
        lines: the break-evens of one phase.
        outcomes: the cases that ended without a timing.
    """
    pairs = grouped(((_place(line.candidate), _place(line.baseline)), line) for line in lines)
    return [one for group in pairs.values() for one in _of_pair(variants, runs, group, outcomes)]


def better_baselines(
    variants: VariantTimings, runs: Sequence[Run], lines: Sequence[BreakEven]
) -> dict[Line, BetterBaseline]:
    """Return the lines whose baseline is shown to be faster in another variant, by their candidate."""
    at_home = _faster(variants, runs, lines, at_home=True)
    anywhere = _faster(variants, runs, lines, at_home=False)
    found = {}
    for line in lines:
        faster = {
            batch: variants.text(best, device=False) or PLAIN
            for batch in line.batches
            if (best := at_home.get((line.candidate, batch)))
        }
        threads = {
            batch: variants.text(best)
            for batch in line.batches
            if batch not in faster and (best := anywhere.get((line.candidate, batch)))
        }
        if faster or threads:
            own = variants.text(_key(line.model, line.baseline, line.batches[0]), device=False)
            found[line.candidate] = BetterBaseline(line, own, faster, threads)
    return found


def _faster(
    variants: VariantTimings, runs: Sequence[Run], lines: Sequence[BreakEven], *, at_home: bool
) -> dict[tuple[Line, int], CaseKey]:
    """Return the fastest variant of each baseline shown to be slower, by the line's candidate and batch size.

    At home, only variants on the baseline's own device are read, not other numbers of threads.
    """
    pairs = []
    read: dict[CaseKey, Timings] = {}
    for line in lines:
        for batch in line.batches:
            own = _key(line.model, line.baseline, batch)
            at_hand = variants.of_device(line.baseline, line.candidate, batch)
            fair = {
                key: half
                for key, half in at_hand.items()
                if rounding(key) <= rounding(own) and (key.device == own.device or not at_home)
            }
            if own in fair and (best := Fastest.of(fair)).key != own:
                pairs.append(((line.candidate, batch), own, best.key))
                read[best.key] = best.timings
                read.setdefault(own, fair[own].whole)
    if not pairs:
        return {}
    table = {case.key: case for case in estimates(runs_of(runs, read), variants.floor_sd)}
    rows = speedups_of([(table[own], table[best]) for _, own, best in pairs])
    return {
        cell: best
        for (cell, _, best), row in zip(pairs, rows, strict=True)
        if row.verdict is DeviceVerdict.FASTER
    }


@dataclass(frozen=True)
class _Side:
    """The fastest variant of one device at each batch size; `is_free` is whether there was a choice."""

    line: Line
    chosen: Mapping[int, Fastest]
    is_free: bool

    @classmethod
    def of(cls, variants: VariantTimings, own: Line, other: Line) -> _Side:
        found = {batch: variants.of_device(own, other, batch) for batch in variants.batches(own.model)}
        chosen = {batch: Fastest.of(at_hand) for batch, at_hand in found.items() if at_hand}
        return cls(own, chosen, any(len(at_hand) > 1 for at_hand in found.values()))


def _of_pair(
    variants: VariantTimings, runs: Sequence[Run], lines: Sequence[BreakEven], outcomes: Sequence[Outcome]
) -> list[WhatIf]:
    """Return the models of one candidate and its baseline."""
    families = grouped((variants.families[line.model], line) for line in lines)
    plainest: dict[Model, BreakEven] = {}
    sides: dict[Model, tuple[_Side, _Side]] = {}
    for family, members in families.items():
        line = variants.plainest(members)
        both = (
            _Side.of(variants, line.baseline, line.candidate),
            _Side.of(variants, line.candidate, line.baseline),
        )
        if any(side.is_free for side in both):
            plainest[family], sides[family] = line, both
    # Under the name of the family, what was chosen is a case like any other.
    read: dict[CaseKey, Timings] = {}
    floor_sd: dict[CaseKey, float] = {}
    for family, both in sides.items():
        for side in both:
            for batch, best in side.chosen.items():
                key = _key(family, side.line, batch)
                read[key] = {number: replace(case, key=key) for number, case in best.timings.items()}
                floor_sd[key] = variants.floor_sd.get(best.key, 0.0)
    table = {case.key: case for case in estimates(runs_of(runs, read), floor_sd)}
    rows = speedups_of(
        [
            (table[base], table[candidate])
            for family, (ours, theirs) in sides.items()
            for batch in ours.chosen.keys() & theirs.chosen.keys()
            for base, candidate in [(_key(family, ours.line, batch), _key(family, theirs.line, batch))]
        ]
    )
    ended = [
        replace(one, key=replace(one.key, cell=_cell(variants.families[one.key.model], one.key.batch_size)))
        for one in outcomes
        if one.key is not None and one.key.model in variants.families
    ]
    return [
        WhatIf(
            FASTEST,
            plainest[other.model],
            other,
            *_notes(variants, sides[other.model]),
            chosen=tuple(_texts(variants, side) for side in sides[other.model]),
        )
        for other in break_evens(list(table.values()), rows, ended)
    ]


def _notes(variants: VariantTimings, sides: tuple[_Side, _Side]) -> tuple[str, str]:
    """Return the variants that were chosen, and whether the devices then compute in different precisions."""
    baseline, candidate = (side.chosen for side in sides)
    shared = baseline.keys() & candidate.keys()
    differ = any(numerics(baseline[batch].key) != numerics(candidate[batch].key) for batch in shared)
    found = ", ".join(_stretches(variants, side.chosen) for side in sides)
    return (f"{found}; {NUMERICS}", NUMERICS) if differ else (found, "")


def _texts(variants: VariantTimings, side: _Side) -> tuple[str, ...]:
    return tuple(variants.text(best.key) for best in side.chosen.values())


def _stretches(variants: VariantTimings, chosen: Mapping[int, Fastest]) -> str:
    stretches = groupby(chosen, lambda batch: variants.text(chosen[batch].key))
    found = [(text, list(batches)) for text, batches in stretches]
    if len(found) == 1:
        return found[0][0]
    return ", ".join(f"{text} (batch {fmt.number_range(batches[0], batches[-1])})" for text, batches in found)


def _cell(family: Model, batch: int) -> Cell:
    return Cell(family.workload, family.axes, batch)


def _key(family: Model, line: Line, batch: int) -> CaseKey:
    return CaseKey(_cell(family, batch), line.phase, line.device, line.machine)


def _place(line: Line) -> tuple[str, str]:
    return line.device, line.machine


def _any_of(found: Mapping[int, str]) -> str:
    return " or ".join(dict.fromkeys(found.values()))
