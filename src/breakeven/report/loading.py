"""What bounds an epoch: the loader or the training step, and how many workers would feed the device.

Workers load batches while the device trains, so a batch of an epoch takes as long as the slower of the two:
`load`, which is timed without training, or `train`, which is timed without loading. Without workers they take
turns, except where an accelerator has queued a step that lasts as long as loading the next batch. Where the
ratio of the two is 1 within its interval, or within 2%, neither bounds the epoch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from breakeven.case import CaseKey
from breakeven.device_names import is_cpu
from breakeven.phases import HEADLINE, Phase
from breakeven.report.estimates import Estimate
from breakeven.report.ratios import ratios
from breakeven.report.speedup import DeviceVerdict, verdict_of
from breakeven.runs.machine import Machine
from breakeven.stats.intervals import RatioInterval

LONG_START = 0.05
"""Starting a pass over the data is reported where it takes more than this share of it."""

_ALMOST = 1e-9  # so that rounding adds no worker
_UNKNOWN = RatioInterval(None, None, None)


class EpochBound(StrEnum):
    """What an epoch waits for; neither is also the answer where the noise hides which."""

    LOADER = "loader"
    STEP = "step"
    NEITHER = "neither"


_BOUNDS = {DeviceVerdict.FASTER: EpochBound.LOADER, DeviceVerdict.SLOWER: EpochBound.STEP}


@dataclass(frozen=True)
class Loading:
    """The epoch of one cell on one device, in seconds per batch; `key` is that of the epoch.

    `ratio` is `load_s` relative to `train_s`. `bound` is None where there is no such interval. `workers` are
    those of the loader, `workers_needed` those that would load a batch in the time of its training; `cpus`
    are the machine's. `start_s` is the time to the first batch of a pass of `batches`. None if unknown.
    """

    key: CaseKey
    train_s: float
    load_s: float | None
    epoch_s: float | None
    ratio: RatioInterval
    bound: EpochBound | None
    workers: int | None
    cpus: int | None
    start_s: float | None
    batches: int | None

    @property
    def workers_needed(self) -> int | None:
        """How many workers would feed the device; at least one, which overlaps loading and training."""
        if self.ratio.ratio is None or self.workers is None:
            return None
        return max(1, math.ceil(max(1, self.workers) * self.ratio.ratio - _ALMOST))

    @property
    def takes_turns(self) -> bool:
        """Whether a batch is loaded by the training process, and its device waits for that.

        Where an accelerator trains in the meantime, an epoch is nearer to the longer of the two than to both.
        """
        if self.workers != 0 or is_cpu(self.key.device):
            return self.workers == 0
        if self.load_s is None or self.epoch_s is None:
            return False
        shorter_s, longer_s = sorted((self.train_s, self.load_s))
        return self.epoch_s > longer_s + shorter_s / 2

    @property
    def loader_share(self) -> float | None:
        """The part of an epoch by which it is longer than its training steps."""
        return None if not self.epoch_s else max(0.0, 1 - self.train_s / self.epoch_s)

    @property
    def start_extra_s(self) -> float | None:
        """How much longer a pass takes than its batches do: the first one is waited for.

        A pass is the time to its first batch, one batch after another, and the training on the last one.
        """
        return None if self.start_s is None else max(0.0, self.start_s + self.train_s - self._each_s)

    @property
    def start_share(self) -> float | None:
        """What starting adds to a pass over the data, as a share of it."""
        if self.start_extra_s is None or not self.batches:
            return None
        return self.start_extra_s / (self.start_extra_s + self.batches * self._each_s)

    @property
    def _each_s(self) -> float:
        """The seconds of a batch of an epoch, from its parts where it was not timed."""
        load_s = self.load_s or 0.0
        return self.epoch_s or (self.train_s + load_s if self.takes_turns else max(self.train_s, load_s))

    @property
    def starts_long(self) -> bool:
        """Whether starting takes so much of a pass that it is worth to keep the workers."""
        return (self.start_share or 0.0) > LONG_START


def loadings(cases: Iterable[Estimate], machines: Iterable[Machine]) -> list[Loading]:
    """Return a row for each cell and device of which `train`, and `load` or `epoch`, were timed.

    `load` runs on the host alone, so that of another device of the machine counts where a device has none.
    """
    table = {case.key: case for case in cases}
    anywhere = {_on_host(key): case for key, case in table.items() if key.phase == Phase.LOAD}
    cpus = {machine.class_id: _cpus(machine) for machine in machines}
    steps = [case for key, case in table.items() if key.phase == HEADLINE and case.median_s > 0]
    loads = [_at(table, case, Phase.LOAD) or anywhere.get(_on_host(case.key)) for case in steps]
    pairs = [(load, step) for load, step in zip(loads, steps, strict=True) if load is not None]
    shares = dict(zip((step.key for _, step in pairs), ratios(pairs), strict=True))
    return [
        _loading(step, load, epoch, shares.get(step.key, _UNKNOWN), cpus[step.key.machine])
        for step, load in zip(steps, loads, strict=True)
        for epoch in [_at(table, step, Phase.EPOCH)]
        if load is not None or epoch is not None
    ]


def _loading(
    step: Estimate, load: Estimate | None, epoch: Estimate | None, share: RatioInterval, cpus: int | None
) -> Loading:
    passes = step.facts.passes
    ratio = RatioInterval(
        *(None if end is None else end * passes for end in (share.low, share.ratio, share.high))
    )
    is_known = ratio.low is not None and ratio.high is not None
    facts = [case.facts for case in (epoch, load) if case is not None]
    workers = next((one.loader_workers for one in facts if one.loader_workers is not None), None)
    batches = next((one.loader_batches for one in facts if one.loader_batches is not None), None)
    return Loading(
        key=replace(step.key, phase=Phase.EPOCH),
        train_s=step.median_s / passes,
        load_s=None if load is None else load.median_s,
        epoch_s=None if epoch is None else epoch.median_s,
        ratio=ratio,
        bound=_BOUNDS.get(verdict_of(ratio), EpochBound.NEITHER) if is_known else None,
        workers=None if workers is None else round(workers),
        cpus=cpus,
        start_s=next((one.loader_start_s for one in facts if one.loader_start_s is not None), None),
        batches=None if batches is None else round(batches),
    )


def _at(table: dict[CaseKey, Estimate], step: Estimate, phase: Phase) -> Estimate | None:
    return table.get(replace(step.key, phase=phase))


def _on_host(key: CaseKey) -> tuple[object, str]:
    return key.cell, key.machine


def _cpus(machine: Machine) -> int | None:
    cores = machine.facts.get("cores")
    return cores if isinstance(cores, int) and not isinstance(cores, bool) and cores > 0 else None


def worst_of(found: Iterable[Loading]) -> Loading:
    """Return the cell whose epoch the loader slows most; where it slows none, that of the largest batch."""

    def weight(row: Loading) -> tuple[float, int]:
        is_slowed = row.bound is EpochBound.LOADER
        return (row.ratio.ratio or 0.0) if is_slowed else 0.0, row.key.batch_size

    return max(found, key=weight)
