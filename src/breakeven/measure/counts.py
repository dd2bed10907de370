"""What a training step does on an accelerator, counted without one: operators, operations, and bytes.

A step is traced on the meta device, whose tensors have shapes but no data, so it costs no arithmetic. For a
model that looks at its inputs, tensors of integers such as tokens and masks keep their data, on the host. One
that needs other data is traced while it computes on the CPU.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import torch

from breakeven.case import Cell, Model
from breakeven.errors import MeasurementError
from breakeven.hardware.device import Device
from breakeven.hardware.float32 import tf32_set
from breakeven.measure.flops import HOST, META, first_count
from breakeven.measure.fused_operators import as_on_a_gpu, replaced
from breakeven.measure.operators import Counts, OperatorCounter
from breakeven.measure.tensors import shapes_of
from breakeven.measure.timing import Clock
from breakeven.measure.trainer import Trainer
from breakeven.measure.workload import Workload
from breakeven.phases import Phase

MAX_COUNT_S = 10.0
"""Counting stops after this CPU time: a model of 150 layers takes 2 s, at any batch size."""

TOO_LONG = f"counting its operators took more than {MAX_COUNT_S:g} s"

SCALER_OPERATORS = 6
"""What a gradient scaler launches in a step: the loss's and the gradients' scaling, and its own update."""

COMPILED = "a compiled model: its kernels are known only where it is compiled"
CLOSURE = "an optimizer with a closure: it evaluates the model as often as it likes"

NEAR = 1e-3
"""Counts of a third batch size that differ by less, relatively, are on one line with the first two."""


@dataclass(frozen=True)
class StepCounts:
    """The counts of each part of a training step, by its name; `passes` are the batches that a step takes.

    Of batches of different shapes they are means. A captured step launches once.
    """

    parts: Mapping[str, Counts]
    passes: int = 1
    is_captured: bool = False

    def of(self, phase: Phase) -> Counts | None:
        """Return the counts of a phase; None where it does not train, or is not timed of this step."""
        if not phase.takes_steps or phase.needs_processes:
            return None
        is_whole = len(phase.parts) > 1
        names = [part for part in self.parts if is_whole or part in phase.parts]
        if not names:
            return None
        total = sum((self.parts[part] for part in names), Counts())
        if not is_whole and phase is not Phase.STEP:
            total = total.times(1 / self.passes)
        return replace(total, operators=min(1.0, total.operators)) if self.is_captured else total


class CountedModels:
    """Counts each model at up to three batch sizes; others are on the line through these, if it is one."""

    def __init__(self, clock: Clock = time.thread_time) -> None:
        self._clock = clock
        self._counted: dict[Model, dict[int, StepCounts | str]] = {}

    def at(self, cell: Cell, workload: Workload) -> StepCounts | str:
        """Return the counts of a cell's step, or one line that states why they are unknown."""
        counted = self._counted.setdefault(cell.model, {})
        failed = next((one for one in counted.values() if isinstance(one, str) and one != TOO_LONG), None)
        if failed is not None:
            return failed
        if cell.batch_size not in counted:
            known = {size: one for size, one in counted.items() if isinstance(one, StepCounts)}
            on_line = None if len(known) < 3 else interpolated(known, cell.batch_size)
            if on_line is not None:
                return on_line
            counted[cell.batch_size] = count_step(workload, self._clock)
        return counted[cell.batch_size]

    def facts(self, cell: Cell, phase: Phase, workload: Workload) -> dict[str, Any]:
        """Return the facts of a case: ``operators``, ``kernels``, ``flops_by_format`` and ``moved_bytes``.

        ``operators_unknown`` with the reason where they are; nothing for a phase that does not train.
        """
        if not phase.takes_steps or phase.needs_processes:
            return {}
        counted = self.at(cell, workload)
        return {"operators_unknown": counted} if isinstance(counted, str) else counted_facts(counted, phase)


def counted_facts(counted: StepCounts, phase: Phase) -> dict[str, Any]:
    """Return what ``extra_info`` has of the counts of a phase; nothing where the step does not have it."""
    counts = counted.of(phase)
    if counts is None:
        return {}
    facts: dict[str, Any] = {"operators": round(counts.operators)}
    if counts.kernels != counts.operators:
        facts["kernels"] = round(counts.kernels)
    if counts.flops:
        facts["flops_by_format"] = {name: round(count) for name, count in sorted(counts.flops.items())}
    if phase is not Phase.STEP:  # of which `flops.moved_bytes` knows what it moves at least
        facts["moved_bytes"] = round(counts.moved_bytes)
    return facts


def interpolated(known: Mapping[int, StepCounts], batch_size: int) -> StepCounts | None:
    """Return the counts at a batch size from those at others; None unless all are on one line."""
    small, large = min(known), max(known)
    if all(_is_near(_between(known, small, large, size), one) for size, one in known.items()):
        return _between(known, small, large, batch_size)
    return None


def _between(known: Mapping[int, StepCounts], small: int, large: int, size: int) -> StepCounts:
    part = (size - small) / (large - small)
    first, last = known[small], known[large]
    parts = {name: first.parts[name].times(1 - part) + last.parts[name].times(part) for name in first.parts}
    return replace(first, parts=parts)


def _is_near(one: StepCounts, other: StepCounts) -> bool:
    pairs = [(one.parts[name], counts) for name, counts in other.parts.items()]
    return all(
        abs(first - second) <= NEAR * abs(second)
        for mine, theirs in pairs
        for first, second in [
            (mine.operators, theirs.operators),
            (mine.kernels, theirs.kernels),
            (mine.moved_bytes, theirs.moved_bytes),
            *((mine.flops[name], count) for name, count in theirs.flops.items()),
        ]
    )


class _CountedDevice(Device):
    """Stands for an accelerator while a step is counted on `torch_device`."""

    @classmethod
    def parse(cls, name: str) -> Self | None:  # noqa: ARG003 - users cannot select it
        """Return None: no name that a user writes means this device."""
        return None

    def synchronize(self) -> None:
        """Do nothing."""


def count_step(workload: Workload, clock: Clock = time.thread_time) -> StepCounts | str:
    """Return what a step of a workload does on an accelerator, or one line that states why it is unknown.

    Operators on lists count as their launches, and so do those of fused optimizers; a recurrent layer and
    attention are fused; autocast's casts are operators. A step captured as a CUDA graph launches once.
    """
    if workload.compile or any(map(_is_compiled, workload.model.modules())):
        return COMPILED
    ways = ((META, False), (META, True), (HOST, False))
    return first_count(*(partial(_count, workload, clock, *way) for way in ways), final=(TOO_LONG, CLOSURE))


def _count(workload: Workload, clock: Clock, where: torch.device, keeps_integers: bool) -> StepCounts:
    until_s = clock() + MAX_COUNT_S

    def check() -> None:
        if clock() > until_s:
            raise MeasurementError(TOO_LONG)

    plain = replace(workload, autocast=None, grad_scaler=False, pin_memory=False)
    with tf32_set(workload.tf32):
        counter = OperatorCounter(where, workload.autocast, check, keeps_integers=keeps_integers)
    trainer = Trainer(plain, _CountedDevice("an accelerator", where))
    with replaced(counter), counter:
        trainer.move_model()
        trainer.start()
        if trainer.closure is not None:
            raise MeasurementError(CLOSURE)
        for one in _optimizers(trainer.optimizer):
            as_on_a_gpu(one, counter)
        _step(trainer, counter)  # makes the optimizer's state
        shapes = {shapes_of(batch) for batch in trainer.host_batches}
        rounds = trainer.cycle(Phase.TRAIN) if len(shapes) > 1 else 1
        parts: dict[str, Counts] = {}
        for _ in range(rounds):
            for part, counts in _step(trainer, counter).items():
                parts[part] = parts.get(part, Counts()) + counts.times(1 / rounds)
        if workload.grad_scaler:
            parts["step"] = parts["step"] + Counts(SCALER_OPERATORS, SCALER_OPERATORS)
    return StepCounts(parts, trainer.parts.passes, workload.cuda_graph)


def _step(trainer: Trainer, counter: OperatorCounter) -> dict[str, Counts]:
    counter.begin_step()
    found: dict[str, Counts] = {}
    for part in trainer.parts.parts:
        with _counted(counter) as counts:
            trainer.do(part)
        found[part] = found.get(part, Counts()) + counts
    trainer.release()
    return found


@contextmanager
def _counted(counter: OperatorCounter) -> Iterator[Counts]:
    before, counter.counts = counter.counts, Counts()
    try:
        yield counter.counts
    finally:
        counter.counts = before


def _is_compiled(module: Any) -> bool:
    return hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None


def _optimizers(optimizer: Any) -> list[Any]:
    return list(optimizer.values()) if isinstance(optimizer, Mapping) else [optimizer]
