"""The canary: a fixed small piece of work, timed at the start, the middle and the end of a run.

If it moves, the machine moved, not the code that was measured. It is ours and must never change: runs of
years ago are held against it.
"""

from __future__ import annotations

from statistics import median
from typing import Any

import torch

from breakeven.measuring.devices import Device
from breakeven.measuring.rounds import CLOCK, Clock, collection_off, time_once

SIDE = 128
PRODUCTS = 4
ROUNDS = 21
WARMUP_ROUNDS = 10


def sing(device: Device, clock: Clock = CLOCK) -> dict[str, Any]:
    """Return ``median_s, low_s, high_s, n`` of the canary on a device, in seconds.

    The work is four products of float32 matrices of side 128, each followed by tanh. `low_s` and `high_s`
    are the 6th and the 16th of 21 sorted times, a 97% interval of the median.
    """
    with device.active(), collection_off():
        weights = torch.linspace(-1, 1, SIDE * SIDE).reshape(SIDE, SIDE).to(device.torch_device)

        def work() -> torch.Tensor:
            value = weights
            for _ in range(PRODUCTS):
                value = torch.tanh(value @ weights)
            return value

        for _ in range(WARMUP_ROUNDS):
            time_once(work, device, clock)
        times = sorted(time_once(work, device, clock) for _ in range(ROUNDS))
    return {"median_s": median(times), "low_s": times[5], "high_s": times[15], "n": ROUNDS}
