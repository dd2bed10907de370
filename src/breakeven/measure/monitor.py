"""What disturbed a case while it was timed: the machine before and after its rounds, and the flags from it.

Owns the reading of the host's and the GPU's state around the timed rounds, and the evidence for
``contended``, ``throttled``, ``clock`` and ``shared_gpu``. Never reads anything inside a round. What
cannot be read gives no flag, and says why.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from breakeven.hardware.devices import Device
from breakeven.hardware.nvml import THROTTLING, gpu_state

try:
    import resource
except ImportError:  # Windows counts no involuntary switches
    resource = None  # type: ignore[assignment]

Evidence = dict[str, dict[str, Any]]

MIN_SHARE = 0.9
"""The main thread of a CPU case computes all the time; with less of a core, somebody else had it."""

MAX_SWITCHES_PER_S = 50.0
"""A quiet machine interrupts a computing thread 10 to 20 times a second, a busy neighbor 100 and more."""

MIN_SWITCHES = 3
SHORTEST_S = 1e-3
CLOCK_CHANGE = 0.05
"""GPU clocks that differ by more before and after the rounds were not the same clocks throughout."""


@dataclass(frozen=True)
class Moment:
    """The machine at one moment: the clock, what this thread and process have used, and the GPU."""

    wall_s: float
    thread_s: float
    involuntary_switches: int | None
    load_average: float | None
    gpu: dict[str, Any] | None


def observe(device: Device, clock: Callable[[], float]) -> Moment:
    """Read the machine's state now."""
    return Moment(
        wall_s=clock(),
        thread_s=time.thread_time(),
        involuntary_switches=None if resource is None else resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw,
        load_average=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        gpu=gpu_state(device.torch_device) if device.torch_device.type == "cuda" else None,
    )


def state_between(before: Moment, after: Moment) -> dict[str, Any]:
    """Return what stands under ``state`` in a case's ``extra_info``: plain values, unknown ones null."""
    wall_s = after.wall_s - before.wall_s
    switches = None
    if before.involuntary_switches is not None and after.involuntary_switches is not None:
        switches = after.involuntary_switches - before.involuntary_switches
    return {
        "wall_s": wall_s,
        "main_thread_share": (after.thread_s - before.thread_s) / wall_s if wall_s > 0 else None,
        "involuntary_switches": switches,
        "load_average": [before.load_average, after.load_average],
        "gpu_before": before.gpu,
        "gpu_after": after.gpu,
    }


def evidence_of(state: dict[str, Any], *, is_accelerator: bool) -> Evidence:
    """Return the flags that the state around the rounds gives reason for, each with that reason.

    On an accelerator the host may sleep while it waits, so its share of a core says nothing there.
    """
    found: Evidence = {}
    contended = _contended(state, is_accelerator)
    if contended:
        found["contended"] = contended
    before, after = state["gpu_before"] or {}, state["gpu_after"] or {}
    reasons = {*(before.get("event_reasons") or ()), *(after.get("event_reasons") or ())}
    throttling = sorted(reasons & set(THROTTLING))
    if throttling:
        found["throttled"] = {"event_reasons": throttling}
    clocks = [before.get("sm_clock_mhz") or 0, after.get("sm_clock_mhz") or 0]
    if all(clocks) and abs(clocks[1] / clocks[0] - 1) > CLOCK_CHANGE:
        found["clock"] = {"sm_clock_mhz": clocks}
    others = max(before.get("other_processes") or 0, after.get("other_processes") or 0)
    if others:
        found["shared_gpu"] = {"other_processes": others}
    return found


def _contended(state: dict[str, Any], is_accelerator: bool) -> dict[str, Any]:
    wall_s, share, switches = state["wall_s"], state["main_thread_share"], state["involuntary_switches"]
    if wall_s < SHORTEST_S:
        return {}
    reasons: dict[str, Any] = {}
    if not is_accelerator and share is not None and share < MIN_SHARE:
        reasons["main_thread_share"] = share
    if switches is not None and switches >= MIN_SWITCHES and switches / wall_s > MAX_SWITCHES_PER_S:
        reasons["involuntary_switches_per_s"] = switches / wall_s
    return reasons
