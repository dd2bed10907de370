"""One timed round of a phase.

A round is: prepare, synchronize, read the clock, run, synchronize, read the clock. The round of a loop runs
several steps, and its time is that of one step. pytest-benchmark times the rounds that are recorded with the
same `Round`: `setup`, then `run` between two readings of its clock.

Of a workload with several batches each round has each of them equally often, so that rounds are alike: the
steps of a loop are a multiple of what makes a whole cycle, and a round of another phase is a `CycleRound`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from breakeven.hardware.device import Device
from breakeven.measure.skips import Deadline
from breakeven.measure.trainer import Trainer
from breakeven.phases import Phase

Clock = Callable[[], float]

CLOCK: Clock = time.perf_counter
"""Wall time, in seconds: the same quantity on every device."""

MAX_LOOP_STEPS = 1000
"""The maximum number of steps in a loop's round."""


class Round:
    """One timed call of a phase: `setup` untimed, `run` timed; both end synchronized.

    `before_setup` is called before the phase is prepared, untimed too. `clock`, read before and after `run`,
    shows its time; None for any clock.

    Args:
        phase: what is timed.
        trainer: runs it.
        steps: how often `run` repeats the phase before its one synchronization.
        deadline: no round starts after it.
        clock: seconds; it times what only this process can.
    """

    def __init__(
        self,
        phase: Phase,
        trainer: Trainer,
        steps: int = 1,
        deadline: Deadline | None = None,
        clock: Clock = CLOCK,
    ) -> None:
        self.phase = phase
        self.trainer = trainer
        self.steps = steps
        self.deadline = deadline
        self.cycle = trainer.cycle(phase)
        self.own_clock = clock
        self._prepared_steps = steps
        self.synchronize = trainer.device.synchronize
        self.clock = trainer.round_clock
        self.before_setup: Callable[[], object] | None = None

    @property
    def max_steps(self) -> int:
        """The maximum number of steps in a round."""
        return 1 if self.trainer.repeats_one_step else MAX_LOOP_STEPS

    def of(self, steps: int) -> Round:
        """Return the round with another number of steps; one with every batch where it is not a loop."""
        kind = Round if self.phase.is_loop or self.cycle == 1 else CycleRound
        return kind(self.phase, self.trainer, steps, self.deadline, self.own_clock)

    def setup(self) -> None:
        """Prepare the phase, and wait until the device is idle.

        Raises:
            CaseTimeout: the deadline has passed.
        """
        if self.deadline is not None:
            self.deadline.check()
        if self.before_setup is not None:
            self.before_setup()
        self.trainer.prepare(self.phase, self._prepared_steps)
        self.synchronize()

    def run(self) -> None:
        """Run the phase and wait for it. Returns None, so that pytest-benchmark keeps no result alive."""
        self.trainer.run(self.phase, self.steps)
        self.synchronize()


class CycleRound(Round):
    """One round of a phase that is not a loop, over all batches: its time is the mean of theirs.

    The phase is prepared and timed for each batch in turn, so `clock` shows the mean of these times.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._prepared_steps = self.cycle
        self._read = self.clock or self.own_clock
        self._shown_s = 0.0
        self.clock = lambda: self._shown_s

    def run(self) -> None:
        """Run the phase on each batch, prepared before and waited for after.

        Raises:
            CaseTimeout: the deadline has passed.
        """
        timed_s = 0.0
        for index in range(self.cycle):
            if index:
                if self.deadline is not None:
                    self.deadline.check()
                self.trainer.prepare(self.phase, 0)
                self.synchronize()
            start = self._read()
            super().run()
            timed_s += self._read() - start
        self._shown_s += timed_s / self.cycle


@dataclass(frozen=True)
class Timed:
    """The seconds of one round: its preparation (not part of results), and one of its `steps`."""

    prepare_s: float
    latency_s: float
    steps: int = 1

    @property
    def total_s(self) -> float:
        """The total time of the round."""
        return self.round_s(self.steps)

    def round_s(self, steps: int) -> float:
        """Return the total time of a round of that many steps."""
        return self.prepare_s + steps * self.latency_s


def time_round(round_: Round, clock: Clock = CLOCK) -> Timed:
    """Do one round."""
    begin = clock()
    round_.setup()
    read = round_.clock or clock
    start = read()
    round_.run()
    timed_s = read() - start
    prepare_s = max(0.0, clock() - begin - timed_s)  # some of which may come in between
    return Timed(prepare_s, timed_s / round_.steps, round_.steps)


def time_once(work: Callable[[], object], device: Device, clock: Clock = CLOCK) -> float:
    """Return the seconds of work that happens once, synchronized before and after."""
    device.synchronize()
    start = clock()
    work()
    device.synchronize()
    return clock() - start
