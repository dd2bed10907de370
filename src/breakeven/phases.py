"""The phases of training: the parts that each one times, the unit of its work, and how a report treats it.

A new phase is one entry in `Phase`: options, measuring, tables and figures follow. A run file may hold phases
that are not listed here; they are compared and shown under their own names.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Self

from breakeven.errors import UsageError

STEP_PARTS = ("transfer", "zero_grad", "forward", "backward", "step")
"""The parts of a training step in order; each is a method of `breakeven.measure.trainer.Trainer`."""

PASS_PARTS = ("transfer", "forward", "backward")
"""Those that each pass of a step repeats, where it accumulates the gradients of several batches."""

PASSES = {"forward": "forward", "backward": "backward", "infer": "infer"}
"""The parts with counted floating point operations, and the pass whose operations they have."""

FLOPS, BYTES = "FLOP/s", "B/s"

MAX_PROCESSES = 2
"""The maximum number of processes that time a phase which explains another one."""


class Trait(StrEnum):
    """A property that some phases have, on which options, measuring and reports depend."""

    DEFAULT = "timed where no phase is named"
    COMPARED = "a speedup is meaningful: `transfer` does nothing on a CPU, `load` is the same on each device"
    LOOP = "a round repeats the parts with one synchronization after the last, as a training loop does"
    ANSWER = "has a break-even of its own"
    SEVERAL = "only devices of several processes have it: without their communication"
    LOADED = "needs a workload with a loader"


class Phase(StrEnum):
    """A timed part of training.

    `parts` are the parts of a step that are timed, where a step has one pass. `rate` is the unit of the
    counted work. `traits` are its properties.
    """

    parts: tuple[str, ...]
    rate: str
    traits: frozenset[Trait]

    def __new__(cls, name: str, parts: tuple[str, ...], rate: str, *traits: Trait) -> Self:
        """Create a phase from its name and its properties."""
        phase = str.__new__(cls, name)
        phase._value_ = name
        phase.parts, phase.rate, phase.traits = parts, rate, frozenset(traits)
        return phase

    TRANSFER = "transfer", ("transfer",), BYTES, Trait.DEFAULT
    FORWARD = "forward", ("forward",), FLOPS, Trait.DEFAULT, Trait.COMPARED
    BACKWARD = "backward", ("backward",), FLOPS, Trait.DEFAULT, Trait.COMPARED
    STEP = "step", ("step",), BYTES, Trait.DEFAULT, Trait.COMPARED
    TRAIN = "train", STEP_PARTS, FLOPS, Trait.DEFAULT, Trait.COMPARED, Trait.LOOP, Trait.ANSWER
    TRAIN_SYNC = "train_sync", STEP_PARTS, FLOPS, Trait.COMPARED
    TRAIN_NO_SYNC = "train_no_sync", STEP_PARTS, FLOPS, Trait.LOOP, Trait.SEVERAL
    INFER = "infer", ("infer",), FLOPS, Trait.COMPARED, Trait.LOOP, Trait.ANSWER
    LOAD = "load", ("load",), BYTES, Trait.LOOP, Trait.LOADED
    EPOCH = "epoch", ("load", *STEP_PARTS), FLOPS, Trait.COMPARED, Trait.LOOP, Trait.ANSWER, Trait.LOADED

    @property
    def is_default(self) -> bool:
        """Whether it is timed where no phase is named."""
        return Trait.DEFAULT in self.traits

    @property
    def is_compared(self) -> bool:
        """Whether a speedup is meaningful."""
        return Trait.COMPARED in self.traits

    @property
    def is_loop(self) -> bool:
        """Whether a round repeats the parts with one synchronization after the last."""
        return Trait.LOOP in self.traits

    @property
    def is_answer(self) -> bool:
        """Whether it has a break-even of its own."""
        return Trait.ANSWER in self.traits

    @property
    def is_always_timed(self) -> bool:
        """Whether all processes of a run time it, and never skip it to save time.

        That is so for what has an answer, and for `load`, whose ratio to `train` shows what bounds an epoch:
        a slow loader would else be skipped where it matters.
        """
        return self.is_answer or self.needs_loader

    @property
    def needs_processes(self) -> bool:
        """Whether only devices of several processes have it."""
        return Trait.SEVERAL in self.traits

    @property
    def needs_loader(self) -> bool:
        """Whether only workloads with a loader have it."""
        return Trait.LOADED in self.traits

    def processes(self, processes: int) -> int:
        """Return how many of a run's processes time this phase: all, or up to two.

        What carries an answer takes all, and so does what is compared with the headline process by process;
        the others explain it.
        """
        takes_all = self.is_always_timed or self.needs_processes
        return processes if takes_all else min(processes, MAX_PROCESSES)

    @property
    def takes_steps(self) -> bool:
        """Whether a round of it takes a whole step, its preparation included."""
        return self not in (Phase.TRANSFER, Phase.INFER, Phase.LOAD)

    @property
    def passes(self) -> tuple[str, ...]:
        """The passes in it whose floating point operations are counted."""
        return tuple(PASSES[part] for part in self.parts if part in PASSES)


HEADLINE = Phase.TRAIN
"""The phase that a verdict is about, if it was measured."""

COMPARED = tuple(
    sorted(
        (phase for phase in Phase if phase.is_compared),
        key=lambda phase: (phase is not HEADLINE, not phase.is_answer),
    )
)
"""The phases with a speedup: the headline first, then those that have a break-even of their own."""

WHOLE_STEPS = tuple(phase for phase in Phase if phase.parts == STEP_PARTS)
"""The phases that time every part of a step; the others are parts of it."""


def find_phase(name: str) -> Phase | None:
    """Return the phase of that name, None for a phase of a newer breakeven."""
    return Phase._value2member_map_.get(name)  # type: ignore[return-value]


def is_loaded(name: str) -> bool:
    """Return whether a phase takes its batches from a loader, whose workers have noise of their own."""
    phase = find_phase(name)
    return phase is not None and phase.needs_loader


def parse_phase(name: str) -> Phase:
    """Return the phase of that name.

    Raises:
        UsageError: no phase has that name.
    """
    phase = find_phase(name)
    if phase is None:
        raise UsageError(f"unknown phase {name!r}; choose from {', '.join(Phase)}")
    return phase


def parse_phases(names: Sequence[str]) -> tuple[Phase, ...]:
    """Return the phases of those names, in the order of a training step; the default ones for no names.

    Raises:
        UsageError: a name is unknown, or given twice.
    """
    for name in names:
        if list(names).count(parse_phase(name)) > 1:
            raise UsageError(f"phase {name!r} is named twice; name each phase once")
    return tuple(phase for phase in Phase if (phase in names if names else phase.is_default))
