"""Training steps that each depend on one number of a card: launches, arithmetic, memory, or the copy.

A probe's step is counted and predicted as any step is. Its size is the smallest at which the number decides
most of the step, by the card itself. All but the copy's take one number from the host, and no batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn

from breakeven.measure.counts import count_step, counted_facts
from breakeven.measure.workload import Workload, batch_facts, mlp
from breakeven.phases import Phase
from breakeven.predict.cards import Card, Number
from breakeven.predict.formula import Step, predict_step
from breakeven.predict.work import Work
from breakeven.runs.schema import CaseFacts

MIN_SHARE = 0.75
"""The share of its step that a probe's number decides, at least."""

MAX_LAUNCH_SLOWDOWN = 4
"""So much slower may a host's launches be until they decide the step of another probe."""

MIN_SLOWDOWN = 0.01
"""A number is at most 100 times faster: a smaller ratio is that of a step that the card predicts wrongly."""

USES = 4
"""How often a probe repeats its product, or its elementwise operation, in one step."""

COLUMNS = 1024
TILE = 256
"""Rows of random numbers; larger tensors repeat them, which is faster than to draw each."""


@dataclass(frozen=True)
class Probe:
    """A recipe of a step by its size, and the number that it probes; `format` is that of its products."""

    number: Number
    sizes: tuple[int, ...]
    recipe: Callable[[int], Workload]
    format: str = ""

    @property
    def name(self) -> str:
        """Its number, with the format where there are several."""
        return f"{self.number} {self.format}".strip()


@dataclass(frozen=True)
class SizedProbe:
    """A probe of a size, with its predicted step, and the seconds of it that its number decides."""

    probe: Probe
    size: int
    step: Step
    part_s: float

    def slowdown(self, step_s: float) -> float:
        """Return by how much the number is slower than the card's if a step takes this; below 1 faster."""
        rest_s = self.step.seconds - self.part_s
        return max((step_s - rest_s) / self.part_s, MIN_SLOWDOWN)


def sized(probe: Probe, card: Card, count: Callable[[Workload], Work | str]) -> SizedProbe | str:
    """Return the probe at the smallest size that suits a card, or one line that states why none does.

    Launches may be slower than the card's without making another probe's step longer.
    """
    slow_host = card
    if probe.number is not Number.LAUNCHES:
        slow_host = card.slowed(Number.LAUNCHES, MAX_LAUNCH_SLOWDOWN)
    for size in probe.sizes:
        work = count(probe.recipe(size))
        if isinstance(work, str):
            return work
        step, part_s = _predicted(probe, slow_host, work)
        if part_s >= MIN_SHARE * step.seconds:
            return SizedProbe(probe, size, *_predicted(probe, card, work))
    return f"by this card no probe step depends on it enough, up to size {probe.sizes[-1]:,}"


def _predicted(probe: Probe, card: Card, work: Work) -> tuple[Step, float]:
    """Return the predicted step, and the seconds of it that the probe's number decides."""
    batch_size = card.batch_sizes[0]  # a probe's step has none
    step = predict_step(card, work, batch_size)
    slower = predict_step(card.slowed(probe.number, 2.0, probe.format), work, batch_size)
    return step, slower.seconds - step.seconds


def count_work(workload: Workload) -> Work | str:
    """Return what a training step of a workload does, or one line that states why it is unknown."""
    counted = count_step(workload)
    if isinstance(counted, str):
        return counted
    work = Work.of(CaseFacts.of(counted_facts(counted, Phase.TRAIN) | batch_facts(workload)))
    return "its step has no counts" if work is None else work


class _Products(nn.Module):
    """Products of square matrices, each followed by a rectifier; returns their mean as the loss."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.register_buffer("rows", _random(side, side))
        self.weight = nn.Parameter(_random(side, side) * (2 / side) ** 0.5)

    def forward(self, scale: torch.Tensor) -> torch.Tensor:
        value = self.get_buffer("rows") * scale
        for _ in range(USES):
            value = torch.relu(value @ self.weight)
        return value.mean()


class _Elementwise(nn.Module):
    """Rectifiers of a large parameter; returns their mean as the loss."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(_random(rows, COLUMNS))

    def forward(self, scale: torch.Tensor) -> torch.Tensor:
        value = self.weight * scale
        for _ in range(USES):
            value = torch.relu(value)
        return value.mean()


class _Mean(nn.Module):
    """A linear layer of one output; returns its mean as the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(COLUMNS, 1)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.linear(inputs).mean()
        return out


def _random(rows: int, columns: int) -> torch.Tensor:
    return torch.randn(min(rows, TILE), columns).repeat(-(-rows // TILE), 1)[:rows]


def _trained(model: nn.Module, inputs: torch.Tensor | None = None) -> Workload:
    inputs = torch.ones(1) if inputs is None else inputs
    return Workload(model, optimizer=partial(torch.optim.SGD, lr=1e-6), inputs=inputs)


def _products(side: int) -> Workload:
    return _trained(_Products(side))


def _with_tf32(side: int, *, wanted: bool) -> Workload:
    return replace(_products(side), tf32=wanted)


def _with_autocast(side: int, *, dtype: torch.dtype) -> Workload:
    return replace(_products(side), autocast=dtype)


def _doubles(side: int) -> Workload:
    return _trained(_Products(side).double(), torch.ones(1, dtype=torch.float64))


def _elementwise(rows: int) -> Workload:
    return _trained(_Elementwise(rows))


def _copied(rows: int) -> Workload:
    return _trained(_Mean(), _random(rows, COLUMNS))


_SIDES = (1024, 2048, 4096, 8192, 16_384)
_ROWS = (1024, 4096, 16_384, 65_536, 131_072, 262_144)

PROBES = (
    Probe(Number.LAUNCHES, (64,), partial(mlp, 16)),
    Probe(Number.ARITHMETIC, _SIDES, partial(_with_tf32, wanted=False), "float32"),
    Probe(Number.ARITHMETIC, _SIDES, partial(_with_tf32, wanted=True), "tf32"),
    Probe(Number.ARITHMETIC, _SIDES, partial(_with_autocast, dtype=torch.bfloat16), "bfloat16"),
    Probe(Number.ARITHMETIC, _SIDES, partial(_with_autocast, dtype=torch.float16), "float16"),
    Probe(Number.ARITHMETIC, _SIDES, _doubles, "float64"),
    Probe(Number.MEMORY, _ROWS, _elementwise),
    Probe(Number.COPY, _ROWS, _copied),
)
"""All probes; of the formats those of the card are probed."""


def probes_for(card: Card) -> list[Probe]:
    """Return the probes of the numbers that a card has."""
    return [probe for probe in PROBES if not probe.format or probe.format in card.flops_per_s]
