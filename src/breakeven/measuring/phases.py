"""Which part of training is timed: a registry of ``(prepare, run)`` pairs.

Owns the order of the parts of a training step. Refuses to synchronise and to time: `rounds` puts a
synchronisation behind every `prepare` and every `run`. A new phase is one entry in `PHASES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from breakeven.errors import UsageError
from breakeven.measuring.placement import Placed

Verb = Callable[[Placed], None]


@dataclass(frozen=True)
class Phase:
    """A timed part of training.

    `prepare` (untimed) brings the state to where the phase begins; `run` is timed, and is the
    sequence of `parts`, whose borders device events can mark; `trains` tells whether a round
    changes the weights, so that the next one sees another loss.
    """

    name: str
    prepare: Verb
    parts: tuple[tuple[str, Verb], ...]
    trains: bool = False

    def run(self, placed: Placed) -> None:
        """Do the phase's parts, one after the other."""
        for _, part in self.parts:
            part(placed)


def _nothing(placed: Placed) -> None:
    """The host batch is there already."""


def _before_forward(placed: Placed) -> None:
    placed.move_batch()
    placed.zero_grad()


def _before_backward(placed: Placed) -> None:
    _before_forward(placed)
    placed.compute_loss()


def _before_step(placed: Placed) -> None:
    _before_backward(placed)
    placed.backward()


PHASES: dict[str, Phase] = {
    phase.name: phase
    for phase in (
        Phase("transfer", _nothing, (("transfer", Placed.move_batch),)),
        Phase("forward", _before_forward, (("forward", Placed.compute_loss),)),
        Phase("backward", _before_backward, (("backward", Placed.backward),)),
        Phase("step", _before_step, (("step", Placed.step),), trains=True),
        Phase(
            "train",
            _nothing,
            (
                ("transfer", Placed.move_batch),
                ("zero_grad", Placed.zero_grad),
                ("forward", Placed.compute_loss),
                ("backward", Placed.backward),
                ("step", Placed.step),
            ),
            trains=True,
        ),
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
