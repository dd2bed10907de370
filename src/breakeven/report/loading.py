"""What bounds an epoch: the loader or the training step, and how many workers would feed the device.

Workers load batches while the device trains, so a batch of an epoch takes as long as the slower of the two:
`load`, which is timed without training, or `train`, which is timed without loading. Without workers they take
turns, except where an accelerator has queued a step that lasts as long as loading the next batch. Where the
interval of their ratio contains 1, neither bounds the epoch if all of it is near 1; else that is undecided.

Where `load` was not timed, the loader bounds an epoch that is shown to be much longer than its steps.
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

NEAR = 1.25
"""Two times are alike if the interval of their ratio contains 1 and goes no further from it, up or down."""

_TURNS = 2.0
"""Without workers, an epoch of more than this many steps waits longer than it trains."""

_ALMOST = 1e-9  # so that rounding adds no worker
_UNKNOWN = RatioInterval(None, None, None)


class EpochBound(StrEnum):
    """What an epoch waits for; neither if loading and training take about as long."""

    LOADER = "loader"
    STEP = "step"
    NEITHER = "neither"


_BOUNDS = {DeviceVerdict.FASTER: EpochBound.LOADER, DeviceVerdict.SLOWER: EpochBound.STEP}


@dataclass(frozen=True)
class Loading:
    """The epoch of one cell on one device, in seconds per batch; `key` is that of the epoch.

    `ratio` is `load_s` relative to `train_s`. `bound` is None where that is undecided. `workers` are those of
    the loader, `workers_needed` those that would load a batch in the time of its training; `cpus` are the
    machine's. `start_s` is the time to the first batch of a pass of `batches`. None if unknown.
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
        """How many workers would feed the device; at least one, which overlaps loading and training.

        None where they are unknown, or what bounds the epoch is.
        """
        if self.bound is None or self.ratio.ratio is None or self.workers is None:
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
    found = [
        (step, load, epoch, longer)
        for step in steps
        for load in [_at(table, step, Phase.LOAD) or anywhere.get(_on_host(step.key))]
        for epoch in [_at(table, step, Phase.EPOCH)]
        if (longer := load or epoch) is not None
    ]
    shares = ratios([(longer, step) for step, _, _, longer in found])
    return [
        _loading(step, load, epoch, share, cpus[step.key.machine])
        for (step, load, epoch, _), share in zip(found, shares, strict=True)
    ]


def _loading(
    step: Estimate, load: Estimate | None, epoch: Estimate | None, share: RatioInterval, cpus: int | None
) -> Loading:
    """Return a row; `share` is `load` relative to `step`, or `epoch` where there is no `load`."""
    train_s = step.median_s / step.facts.passes
    low, high = (None if end is None else end * step.facts.passes for end in (share.low, share.high))
    facts = [case.facts for case in (epoch, load) if case is not None]
    workers = next((one.loader_workers for one in facts if one.loader_workers is not None), None)
    batches = next((one.loader_batches for one in facts if one.loader_batches is not None), None)
    if load is None:
        ratio, bound = _UNKNOWN, _bound_of_epoch(low, workers)
    else:
        ratio = _around(load.median_s / train_s, low, high)
        bound = _bound_of(ratio)
    return Loading(
        key=replace(step.key, phase=Phase.EPOCH),
        train_s=train_s,
        load_s=None if load is None else load.median_s,
        epoch_s=None if epoch is None else epoch.median_s,
        ratio=ratio,
        bound=bound,
        workers=None if workers is None else round(workers),
        cpus=cpus,
        start_s=next((one.loader_start_s for one in facts if one.loader_start_s is not None), None),
        batches=None if batches is None else round(batches),
    )


def _around(ratio: float, low: float | None, high: float | None) -> RatioInterval:
    """Return the ratio of two times that are printed, within an interval found process by process."""
    if low is None or high is None:
        return RatioInterval(None, ratio, None)
    return RatioInterval(min(low, ratio), ratio, max(high, ratio))


def _bound_of(ratio: RatioInterval) -> EpochBound | None:
    if ratio.low is None or ratio.high is None:
        return None
    is_near = ratio.low >= 1 / NEAR and ratio.high <= NEAR
    return _BOUNDS.get(verdict_of(ratio), EpochBound.NEITHER if is_near else None)


def _bound_of_epoch(low: float | None, workers: float | None) -> EpochBound | None:
    """Return what bounds an epoch that takes at least `low` times as long as its steps."""
    return EpochBound.LOADER if low is not None and low > (NEAR if workers else _TURNS) else None


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
        slower = row.ratio.ratio or (row.epoch_s or 0.0) / row.train_s
        return slower if row.bound is EpochBound.LOADER else 0.0, row.key.batch_size

    return max(found, key=weight)
