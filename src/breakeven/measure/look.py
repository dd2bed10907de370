"""A look at the machine before the first case: how busy it is, and whether its threads hinder each other.

It takes about 0.6 s on an idle machine and up to 2 s on a busy one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from statistics import fmean, median

from breakeven.collector import collection_off
from breakeven.fitness import Load, Look, spins_while_waiting
from breakeven.hardware.device import Device
from breakeven.hardware.devices import Cpu
from breakeven.hardware.load import Wait, read_load, spinning
from breakeven.hardware.threads import default_threads, uses_openmp
from breakeven.measure.canary import canary_work
from breakeven.measure.timing import CLOCK, Clock, time_once

ONE_THREAD_S, ALL_THREADS_S = 0.05, 0.25
"""The seconds of the canary's rounds. Threads that spin stop for up to 150 ms, and then go on for as long."""

MIN_ROUNDS = 2
MAX_ROUNDS = 5000
"""Ends the rounds if the clock does not advance."""


def take_look(
    devices: Iterable[Device],
    read: Callable[[Wait], Load] = read_load,
    times: Callable[[Device, float], list[float]] | None = None,
) -> Look:
    """Look at the machine: other programs, and the canary on one and on all CPU threads.

    Args:
        devices: those to measure: no more threads than the largest number of theirs are looked at, nor more
            than torch's default.
        read: reads how busy the machine is, while threads spin.
        times: times the canary's rounds on a device, for that many seconds.
    """
    times = times or canary_times
    threads = min(default_threads(), max((device.threads for device in devices), default=1))
    load = read(spinning(threads))
    if threads == 1:
        return Look(load)
    one, every = times(Cpu(1), ONE_THREAD_S), times(Cpu(threads), ALL_THREADS_S)
    return Look(
        load,
        threads,
        one_thread_s=median(one),
        # What a round takes on average, because some take 0.1 ms and others 100 ms where threads spin; the
        # slowest does not count: it may have started the threads, and one stall says nothing.
        all_threads_s=fmean(sorted(every)[:-1]),
        spins=uses_openmp() and spins_while_waiting(os.environ),
    )


def canary_times(device: Device, seconds: float, clock: Clock = CLOCK) -> list[float]:
    """Return the seconds of the canary's rounds on a device, which end after about `seconds`."""
    found: list[float] = []
    with device.active(), collection_off():
        work = canary_work(device)
        while len(found) < MIN_ROUNDS or (sum(found) < seconds and len(found) < MAX_ROUNDS):
            found.append(time_once(work, device, clock))
    return found
