"""The variants of each model, and the fastest of them.

The fastest of several noisy times is too fast, so that no variant is read where it was chosen: each half of
its processes is read where the other half chose; of a single process, its odd and its even rounds. Where the
halves choose the same variant, all of its rounds are read; where they do not, the second half as the first
one chose.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from breakeven.case import Axes, CaseKey, Line, Model
from breakeven.device_names import is_cpu, processes_of
from breakeven.grouping import grouped
from breakeven.report.break_even import BreakEven
from breakeven.report.estimates import Estimate, timings_of
from breakeven.report.speedup import SAME_WITHIN
from breakeven.report.variants import OPTIMIZER, Work, is_same_work, plain_values, work_of
from breakeven.runs.schema import CaseResult, Run

DTYPE = "dtype"
_FULL_DTYPES = ("float64", "float32")
_NONE = slice(0, 0)

Timings = Mapping[int, CaseResult]
"""The timings of a case by the number of their run."""


@dataclass(frozen=True, eq=False)
class Halves:
    """The timings of one variant of a cell, and its median in each half of the processes."""

    whole: Timings
    second: Timings
    first_s: float
    second_s: float


@dataclass(frozen=True, eq=False)
class Fastest:
    """The fastest variant of a cell, and its timings in processes that did not choose it."""

    key: CaseKey
    timings: Timings

    @classmethod
    def of(cls, variants: Mapping[CaseKey, Halves]) -> Fastest:
        """Return the fastest of some variants, the first of those that are the same within 2%."""
        first_s = SAME_WITHIN * min(halves.first_s for halves in variants.values())
        second_s = SAME_WITHIN * min(halves.second_s for halves in variants.values())
        key = next(key for key, halves in variants.items() if halves.first_s <= first_s)
        other = next(key for key, halves in variants.items() if halves.second_s <= second_s)
        return cls(key, variants[key].whole if key == other else variants[key].second)


@dataclass(frozen=True, eq=False)
class VariantTimings:
    """The variants of each model in one phase.

    `families` has what all variants of a model share, `varying` the axes in which those of a family differ.
    `halves` are by family, batch size and machine, where there is a choice.
    """

    families: Mapping[Model, Model]
    varying: Mapping[Model, tuple[str, ...]]
    plain: Mapping[Work, Mapping[str, Any]]
    halves: Mapping[tuple[Model, int, str], Mapping[CaseKey, Halves]]
    floor_sd: Mapping[CaseKey, float]

    @classmethod
    def of(
        cls,
        runs: Sequence[Run],
        cases: Sequence[Estimate],
        phase: str | None,
        floor_sd: Mapping[CaseKey, float] = MappingProxyType({}),
    ) -> VariantTimings:
        """Return the variants that were timed in a phase; `cases` are in the order of the runs."""
        steps = [case for case in cases if case.key.phase == phase]
        plain = plain_values(case.key.model for case in steps)
        families = _families(steps, plain)
        members = grouped((family, model.axes) for model, family in families.items())
        free = _free(families, steps)
        timings = timings_of(runs)
        cells = grouped(
            ((families[key.model], key.batch_size, key.machine), key)
            for key in (case.key for case in steps)
            if families[key.model] in free
        )
        return cls(
            families,
            {family: _varying(axes) for family, axes in members.items()},
            plain,
            {place: _halves({key: timings[key] for key in keys}) for place, keys in cells.items()},
            floor_sd,
        )

    def batches(self, model: Model) -> list[int]:
        """Return the batch sizes at which any variant of a model was timed, ascending."""
        family = self.families[model]
        return sorted({batch for known, batch, _ in self.halves if known == family})

    def of_device(self, line: Line, other: Line, batch: int) -> dict[CaseKey, Halves]:
        """Return the variants of a line's device at a batch size, the plainest first.

        Compared with an accelerator or with another machine, the numbers of CPU threads are variants too.
        """
        by_threads = _is_threads(line.device) and not (is_cpu(other.device) and line.machine == other.machine)
        found = self.halves.get((self.families[line.model], batch, line.machine), {})
        here = [key for key in found if key.device == line.device or (by_threads and _is_threads(key.device))]
        here.sort(key=lambda key: (key.device != line.device, self._changes(key.model)))
        return {key: found[key] for key in here}

    def text(self, key: CaseKey, *, device: bool = True) -> str:
        """Return a variant as text, such as ``cpu in float32``; empty for a plain one without its device."""
        words = []
        for name in self.varying[self.families[key.model]]:
            value = key.axes[name]
            if name == DTYPE:
                words.append(f"in {value}")
            elif value is not False:
                words.append(f"with {name}" if value is True else f"with {name}={value}")
        return " ".join([*([key.device] if device else []), *words])

    def plainest(self, lines: Iterable[BreakEven]) -> BreakEven:
        """Return the line with the fewest changes from the plain form, the first of several."""
        return min(lines, key=lambda line: self._changes(line.model))

    def _changes(self, model: Model) -> int:
        return sum(model.axes.get(name) != value for name, value in self.plain[work_of(model)].items())


def numerics(key: CaseKey) -> tuple[object, bool]:
    """Return what decides the precision of a variant: its dtype, and whether it uses TF32."""
    return key.axes.get(DTYPE), key.axes.get("tf32") is True


def rounding(key: CaseKey) -> int:
    """Return how coarsely a variant computes: a higher number is less precise."""
    dtype, tf32 = numerics(key)
    if dtype not in (None, *_FULL_DTYPES):
        return 3
    return 0 if dtype == _FULL_DTYPES[0] else 2 if tf32 else 1


def runs_of(runs: Sequence[Run], timings: Mapping[CaseKey, Timings]) -> list[Run]:
    """Return the runs with these cases only, each by its label on its machine."""
    return [
        replace(
            run,
            cases={f"{key.label()} {key.machine}": found[n] for key, found in timings.items() if n in found},
        )
        for n, run in enumerate(runs)
    ]


def _is_threads(device: str) -> bool:
    """Return whether it is the CPU with some number of threads; several processes are another device."""
    return is_cpu(device) and processes_of(device) is None


def _families(steps: Sequence[Estimate], plain: Mapping[Work, Mapping[str, Any]]) -> dict[Model, Model]:
    """Return what each model shares with its variants; models of other parameters or FLOPs share nothing."""
    families = {case.key.model: _family(case.key.model, plain[work_of(case.key.model)]) for case in steps}
    first: dict[object, Estimate] = {}
    differing = set()
    for case in steps:
        key = case.key
        family = families[key.model]
        if not is_same_work(first.setdefault((family, key.batch_size), case), case):
            differing.add(family)
    return {model: model if family in differing else family for model, family in families.items()}


def _free(families: Mapping[Model, Model], steps: Sequence[Estimate]) -> set[Model]:
    """Return the families with several models, or with several numbers of CPU threads."""
    ways = {
        (families[case.key.model], case.key.model, case.key.device if _is_threads(case.key.device) else "")
        for case in steps
    }
    cpus = Counter(family for family, _, device in ways if device)
    models = Counter(families.values())
    return {family for family in models if models[family] > 1 or cpus[family] > 1}


def _family(model: Model, ways: Iterable[str]) -> Model:
    """Return a model without the axes of its variants; an optimizer is another one, not a variant.

    >>> _family(Model("mlp", Axes({"width": 8, "dtype": "bfloat16", "optimizer": "adam_fused"})),
    ...         ("dtype", "optimizer")).label()
    'mlp optimizer=adam width=8'
    """
    axes = dict(model.axes.without(set(ways)))
    optimizer = model.axes.get(OPTIMIZER)
    if OPTIMIZER in ways and isinstance(optimizer, str):
        _, axes[OPTIMIZER] = work_of(model)
    return Model(model.workload, Axes(axes))


def _varying(axes: Sequence[Axes]) -> tuple[str, ...]:
    return tuple(name for name in axes[0] if len({repr(one.get(name)) for one in axes}) > 1)


def _halves(timings: Mapping[CaseKey, Timings]) -> dict[CaseKey, Halves]:
    """Return the halves of each variant of a cell; a single round is both of them."""
    halves = {}
    for key, found in timings.items():
        processes = [
            (number, process)
            for number, case in found.items()
            for process, sample in enumerate(case.samples)
            if len(sample)
        ]
        if len(processes) == 1:
            parts = [{processes[0]: slice(start, None, 2)} for start in (0, 1)]
        else:
            parts = [dict.fromkeys(processes[start::2], slice(None)) for start in (1, 0)]
        first, second = (_part(found, part) or found for part in parts)
        halves[key] = Halves(found, second, _median_s(first), _median_s(second))
    return halves


def _median_s(timings: Timings) -> float:
    return float(np.nanmedian(np.concatenate([case.process_medians_s for case in timings.values()])))


def _part(timings: Timings, rounds: Mapping[tuple[int, int], slice]) -> dict[int, CaseResult]:
    """Return a case with only these rounds of each of its processes."""
    found = {}
    for number, case in timings.items():
        samples = [
            sample[rounds.get((number, process), _NONE)] for process, sample in enumerate(case.samples)
        ]
        if any(map(len, samples)):
            found[number] = replace(case, times_s=np.concatenate(samples), processes=tuple(map(len, samples)))
    return found
