"""Disturbances of a case: the machine's state before, between and after its rounds, and the resulting flags.

Nothing is read inside a round. A value that cannot be read sets no flag.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from breakeven.flags import Flag
from breakeven.hardware.devices import Device
from breakeven.hardware.nvml import THROTTLING

try:
    import resource  # psutil counts the switches of the main thread alone
except ImportError:  # Windows does not count involuntary switches
    resource = None  # type: ignore[assignment]

Evidence = dict[str, dict[str, Any]]

MIN_SHARE = 0.9
"""The main thread of a CPU case always computes; if it got less of a core, another program used it."""

MAX_SWITCHES_PER_S = 50.0
"""Interruptions of a computing thread per second: 10 to 20 on a quiet machine, 100 or more on a busy one."""

MIN_SWITCHES = 3
MIN_WALL_S = 1e-3
CLOCK_CHANGE = 0.05
"""The maximum relative difference of GPU clocks before, between and after the rounds."""

SAMPLE_S = 0.25
"""The minimum seconds between two samples: reading one takes up to a few milliseconds."""


@dataclass(frozen=True)
class Snapshot:
    """The machine at one moment: the clock, the CPU time of this thread and process, and the GPU."""

    wall_s: float
    thread_s: float
    involuntary_switches: int | None
    load_average: float | None
    gpu: dict[str, Any] | None


def snapshot(device: Device, clock: Callable[[], float]) -> Snapshot:
    """Read the machine's state now."""
    return Snapshot(
        wall_s=clock(),
        thread_s=time.thread_time(),
        involuntary_switches=None if resource is None else resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw,
        load_average=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        gpu=device.state(),
    )


class Sampler:
    """Samples an accelerator between rounds; called before each, it reads at most every `SAMPLE_S` seconds.

    `samples` has a list of values by name, and ``t_s``, the seconds since the sampler was made.
    """

    def __init__(self, device: Device, clock: Callable[[], float]) -> None:
        self.samples: dict[str, list[Any]] = {}
        self._device = device
        self._clock = clock
        self._start_s = clock()
        self._next_s = self._start_s if device.is_accelerator else math.inf

    def __call__(self) -> None:
        """Take a sample if one is due; a device that gives none is not asked again."""
        now = self._clock()
        if now < self._next_s:
            return
        sample = self._device.sample()
        self._next_s = math.inf if sample is None else now + SAMPLE_S
        for name, value in ({} if sample is None else {"t_s": now - self._start_s, **sample}).items():
            self.samples.setdefault(name, []).append(value)


def state_between(
    before: Snapshot, after: Snapshot, samples: Mapping[str, list[Any]] | None = None
) -> dict[str, Any]:
    """Return the ``state`` of a case's ``extra_info``: plain values, None if unknown.

    Args:
        before: the machine right before the rounds.
        after: right after them.
        samples: what a `Sampler` read between them; without any, the state has no ``samples``.
    """
    wall_s = after.wall_s - before.wall_s
    counts = before.involuntary_switches, after.involuntary_switches
    return {
        "wall_s": wall_s,
        "main_thread_share": (after.thread_s - before.thread_s) / wall_s if wall_s > 0 else None,
        "involuntary_switches": None if counts[0] is None or counts[1] is None else counts[1] - counts[0],
        "load_average": [before.load_average, after.load_average],
        "gpu_before": before.gpu,
        "gpu_after": after.gpu,
        **({"samples": samples} if samples else {}),
    }


def evidence_of(state: dict[str, Any], *, is_accelerator: bool) -> Evidence:
    """Return the flags that follow from the state around the rounds, each with its reason.

    On an accelerator the host may sleep while it waits, so its share of a core means nothing.
    """
    found: Evidence = {}
    contended = _contended(state, is_accelerator)
    if contended:
        found[Flag.CONTENDED.value] = contended
    before, after, samples = state["gpu_before"] or {}, state["gpu_after"] or {}, state.get("samples", {})

    def seen(name: str) -> list[Any]:
        values = (before.get(name), *samples.get(name, ()), after.get(name))
        return [value for value in values if value]

    throttling = sorted(set(chain(*seen("event_reasons"))) & set(THROTTLING))
    if throttling:
        found[Flag.THROTTLED.value] = {"event_reasons": throttling}
    clocks = seen("sm_clock_mhz")
    if clocks and max(clocks) / min(clocks) - 1 > CLOCK_CHANGE:
        found[Flag.CLOCK.value] = {"sm_clock_mhz": [min(clocks), max(clocks)]}
    others = max(before.get("other_processes") or 0, after.get("other_processes") or 0)
    if others:
        found[Flag.SHARED_GPU.value] = {"other_processes": others}
    return found


def _contended(state: dict[str, Any], is_accelerator: bool) -> dict[str, Any]:
    wall_s, share, switches = state["wall_s"], state["main_thread_share"], state["involuntary_switches"]
    if wall_s < MIN_WALL_S:
        return {}
    reasons: dict[str, Any] = {}
    if not is_accelerator and share is not None and share < MIN_SHARE:
        reasons["main_thread_share"] = share
    if switches is not None and switches >= MIN_SWITCHES and switches / wall_s > MAX_SWITCHES_PER_S:
        reasons["involuntary_switches_per_s"] = switches / wall_s
    return reasons
