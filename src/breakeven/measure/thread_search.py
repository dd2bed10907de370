"""The number of CPU threads that is the fastest for a cell, for ``cpu@best``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from breakeven.case import Cell
from breakeven.hardware.devices import BestCpu
from breakeven.measure.timing import Clock, Round, time_round
from breakeven.measure.trainer import Trainer
from breakeven.measure.workload import Workload
from breakeven.phases import HEADLINE

MAX_STEPS_EACH = 5
"""The steps of one number of threads; the fastest counts, so the first ones warm up."""

MAX_EACH_S = 0.5
"""The time after which a number of threads has no more steps; it has at least one."""

CLEARLY_SLOWER = 1.5
"""A number of threads that takes this many times the fastest step ends the search."""


class ThreadSearch:
    """Finds the fastest number of threads of each cell once; `chosen` has what was found."""

    def __init__(self, clock: Clock) -> None:
        self.chosen: dict[Cell, int] = {}
        self._clock = clock

    def adopt(self, cell: Cell, threads: int | None) -> None:
        """Use the number of threads that an earlier process of the run found."""
        if threads is not None:
            self.chosen.setdefault(cell, threads)

    def threads(self, cell: Cell, device: BestCpu, workload: Workload) -> int:
        """Return the number of threads for a cell; torch's default if its training step fails."""
        if cell not in self.chosen:
            try:
                self.chosen[cell] = fastest_threads(device, self._stepper(device, workload))
            except Exception:  # raised again in the cases that run the step, and reported there
                self.chosen[cell] = device.threads
        return self.chosen[cell]

    def _stepper(self, device: BestCpu, workload: Workload) -> Callable[[], float]:
        """Return a function that does one eager training step and returns its seconds.

        Compiled code contains its number of threads, so trying several would compile several times.
        """
        trainer = Trainer(replace(workload, compile=False), device)
        trainer.start()
        round_ = Round(HEADLINE, trainer, trainer.cycle(HEADLINE))
        return lambda: time_round(round_, self._clock).latency_s


def fastest_threads(device: BestCpu, step: Callable[[], float]) -> int:
    """Return the fastest of the device's candidates, by the fastest of a few steps on each.

    They are tried from torch's default downward and then upward, each way until one is clearly slower than
    the fastest: a large step takes minutes on one of many threads. A step before them keeps the cost of the
    first call out of the comparison.
    """

    def step_s(threads: int) -> float:
        with device.with_threads(threads), device.active():
            return _fastest_step(step)

    usual, candidates = device.threads, device.candidates()
    with device.active():
        step()
    best, best_s = usual, step_s(usual)
    fewer = [threads for threads in reversed(candidates) if threads < usual]
    for others in (fewer, [threads for threads in candidates if threads > usual]):
        for threads in others:
            seconds = step_s(threads)
            if seconds < best_s or (seconds == best_s and threads < best):
                best, best_s = threads, seconds
            elif seconds > CLEARLY_SLOWER * best_s:
                break
    return best


def _fastest_step(step: Callable[[], float]) -> float:
    times: list[float] = []
    while len(times) < MAX_STEPS_EACH and sum(times) < MAX_EACH_S:
        times.append(step())
    return min(times)
