"""On a CPU the phases add up to the whole training step, to within a few percent.

A real model is timed with a real clock. Each repetition times the whole step, each part of it, and the whole
step again. How much the two series of the same step differ is the noise of the machine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from breakeven.collector import collection_off
from breakeven.doctor.selftests.suite import Check
from breakeven.hardware.devices import Cpu
from breakeven.measure.parts import host_events, part_seconds
from breakeven.measure.timing import CLOCK, Clock, Round, time_round
from breakeven.measure.trainer import Trainer
from breakeven.measure.warmup import MAD_TO_SIGMA, MEDIAN_INFLATION
from breakeven.measure.workload import build, mlp
from breakeven.phases import STEP_PARTS, Phase, find_phase

NAME = "sum of the phases compared with the whole step, cpu@1"
MAX_QUIET_RESIDUAL = 0.03
"""The residual that is allowed on a quiet machine."""

MAX_NOISY_RESIDUAL = 0.05
"""The residual that is allowed at most; above it the check fails, however noisy the machine is."""

ERRORS = 3.0
"""A residual of up to this many standard errors may be noise."""

MAX_ATTEMPTS = 3
CONTENDED = 0.02
"""An attempt that lost at least this share of its time to other processes is repeated."""

MIN_REPETITIONS, MAX_REPETITIONS = 12, 60
ROUNDS, LEAD_IN = 20, 5


@dataclass(frozen=True)
class Repetition:
    """The sum of the parts' medians, and the medians of the whole step before and after them, in seconds."""

    parts_s: float
    before_s: float
    after_s: float

    @property
    def residual(self) -> float:
        """The difference between the sum and the whole step, relative to the step."""
        return 2 * self.parts_s / (self.before_s + self.after_s) - 1

    @property
    def difference(self) -> float:
        """The difference between the two series of the same step, relative to the first."""
        return self.after_s / self.before_s - 1


@dataclass(frozen=True)
class Attempt:
    """The repetitions, at least one, and the share of their time that other processes took."""

    repetitions: Sequence[Repetition]
    lost: float

    @property
    def residual(self) -> float:
        """The size of the median residual."""
        return abs(median(each.residual for each in self.repetitions))

    @property
    def noise(self) -> float:
        """The standard error of the median difference of two series of the same step."""
        typical = median(abs(each.difference) for each in self.repetitions)
        return MEDIAN_INFLATION * MAD_TO_SIGMA * typical / math.sqrt(len(self.repetitions))

    @property
    def allowed(self) -> float:
        """The residual that the noise explains, at least 3% and at most 5%."""
        return min(MAX_NOISY_RESIDUAL, max(MAX_QUIET_RESIDUAL, ERRORS * self.noise))


def additivity(attempt: Callable[[], Attempt] | None = None) -> list[Check]:
    """Return the check of the least disturbed of up to 3 attempts, whatever its result."""
    tried: list[Attempt] = []
    while not tried or (tried[-1].lost >= CONTENDED and len(tried) < MAX_ATTEMPTS):
        tried.append((attempt or time_phases)())
    best = min(tried, key=lambda attempt: attempt.lost)
    notes = [f"two series of the same step differ by {best.noise:.1%} (standard error)"]
    if len(tried) > 1:
        counted = f"attempt {tried.index(best) + 1} of {len(tried)}"
        notes.append(f"{counted}: other processes took {best.lost:.1%} of the core")
    return [Check(NAME, best.residual, at_most=best.allowed, note="; ".join(notes))]


def time_phases(new_trainer: Callable[[], Trainer] | None = None, clock: Clock = CLOCK) -> Attempt:
    """Repeat a new trainer's series until their noise explains no more than 3%, at most 60 times."""
    repetitions: list[Repetition] = []
    with Cpu(1).active(), collection_off(collect_first=True):
        wall, ran = time.perf_counter(), time.thread_time()
        while len(repetitions) < MIN_REPETITIONS or (
            len(repetitions) < MAX_REPETITIONS
            and Attempt(repetitions, 0.0).noise > MAX_QUIET_RESIDUAL / ERRORS
        ):
            repetitions.append(_repetition((new_trainer or _new_trainer)(), clock))
        lost = 1 - (time.thread_time() - ran) / (time.perf_counter() - wall)
    return Attempt(repetitions, lost)


def _new_trainer() -> Trainer:
    """Return a small perceptron, ready to be trained on one thread."""
    trainer = Trainer(build(lambda: mlp(64, width=128)), Cpu(1))
    trainer.start()
    return trainer


def _repetition(trainer: Trainer, clock: Clock) -> Repetition:
    before_s = _series(Phase.TRAIN, trainer, clock)
    parts_s = 0.0
    for part in STEP_PARTS:
        phase = find_phase(part)
        if phase is None:
            parts_s += part_seconds(Phase.TRAIN, trainer, host_events(clock), ROUNDS)[part]
        else:
            parts_s += _series(phase, trainer, clock)
    return Repetition(parts_s, before_s, _series(Phase.TRAIN, trainer, clock))


def _series(phase: Phase, trainer: Trainer, clock: Clock) -> float:
    trainer.release()  # a round finishes the step of the one before, which must be of the same phase
    round_ = Round(phase, trainer)
    taken = [time_round(round_, clock).latency_s for _ in range(LEAD_IN + ROUNDS)]
    return median(taken[LEAD_IN:])
