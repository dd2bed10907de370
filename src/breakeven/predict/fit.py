"""Fits a card: the rates that explain the measured training steps of a machine with an accelerator.

The rates are those with the smallest robust distance of the logarithms of predicted and measured steps. A
rate that no step depends on keeps its start and the start's uncertainty, which then widens every band.

The band is that of models that the card has not seen: each kind of model is left out in turn, and predicted
from the others. Other processes differ from those of the fit by more than its steps do among themselves, so
the launches also have the spread from run to run; of a single run it is assumed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from breakeven.case import CaseKey, Cell
from breakeven.compare.machine_class import difference_text
from breakeven.device_names import is_cpu
from breakeven.errors import DifferentMachinesError, UsageError
from breakeven.format import plural
from breakeven.phases import HEADLINE
from breakeven.predict.cards import Card
from breakeven.predict.formula import (
    UNSEEN_FLOPS_PER_S,
    UNSEEN_LOG_SD,
    kernels_s,
    predict_step,
    queued,
)
from breakeven.predict.work import Work
from breakeven.runs.machine import differences
from breakeven.runs.schema import CaseFacts, CaseResult, Run

Array = NDArray[np.float64]

START_LAUNCH_S, START_BYTES_PER_S, START_COPIED_BYTES_PER_S = 4e-5, 1.5e12, 1e10
"""Where the fit starts, with the uncertainty of `UNSEEN_LOG_SD`: any accelerator's rates are near enough."""

NOISE_LOG_SD = 0.2
"""By how much the logarithms of most measured steps differ from the formula; larger ones count less."""

RUN_LOG_SD, RUN_WEIGHT = 0.18, 2
"""How much a host's time for a launch differs from run to run, as a standard deviation of logarithms, before
there are several runs; and the number of runs that this weighs as much as. It is that of the committed runs:
0.20 on the H100, and 0.16 on the H200."""

MIN_CELLS, MIN_MODELS = 8, 2
MIN_BAND_LOG, MIN_BAND_OF_FEW_LOG, FEW_KINDS = math.log(1.4), math.log(2.0), 3
"""A band reaches this far to each side at least, and farther with few kinds of models, which show less."""


@dataclass(frozen=True)
class Sample:
    """One measured training step: its time in seconds, what it does, and the index of its run."""

    cell: Cell
    work: Work
    seconds: float
    run: int = 0


def fit_card(
    runs: Sequence[Run], counts: Mapping[Cell, CaseFacts], name: str, device: str | None = None
) -> Card:
    """Return the card of a machine, fitted to the training steps of its runs.

    Args:
        runs: of one machine class.
        counts: what the cells' steps do; those without it are not used.
        device: the accelerator; by default the only one that the runs have.

    Raises:
        DifferentMachinesError: they are of several.
        UsageError: one line; the runs have no accelerator or several, too few counted steps, or the fit is
            outside of what any hardware can be.
    """
    _check_one_class(runs)
    device = _device_of(runs, device)
    samples = samples_of(runs, counts, device)
    models = {sample.cell.model for sample in samples}
    if len(samples) < MIN_CELLS or len(models) < MIN_MODELS:
        timed = sum(key.device == device for _, key, _ in _accelerated(runs))
        raise UsageError(
            f"{len(samples)} of {plural(timed, 'timed training step')} on {device} were counted, of "
            f"{plural(len(models), 'model')}: a card needs at least {MIN_CELLS} of {MIN_MODELS} models; "
            f"{'count more of them (--bench DIR), or ' * (len(samples) < timed)}measure a larger sweep"
        )
    machine = runs[0].machine
    used = [runs[index] for index in sorted({sample.run for sample in samples})]
    batch_sizes = [sample.cell.batch_size for sample in samples]
    fit = Fit(samples)
    card = Card(
        name=name,
        hardware=machine.hardware,
        class_id=machine.class_id,
        device=device,
        machine=machine.facts,
        **fit.fields(),
        process_log_sd=_run_log_sd(samples, fit),
        low_log=0.0,
        high_log=0.0,
        cells=len(samples),
        models=len(models),
        runs=len(used),
        processes=sum(max(1, len(run.processes)) for run in used),
        batch_sizes=(min(batch_sizes), max(batch_sizes)),
    )
    _raise_if_impossible(card)
    reach = _reach(samples, card)
    return replace(card, low_log=-reach, high_log=reach)


def samples_of(runs: Sequence[Run], counts: Mapping[Cell, CaseFacts], device: str) -> list[Sample]:
    """Return the measured training steps of an accelerator that were counted."""
    found = []
    for index, key, case in _accelerated(runs):
        work = Work.of(counts[key.cell]) if key.device == device and key.cell in counts else None
        if work is not None and case.median_s > 0:
            found.append(Sample(key.cell, work, case.median_s, index))
    return found


class Fit:
    """The logarithms of some samples' rates, each with its standard deviation.

    Their order is: seconds of a launch, operations per second of each format, bytes per second of the memory
    and of copies.
    """

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.formats = sorted({name for one in samples for name, count in one.work.flops.items() if count})
        self._start = np.log(
            [
                START_LAUNCH_S,
                *[UNSEEN_FLOPS_PER_S] * len(self.formats),
                START_BYTES_PER_S,
                START_COPIED_BYTES_PER_S,
            ]
        )
        self._work = _WorkTable(samples, self.formats)
        self._log_s = np.log([sample.seconds for sample in samples])

    @cached_property
    def _solution(self) -> tuple[Array, Array]:
        from scipy.optimize import least_squares  # takes half a second, which only a fit needs

        best = least_squares(self._distances, self._start, self._slopes, loss="soft_l1", xtol=1e-6, ftol=1e-6)
        variances = np.diag(np.linalg.inv(best.jac.T @ best.jac))
        return np.asarray(best.x), np.sqrt(variances)

    def fields(self) -> dict[str, Any]:
        """Return the fields of a card with the rates, and with the deviations of their logarithms."""
        logs, log_sds = (list(map(float, found)) for found in self._solution)
        launch_s = math.exp(logs[0])
        *flops_per_s, bytes_per_s, copied_bytes_per_s = (math.exp(log) for log in logs[1:])
        return {
            "launch_s": launch_s,
            "flops_per_s": dict(zip(self.formats, flops_per_s, strict=True)),
            "bytes_per_s": bytes_per_s,
            "copied_bytes_per_s": copied_bytes_per_s,
            "log_sds": dict(zip(("launches", *self.formats, "memory", "copy"), log_sds, strict=True)),
        }

    def residuals(self) -> Array:
        """Return the logarithms of measured over predicted steps, shape (samples,)."""
        return np.asarray(self._log_s - np.log(self._work.step_s(self._solution[0])))

    def queues(self) -> NDArray[np.bool_]:
        """Return whether the host takes longer than the device, for each sample."""
        host_s, device_s, _ = self._work.parts_s(self._solution[0])
        return np.asarray(host_s >= device_s)

    def _distances(self, logs: Array) -> Array:
        apart = (np.log(self._work.step_s(logs)) - self._log_s) / NOISE_LOG_SD
        return np.concatenate([apart, (logs - self._start) / UNSEEN_LOG_SD])

    def _slopes(self, logs: Array) -> Array:
        of_start = np.eye(len(logs)) / UNSEEN_LOG_SD
        return np.concatenate([self._work.log_slopes(logs) / NOISE_LOG_SD, of_start])


class _WorkTable:
    """`formula`'s time of a step for many samples at once, from the logarithms of the rates."""

    def __init__(self, samples: Sequence[Sample], formats: Sequence[str]) -> None:
        works = [sample.work for sample in samples]
        self._queued = np.array([queued(work) for work in works])
        self._kernels_s = np.array([kernels_s(work) for work in works])
        self._done = np.array(
            [[*(work.flops.get(name, 0) for name in formats), work.moved_bytes] for work in works],
            dtype=float,
        )
        self._copied = np.array([work.copied_bytes for work in works])

    def parts_s(self, logs: Array) -> tuple[Array, Array, Array]:
        """Return the seconds of the host, of the device and of the copy."""
        device_s = self._kernels_s + self._done @ np.exp(-logs[1:-1])
        return self._queued * np.exp(logs[0]), device_s, self._copied * np.exp(-logs[-1])

    def step_s(self, logs: Array) -> Array:
        """Return the seconds of each step."""
        host_s, device_s, copy_s = self.parts_s(logs)
        return np.maximum(host_s, device_s) + copy_s

    def log_slopes(self, logs: Array) -> Array:
        """Return by how much the logarithm of each step changes with that of each rate."""
        host_s, device_s, copy_s = self.parts_s(logs)
        queues = host_s >= device_s
        done_s = self._done * np.exp(-logs[1:-1])
        slopes = np.column_stack([host_s * queues, -done_s * ~queues[:, None], -copy_s])
        return np.asarray(slopes / self.step_s(logs)[:, None])


def _check_one_class(runs: Sequence[Run]) -> None:
    different = differences(run.machine for run in runs)
    if different:
        raise DifferentMachinesError(
            f"the runs come from different machine classes: {difference_text(different)}; a card predicts "
            "one machine: give the runs of one"
        )


def _accelerated(runs: Sequence[Run]) -> Iterator[tuple[int, CaseKey, CaseResult]]:
    """Yield the training steps of accelerators, with the index of their run."""
    for index, run in enumerate(runs):
        for case in run.cases.values():
            key = case.key
            if key is not None and key.phase == HEADLINE and not is_cpu(key.device):
                yield index, key, case


def _device_of(runs: Sequence[Run], device: str | None) -> str:
    found = sorted({key.device for _, key, _ in _accelerated(runs)})
    if device is None and len(found) == 1:
        return found[0]
    if device is not None and device in found:
        return device
    if not found:
        raise UsageError(
            "no training step of an accelerator in these runs: a card needs some; measure them there"
        )
    wanted = "give one with --device" if device is None else f"--device {device} is not among them"
    raise UsageError(f"the runs have training steps on {', '.join(found)}: {wanted}")


def _run_log_sd(samples: Sequence[Sample], fit: Fit) -> float:
    """Return how much the host's time for a launch differs from run to run."""
    residuals, queues = fit.residuals(), fit.queues()
    of_run: dict[int, list[float]] = {}
    for sample, residual, is_queued in zip(samples, residuals, queues, strict=True):
        if is_queued:
            of_run.setdefault(sample.run, []).append(float(residual))
    levels = [float(np.median(some)) for some in of_run.values()]
    spread = float(np.sum((np.array(levels) - np.mean(levels)) ** 2)) if levels else 0.0
    dof = max(0, len(levels) - 1)
    return math.sqrt((RUN_WEIGHT * RUN_LOG_SD**2 + spread) / (RUN_WEIGHT + dof))


def left_out(samples: Sequence[Sample]) -> Iterator[tuple[list[Sample], list[Sample]]]:
    """Yield what the band is made from: for each kind of model the samples of the others, and its own.

    Where there are fewer than three kinds, each model is left out.
    """
    is_many = _kinds(samples) >= FEW_KINDS
    kinds = [sample.cell.workload if is_many else sample.cell.model for sample in samples]
    for left in dict.fromkeys(kinds):
        others = [one for one, kind in zip(samples, kinds, strict=True) if kind != left]
        yield others, [one for one, kind in zip(samples, kinds, strict=True) if kind == left]


def _reach(samples: Sequence[Sample], card: Card) -> float:
    """Return how far the 90% band reaches for models that the card has not seen, in logarithms.

    That is beyond what the uncertain rates of the others explain, so that both together hold 90%.
    """
    beyond = []
    for others, some in left_out(samples):
        known = replace(card, **Fit(others).fields(), process_log_sd=0.0)
        for sample in some:
            step = predict_step(known, sample.work, card.batch_sizes[0])
            apart = math.log(sample.seconds / step.seconds)
            end = step.high_s if apart > 0 else step.low_s
            beyond.append(math.sqrt(max(0.0, apart**2 - math.log(end / step.seconds) ** 2)))
    ranked = sorted(beyond)
    least = MIN_BAND_LOG if _kinds(samples) >= FEW_KINDS else MIN_BAND_OF_FEW_LOG
    return max(least, ranked[min(len(ranked), math.ceil(0.9 * (len(ranked) + 1))) - 1])


def _kinds(samples: Sequence[Sample]) -> int:
    return len({sample.cell.workload for sample in samples})


def _raise_if_impossible(card: Card) -> None:
    problem = card.impossible()
    if problem is not None:
        raise UsageError(f"{problem[0]} of the fit is {problem[1]}: check the runs' times and counts")
