"""Which part of training is timed: a registry of phases, each a `prepare` and a `run`.

Owns the order of the parts of a training step. Refuses to synchronize and to time: `rounds` puts a
synchronization behind every `prepare` and every `run`. A new phase is one entry in `PHASES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import methodcaller

from breakeven.errors import UsageError
from breakeven.measure.trainer import Trainer

Verb = Callable[[Trainer], None]


Part = tuple[str, Verb]

STEP: tuple[Part, ...] = (
    ("transfer", methodcaller("move_batch")),
    ("zero_grad", methodcaller("zero_grad")),
    ("forward", methodcaller("compute_loss")),
    ("backward", methodcaller("backward")),
    ("step", methodcaller("step")),
)
"""A whole training step, part after part; by name, since recorded graphs do them in another way."""


@dataclass(frozen=True)
class Phase:
    """A timed part of training.

    `prepare` (untimed) brings the state to where the phase begins. `run` is timed, and is the sequence of
    `parts`, whose borders marks can tell apart. `before` are the parts of the step that come first, `after`
    those that are left.
    """

    name: str
    parts: tuple[Part, ...]
    before: tuple[Part, ...] = ()
    after: tuple[Part, ...] = ()

    def prepare(self, trainer: Trainer) -> None:
        """Finish the last round's training step, let go of what it made, and begin the next one.

        The step is really finished, since a phase that ran alone in a loop would find its weights and its
        code in the cache: a forward pass then reads up to 30% less than it takes in training.
        """
        if trainer.loss is not None:
            for _, part in self.after:
                part(trainer)
        trainer.release()
        for _, part in self.before:
            part(trainer)

    def run(self, trainer: Trainer) -> None:
        """Do the phase's parts, one after the other."""
        for _, part in self.parts:
            part(trainer)


def _part_of_step(name: str) -> Phase:
    at = [part for part, _ in STEP].index(name)
    return Phase(name, STEP[at : at + 1], STEP[:at], STEP[at + 1 :])


PHASES: dict[str, Phase] = {
    phase.name: phase
    for phase in (
        Phase("transfer", STEP[:1]),
        _part_of_step("forward"),
        _part_of_step("backward"),
        _part_of_step("step"),
        Phase("train", STEP),
    )
}


def parse_phases(names: Sequence[str]) -> tuple[Phase, ...]:
    """Return the phases of those names, in the order of a training step; all of them for no names.

    Raises:
        UsageError: a name is unknown, or given twice.
    """
    for name in names:
        if name not in PHASES:
            raise UsageError(f"unknown phase {name!r}; choose from {', '.join(PHASES)}")
        if list(names).count(name) > 1:
            raise UsageError(f"phase {name!r} is named twice; name each phase once")
    return tuple(phase for phase in PHASES.values() if not names or phase.name in names)
