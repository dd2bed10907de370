"""Which part of training is timed: a registry of phases, each a `prepare` and a `run`.

Owns the order of the parts of a training step. Refuses to synchronize and to time: `rounds` puts a
synchronization behind every `prepare` and every `run`. A new phase is one entry in `PHASES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import methodcaller

import breakeven.phases
from breakeven.errors import UsageError
from breakeven.measure.trainer import Trainer

Verb = Callable[[Trainer], None]


Part = tuple[str, Verb]

_VERBS: dict[str, Verb] = {
    "transfer": methodcaller("move_batch"),
    "zero_grad": methodcaller("zero_grad"),
    "forward": methodcaller("compute_loss"),
    "backward": methodcaller("backward"),
    "step": methodcaller("step"),
}
"""The parts of a training step; by name, since captured graphs do them in another way."""


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


def _parts(names: Sequence[str]) -> tuple[Part, ...]:
    return tuple((name, _VERBS[name]) for name in names)


PHASES: dict[str, Phase] = {
    phase.value: Phase(phase.value, _parts(phase.parts), _parts(phase.before), _parts(phase.after))
    for phase in breakeven.phases.Phase
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
