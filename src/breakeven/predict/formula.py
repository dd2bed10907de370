"""The time of a training step by a card: of what the host queues and what the device does, the longer one."""

from __future__ import annotations

from dataclasses import dataclass

from breakeven.predict.cards import Card
from breakeven.predict.work import Work


@dataclass(frozen=True)
class Step:
    """A predicted training step in seconds, with its 90% band, and what widened it, as phrases."""

    seconds: float
    low_s: float
    high_s: float
    widened: tuple[str, ...] = ()


def predict_step(card: Card, work: Work, batch_size: int) -> Step:
    """Return the predicted step.

    Raises:
        NotPredictedError: the card has no rate for a format of this step; one line.
    """
    raise NotImplementedError
