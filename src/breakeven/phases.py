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

FLOPS, BYTES = "FLOP/s", "B/s"

MAX_PROCESSES = 2
"""The maximum number of processes that time a phase other than the headline."""


class Phase(StrEnum):
    """A timed part of training.

    `parts` are the consecutive parts of a training step that are timed. `rate` is the unit of the counted
    work. `is_compared` is whether a speedup is meaningful: `transfer` does nothing on a CPU. `is_loop` is
    whether a round repeats the parts with one synchronization after the last, as a training loop does.
    `is_default` is whether the phase is timed where none is named. `needs_processes` is whether only devices
    of several processes have it: without their communication, training does something else.
    """

    parts: tuple[str, ...]
    rate: str
    is_compared: bool
    is_loop: bool
    is_default: bool
    needs_processes: bool

    def __new__(
        cls,
        name: str,
        parts: tuple[str, ...],
        rate: str,
        is_compared: bool = True,
        is_loop: bool = False,
        is_default: bool = True,
        needs_processes: bool = False,
    ) -> Self:
        """Create a phase from its name and its properties."""
        phase = str.__new__(cls, name)
        phase._value_ = name
        phase.parts, phase.rate, phase.is_compared = parts, rate, is_compared
        phase.is_loop, phase.is_default = is_loop, is_default
        phase.needs_processes = needs_processes
        return phase

    TRANSFER = "transfer", ("transfer",), BYTES, False
    FORWARD = "forward", ("forward",), FLOPS
    BACKWARD = "backward", ("backward",), FLOPS
    STEP = "step", ("step",), BYTES
    TRAIN = "train", STEP_PARTS, FLOPS, True, True
    TRAIN_SYNC = "train_sync", STEP_PARTS, FLOPS, True, False, False
    TRAIN_NO_SYNC = "train_no_sync", STEP_PARTS, FLOPS, False, True, False, True

    def processes(self, processes: int) -> int:
        """Return how many of a run's processes time this phase: the headline all, most others up to two.

        The headline carries the answer; the others explain it. What is compared with the headline process by
        process takes as many.
        """
        return processes if self is Phase.TRAIN or self.needs_processes else min(processes, MAX_PROCESSES)

    @property
    def before(self) -> tuple[str, ...]:
        """The parts of a step before this phase."""
        return STEP_PARTS[: STEP_PARTS.index(self.parts[0])]

    @property
    def after(self) -> tuple[str, ...]:
        """The parts of a step after this phase."""
        return STEP_PARTS[STEP_PARTS.index(self.parts[-1]) + 1 :]

    @property
    def takes_steps(self) -> bool:
        """Whether a round of it takes a whole step, its preparation included: all but a copy alone do."""
        return bool(self.before) or len(self.parts) > 1

    @property
    def passes(self) -> tuple[str, ...]:
        """The passes in it whose floating point operations are counted."""
        return tuple(part for part in self.parts if part in ("forward", "backward"))


HEADLINE = Phase.TRAIN
"""The phase that a verdict is about, if it was measured. Its cases are never skipped to save time."""

COMPARED = (HEADLINE, *(phase for phase in Phase if phase.is_compared and phase is not HEADLINE))
"""The phases with a speedup, the headline first."""

WHOLE_STEPS = tuple(phase for phase in Phase if phase.parts == STEP_PARTS)
"""The phases that time every part of a step; the others are parts of it."""


def find_phase(name: str) -> Phase | None:
    """Return the phase of that name, None for a phase of a newer breakeven."""
    return Phase._value2member_map_.get(name)  # type: ignore[return-value]


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
