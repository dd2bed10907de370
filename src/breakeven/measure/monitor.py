"""Disturbances of a case: the machine's state around and between its rounds, its numbers, and the flags.

Nothing is read inside a round. A value that cannot be read sets no flag.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from breakeven.flags import Flag
from breakeven.hardware.device import Device
from breakeven.hardware.load import cpu_times, crowded_out, load_average, usable_cores
from breakeven.hardware.nvml import THROTTLING

Evidence = dict[str, dict[str, Any]]

MAX_LOST = 0.1
"""A case is contended if it lost more CPU time to others than this share of one core.

With several threads too: one thread that waits for its core delays all of them.
"""

MIN_WALL_S = 1e-3
CLOCK_CHANGE = 0.05
"""The maximum relative difference of GPU clocks before, between and after the rounds."""

SAMPLE_S = 0.25
"""The minimum seconds between two samples: reading one takes up to a few milliseconds."""

MIN_SUBNORMAL = 1e-3
"""The minimum share of subnormal numbers. A share of 5% doubles the time of a step of Adam on a CPU."""

_CHUNK = 1 << 22
"""Values that are searched at once: a temporary copy of a whole tensor might not fit into the memory."""


@dataclass(frozen=True)
class Snapshot:
    """The machine at one moment: the clock, CPU times, and the GPU.

    Seconds since some start: `thread_s` in which the main thread ran, `waited_s` in which it was ready to run
    but had no core (only Linux counts them), `process_s` of all threads that work for the device, `busy_s` of
    all programs on the CPUs that this process may use, `stolen_s` that the hypervisor took from these CPUs.
    The last two are known to within `counter_error_s`. `cores` are the physical cores among these CPUs,
    `threads` the threads that compute at the same time.
    """

    wall_s: float
    thread_s: float
    waited_s: float | None
    process_s: float
    busy_s: float | None
    stolen_s: float | None
    counter_error_s: float
    cores: int
    threads: int
    load_average: float | None
    gpu: dict[str, Any] | None


def snapshot(device: Device) -> Snapshot:
    """Read the machine's state now."""
    times, load = cpu_times(), load_average()
    return Snapshot(
        wall_s=time.perf_counter(),
        thread_s=time.thread_time(),
        waited_s=_waited_s(),
        process_s=device.process_s(),
        busy_s=times.busy_s,
        stolen_s=times.stolen_s,
        counter_error_s=times.error_s,
        cores=usable_cores(),
        # An accelerator's host queues from one thread at a time: its own, or autograd's.
        threads=device.processes * (1 if device.is_accelerator else device.threads),
        load_average=None if load is None else load[0],
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
    before: Snapshot,
    after: Snapshot,
    warming_up: Snapshot | None = None,
    samples: Mapping[str, list[Any]] | None = None,
) -> dict[str, Any]:
    """Return the ``state`` of a case's ``extra_info``: plain values, None if unknown.

    Args:
        before: the machine right before the rounds.
        after: the machine right after them.
        warming_up: the machine before the warm-up. CPU times are counted from there, because rounds of a few
            milliseconds are shorter than the steps of the system's counters.
        samples: what a `Sampler` read between the rounds; without any, the state has no ``samples``.
    """
    since = warming_up or before
    wall_s = after.wall_s - before.wall_s
    process_s = after.process_s - since.process_s
    busy_s = _difference(since.busy_s, after.busy_s)
    # Some containers see counters that never advance.
    is_counting = busy_s is not None and busy_s >= process_s - after.counter_error_s
    return {
        "wall_s": wall_s,
        "main_thread_share": (after.thread_s - before.thread_s) / wall_s if wall_s > 0 else None,
        "main_thread_waited_s": _difference(before.waited_s, after.waited_s),
        "load_wall_s": after.wall_s - since.wall_s,
        "process_s": process_s,
        "foreign_s": max(0.0, busy_s - process_s) if busy_s is not None and is_counting else None,
        "stolen_s": _difference(since.stolen_s, after.stolen_s) if is_counting else None,
        "counter_error_s": after.counter_error_s,
        "cores": after.cores,
        "threads": after.threads,
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


def subnormal_evidence(tensors: Iterable[torch.Tensor]) -> Evidence:
    """Return the flag `subnormal` if many of the values are subnormal numbers, with their count and share.

    float16 is not counted: it is computed in float32, where its subnormal numbers are normal ones.
    """
    counts: list[torch.Tensor] = []
    total = 0
    for tensor in tensors:
        if tensor.layout is torch.strided and tensor.dtype in (torch.float32, torch.float64, torch.bfloat16):
            counts += _subnormal_counts(tensor.detach())
            total += tensor.numel()
    count = sum(int(each) for each in counts)
    if total == 0 or count < MIN_SUBNORMAL * total:
        return {}
    return {Flag.SUBNORMAL.value: {"values": count, "share": count / total}}


def _subnormal_counts(tensor: torch.Tensor) -> list[torch.Tensor]:
    """Return the counts of its parts, still on the device, so that nothing waits for each."""
    if tensor.numel() == 0:
        return []
    rows = tensor.reshape(1) if tensor.ndim == 0 else tensor
    tiny = torch.finfo(tensor.dtype).tiny
    parts = torch.split(rows, max(1, _CHUNK * len(rows) // tensor.numel()))
    return [((part != 0) & (part.abs() < tiny)).sum() for part in parts]


def _contended(state: dict[str, Any], is_accelerator: bool) -> dict[str, Any]:
    wall_s, load_wall_s, waited_s = state["wall_s"], state["load_wall_s"], state["main_thread_waited_s"]
    if wall_s < MIN_WALL_S:
        return {}
    stolen_s, error_s = state["stolen_s"] or 0.0, state["counter_error_s"]
    foreign_s = math.inf if state["foreign_s"] is None else state["foreign_s"]
    reasons: dict[str, Any] = {}
    if not is_accelerator:
        idle_s = (1 - state["main_thread_share"]) * wall_s if waited_s is None else waited_s
        # It may also sleep until its other threads are done, or wait for a core that one of them uses.
        lost_s = min(idle_s, foreign_s + stolen_s + error_s)
        if lost_s > MAX_LOST * wall_s:
            reasons["main_thread_lost"] = lost_s / wall_s
    if math.isfinite(foreign_s):
        foreign, own = foreign_s / load_wall_s, state["process_s"] / load_wall_s
        crowded = crowded_out(foreign, state["threads"], state["cores"])
        if state["threads"] == 1 and waited_s is not None and not is_accelerator:
            crowded = 0.0  # how long the only thread waited is known: it may also have slept
        # The threads lose it only while they have work: a small model keeps one of sixteen busy.
        left = min(state["threads"], state["cores"]) - crowded
        lost = crowded * (1.0 if own >= left else own / left) + stolen_s / load_wall_s
        if lost - error_s / load_wall_s > MAX_LOST:
            reasons |= {"lost_cores": lost, "foreign_cores": foreign, "stolen_cores": stolen_s / load_wall_s}
    return reasons


def _waited_s() -> float | None:
    try:
        ran_ns, waited_ns, _ = Path("/proc/thread-self/schedstat").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return int(waited_ns) / 1e9 if int(ran_ns) else None  # kernels that do not count write zeros


def _difference(before: Any, after: Any) -> Any:
    return None if before is None or after is None else after - before
