"""The trainer of a workload with a loader: for ``load`` and ``epoch`` it takes the loader's batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from breakeven.measure.loader_errors import reason_of, tells_of_a_dead_worker
from breakeven.measure.loading import Batches
from breakeven.measure.trainer import Trainer
from breakeven.measure.unpaired import unpaired
from breakeven.phases import Phase


class LoadingTrainer(Trainer):
    """A trainer that can train on the batches of the workload's loader.

    A round of ``load`` or ``epoch`` has a number of batches that each worker loads equally many of, because
    they arrive in bursts, one of each worker.
    """

    _is_loading = False

    @cached_property
    def batches(self) -> Batches:
        """The batches of the loader."""
        return Batches(self.workload.loader, self.workload.unpack)

    def start(self) -> None:
        """Begin a case, with the workload's own batches."""
        self._is_loading = False
        super().start()

    def prepare(self, phase: Phase, steps: int = 1) -> None:
        """Prepare a phase; a round of loaded batches begins as it would in the middle of a training loop.

        Workers may have loaded batches while nobody took any. So as many as they hold ready are used first:
        trained on, or just taken by ``load``. They are just taken before the first step too, which is timed
        as any first call is.

        Args:
            phase: the one to prepare.
            steps: the batches of the round, a multiple of `cycle`.
        """
        if not phase.needs_loader:
            super().prepare(phase, steps)
            return
        passes = self._passes(phase)
        ahead = math.ceil(self.batches.prefetched / passes) * passes
        super().prepare(phase, (ahead + steps) // passes)
        self._is_loading = True
        self.batches.make_room(ahead + steps)
        if phase is Phase.EPOCH and self.has_stepped:
            self.run(phase, ahead)
            self.release()
        else:
            for _ in range(ahead):
                self.load()

    def run(self, phase: Phase, steps: int = 1) -> None:
        """Run a phase; of ``epoch``, as many steps of the optimizer as take that number of batches."""
        super().run(phase, steps // self._passes(phase))

    def cycle(self, phase: Phase) -> int:
        """Return what the steps of a round are a multiple of.

        Raises:
            RecipeError: there is no loader.
        """
        if not phase.needs_loader:
            return super().cycle(phase)
        return math.lcm(2 * self.batches.workers or 1, self._passes(phase))

    def _passes(self, phase: Phase) -> int:
        """Return the loaded batches in one repetition of a phase."""
        return self.parts.passes if phase is Phase.EPOCH else 1

    def load(self) -> None:
        """Take the next host batch from the loader."""
        self.batches.take()

    def next_host_batch(self) -> Any:
        """Return the loaded batch, or the next one of the workload's own."""
        return self.batches.current if self._is_loading else super().next_host_batch()

    def explained(self, error: Exception) -> Exception:
        """Return the error of a first call, with the remedy if the model got a batch that is no pair."""
        pair = self.batches.current if self._is_loading else self.host_batches[0]
        return unpaired(error, self.workload, pair)


@contextmanager
def loading(
    trainer: Trainer, phase: Phase, left_s: Callable[[], float], clock: Callable[[], float]
) -> Iterator[dict[str, Any]]:
    """Begin a case's loading, and end its workers after the block; yield facts that are filled in then.

    Args:
        trainer: the case's.
        phase: the case's.
        left_s: as `Batches.begin` takes it.
        clock: seconds.
    """
    facts: dict[str, Any] = {}
    if not (isinstance(trainer, LoadingTrainer) and phase.needs_loader):
        yield facts
        return
    trainer.batches.begin(left_s, clock)
    try:
        yield facts
    except RuntimeError as error:
        if tells_of_a_dead_worker(error):  # which torch raises wherever this process is at that moment
            raise reason_of(error) from error
        raise
    finally:
        facts |= trainer.batches.facts()
        trainer.batches.close()
