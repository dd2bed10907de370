"""The canary: a fixed small piece of work, timed at the start, the middle and the end of a run.

If its time changes, the machine changed, not the measured code. The work itself must never change, because
old runs are compared by it.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

import torch

from breakeven.collector import collection_off
from breakeven.hardware.device import Device
from breakeven.measure.timing import CLOCK, Clock, time_once

SIDE = 128
PRODUCTS = 4
ROUNDS = 21
WARMUP_ROUNDS = 10
MAX_S = 0.3
"""If threads spin for each other a round takes 100 ms; the canary then ends after `MIN_ROUNDS`."""

MIN_ROUNDS = 6


def run_canary(device: Device, clock: Clock = CLOCK) -> dict[str, Any]:
    """Return ``median_s, low_s, high_s, n`` of the canary on a device, in seconds.

    The work is four products of float32 matrices of side 128, each followed by tanh. `low_s` and `high_s`
    are the 6th and the 16th of 21 sorted times, a 97% interval of the median; with fewer rounds, the
    extremes.
    """
    with device.active(), collection_off(collect_first=True):
        work = canary_work(device)
        _times(work, device, clock, WARMUP_ROUNDS)
        times = sorted(_times(work, device, clock, ROUNDS))
    skipped = 5 if len(times) == ROUNDS else 0
    return {
        "median_s": median(times),
        "low_s": times[skipped],
        "high_s": times[-1 - skipped],
        "n": len(times),
    }


def canary_work(device: Device) -> Callable[[], torch.Tensor]:
    """Return a function that does the work once on a device."""
    weights = torch.linspace(-1, 1, SIDE * SIDE).reshape(SIDE, SIDE).to(device.torch_device)

    def work() -> torch.Tensor:
        value = weights
        for _ in range(PRODUCTS):
            value = torch.tanh(value @ weights)
        return value

    return work


def _times(work: Callable[[], object], device: Device, clock: Clock, max_rounds: int) -> list[float]:
    """Return the seconds of up to `max_rounds` rounds, fewer if they take longer than `MAX_S`."""
    times: list[float] = []
    while len(times) < max_rounds and (len(times) < MIN_ROUNDS or sum(times) < MAX_S):
        times.append(time_once(work, device, clock))
    return times
