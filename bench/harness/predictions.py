"""How far predicted training steps are from measured ones, on the committed runs of machines with a GPU.

Each model, and then each kind of model, is left out of a card and predicted by it. A card of one run also
predicts another run of its machine, and that of one machine the other. Cells whose kernels cannot be counted
(compiled models) are not predicted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np
from prediction_tables import page
from recount import recount, store, stored
from shared import RESULTS, Json, options, versions, write

from breakeven.case import Cell
from breakeven.files import write_whole
from breakeven.phases import HEADLINE
from breakeven.predict import fit, formula
from breakeven.predict.cards import Card
from breakeven.predict.cells import PredictedCell, predict_cell
from breakeven.predict.fit import Sample
from breakeven.report.estimates import Estimate, estimates
from breakeven.runs.reader import read_run
from breakeven.runs.schema import CaseFacts, Run

FILES = {
    "h100": ("h100-16core/run.json", "h100-16core/large.json"),
    "variants": ("h100-16core/variants/run.json",),
    "h200": ("h200-16core/run.json",),
    "wide": ("h200-16core/wide.json",),
}
"""Run files by name; those of one name were measured together. `large.json` has CPU times only."""

GPU, CPU = "cuda", "cpu"


@dataclass(frozen=True)
class Predicted:
    """A measured step in seconds, its prediction, and how that compares with the CPU, if it was measured."""

    cell: Cell
    seconds: float
    step: formula.Step
    compared: PredictedCell | None

    @property
    def error(self) -> float:
        """The logarithm of measured over predicted."""
        return math.log(self.seconds / self.step.seconds)

    @property
    def is_held(self) -> bool:
        """Whether the band holds the measured step."""
        return self.step.low_s <= self.seconds <= self.step.high_s

    @property
    def is_right(self) -> bool:
        """Whether the predicted step is on the measured one's side of the CPU's."""
        assert self.compared is not None
        cpu_s = self.compared.baseline_s
        return (self.step.seconds < cpu_s) == (self.seconds < cpu_s)

    @property
    def is_firm(self) -> bool:
        """Whether the whole band of the speedup, with the CPU's own interval, is on one side of 1."""
        return self.compared is not None and self.compared.verdict.sign != 0


class Measured:
    """The committed runs with their counts."""

    def __init__(self, counts: Mapping[Cell, CaseFacts] | None = None) -> None:
        self._runs = {
            name: [read_run(RESULTS.parent / path) for path in paths] for name, paths in FILES.items()
        }
        self.counts = counts or {}

    @property
    def cells(self) -> list[Cell]:
        """Every cell with a step of a GPU, in a fixed order."""
        steps = (_steps(run, GPU) for runs in self._runs.values() for run in runs)
        return sorted({cell for found in steps for cell in found}, key=Cell.label)

    def runs(self, *names: str) -> list[Run]:
        """Return the runs of some names."""
        return [run for name in names for run in self._runs[name]]

    def samples(self, *names: str) -> list[Sample]:
        """Return the counted steps of the GPU."""
        return fit.samples_of(self.runs(*names), self.counts, GPU)

    def cpu(self, *names: str) -> dict[Cell, Estimate]:
        """Return the CPU's steps."""
        found = estimates(self.runs(*names))
        return {one.key.cell: one for one in found if one.key.device == CPU and one.key.phase == HEADLINE}

    def card(self, names: Sequence[str], is_used: Callable[[Cell], bool] = lambda _: True) -> Card:
        """Return the card of some runs, fitted to some of their cells."""
        used = {cell: facts for cell, facts in self.counts.items() if is_used(cell)}
        return fit.fit_card(self.runs(*names), used, "+".join(names), GPU)

    def left_out(self, names: Sequence[str], kind: Callable[[Cell], Hashable]) -> Iterator[Predicted]:
        """Yield the steps of each kind of cells, predicted by a card of the others."""
        samples, cpu = self.samples(*names), self.cpu(*names)
        for left in dict.fromkeys(kind(sample.cell) for sample in samples):
            card = self.card(names, lambda cell, left=left: kind(cell) != left)  # type: ignore[misc]
            yield from _predicted(card, [one for one in samples if kind(one.cell) == left], cpu)

    def others(self, names: Sequence[str], of: Sequence[str]) -> Iterator[Predicted]:
        """Yield the steps of some runs, predicted by the card of others."""
        yield from _predicted(self.card(names), self.samples(*of), self.cpu(*of))

    def process_errors(self, *names: str) -> list[float]:
        """Return how far each process is from the median of the others of its run, in logarithms."""
        found = []
        for run in self.runs(*names):
            for case in run.cases.values():
                medians = case.process_medians_s[np.isfinite(case.process_medians_s)]
                if _is_step(case, GPU) and len(medians) > 1:
                    found += [
                        math.log(one / np.median(np.delete(medians, place)))
                        for place, one in enumerate(medians)
                    ]
        return found


def figures(predicted: Iterable[Predicted]) -> Json:
    """Return the figures of some predictions: errors and bands as factors above 1, and counts of cells."""
    found = list(predicted)
    both = [one for one in found if one.compared is not None]
    firm = [one for one in both if one.is_firm]
    errors = [abs(one.error) for one in found]
    return {
        "cells": len(found),
        "median_error": _factor(np.median(errors)),
        "error_of_90": _factor(np.quantile(errors, 0.9)),
        "band": _factor(np.median([math.log(one.step.high_s / one.step.low_s) / 2 for one in found])),
        "coverage": round(sum(one.is_held for one in found) / len(found), 3),
        "with_cpu": len(both),
        "right_side": sum(one.is_right for one in both),
        "firm": len(firm),
        "wrong": sorted(one.cell.label() for one in firm if not one.is_right),
    }


def all_figures(measured: Measured) -> dict[str, Json]:
    """Return the figures of every way to predict."""
    h100, h200 = ("h100",), ("h200", "wide")
    return {
        "H100, each model left out": figures(measured.left_out(h100, _model)),
        "H100, each kind of model left out": figures(measured.left_out(h100, _kind)),
        "H100, another run of it (variants)": figures(measured.others(h100, ("variants",))),
        "H200, each model left out": figures(measured.left_out(h200, _model)),
        "H200, each kind of model left out": figures(measured.left_out(h200, _kind)),
        "H200, another run of it (wide)": figures(measured.others(("h200",), ("wide",))),
        "H200 by the H100's card": figures(measured.others(h100, h200)),
        "H100 by the H200's card": figures(measured.others(h200, h100)),
    }


ALTERNATIVES: dict[str, list[tuple[Any, str, Any]]] = {
    "the formula": [],
    "without the handoff of the backward pass": [(formula, "BACKWARD_OPERATORS", 0)],
    "a handoff of 8 operators": [(formula, "BACKWARD_OPERATORS", 8)],
    "a handoff of 16 operators": [(formula, "BACKWARD_OPERATORS", 16)],
    "without a shortest kernel": [(formula, "KERNEL_S", 0.0)],
    "a shortest kernel of 10 us": [(formula, "KERNEL_S", 1e-5)],
    "without a spread from run to run": [(fit, "RUN_LOG_SD", 0.0)],
    "a spread of 0.1 from run to run": [(fit, "RUN_LOG_SD", 0.1)],
}
"""What else the formula could be: the constants that differ."""


def alternatives(measured: Measured) -> dict[str, list[Json]]:
    """Return the figures of each alternative: of left-out models of both machines, and of the variants."""
    found = {}
    for name, changes in ALTERNATIVES.items():
        with ExitStack() as stack:
            for module, constant, value in changes:
                stack.enter_context(patch.object(module, constant, value))
            found[name] = [
                figures(measured.left_out(("h100",), _model)),
                figures(measured.left_out(("h200", "wide"), _model)),
                figures(measured.others(("h100",), ("variants",))),
            ]
    return found


def main() -> None:
    """Count, predict, and write the results."""
    parser = options(__doc__)
    parser.add_argument("--stored", action="store_true", help="use the stored counts instead of counting")
    chosen = parser.parse_args()
    measured = Measured()
    if not chosen.stored:
        store(recount(measured.cells), chosen.output)
    measured.counts = stored(chosen.output)
    errors = np.abs(measured.process_errors("h200", "wide"))
    result = write(
        chosen.output / "prediction.json",
        {
            "versions": versions("breakeven", "torch", "numpy", "scipy"),
            "figures": all_figures(measured),
            "perfect": {
                "median_error": _factor(np.median(errors)),
                "error_of_90": _factor(np.quantile(errors, 0.9)),
            },
            "cards": {
                "H100": _card_figures(measured.card(("h100", "variants"))),
                "H200": _card_figures(measured.card(("h200", "wide"))),
            },
            "alternatives": alternatives(measured),
        },
    )
    write_whole(chosen.output / "prediction.md", page(result).encode())
    print(page(result))


def _predicted(card: Card, samples: Iterable[Sample], cpu: Mapping[Cell, Estimate]) -> Iterator[Predicted]:
    for one in samples:
        step = formula.predict_step(card, one.work, one.cell.batch_size)
        base = cpu.get(one.cell)
        compared = None if base is None else predict_cell(card, one.work, base)
        yield Predicted(one.cell, one.seconds, step, compared)


def _steps(run: Run, device: str) -> dict[Cell, float]:
    return {
        case.key.cell: case.median_s for case in run.cases.values() if case.key and _is_step(case, device)
    }


def _is_step(case: Any, device: str) -> bool:
    return case.key is not None and case.key.phase == HEADLINE and case.key.device == device


def _model(cell: Cell) -> Hashable:
    return cell.model


def _kind(cell: Cell) -> Hashable:
    return cell.workload


def _factor(log: Any) -> float:
    return round(math.exp(float(log)), 3)


def _card_figures(card: Card) -> Json:
    return {
        "launch_s": card.launch_s, "flops_per_s": dict(card.flops_per_s), "bytes_per_s": card.bytes_per_s,
        "copied_bytes_per_s": card.copied_bytes_per_s, "log_sds": dict(card.log_sds),
        "high_log": card.high_log, "process_log_sd": card.process_log_sd,
    }  # fmt: skip


if __name__ == "__main__":
    main()
