"""The trainer of rank 0: it announces what it does, and the other ranks do the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from breakeven.case import Cell
from breakeven.errors import MeasurementError
from breakeven.hardware.device import Device
from breakeven.measure.group import Command, Failure, Group, GroupBrokenError
from breakeven.measure.outcomes import RankError
from breakeven.measure.parallel import ParallelTrainer
from breakeven.measure.timing import CLOCK, Clock
from breakeven.measure.trainer import Trainer
from breakeven.phases import Phase

BUILD, RUN, PARAMETERS, END, LEAVE = "build", "run", "parameters", "end", "leave"
"""Commands beside the methods of a trainer: make it; time a round; compare parameters; end a case, or all."""


class Leader:
    """Announces commands, does rank 0's part of each, and hears how the others did theirs.

    Once the ranks have lost each other, `broken_by` is why, and each further command raises it again: the
    process can measure nothing more.
    """

    def __init__(self, group: Group) -> None:
        self.group = group
        self.broken_by: Exception | None = None

    def do(self, command: Command, work: Callable[[], float | None]) -> float:
        """Let every rank do a command; return the maximum of the seconds that `work` returns on each.

        Raises:
            Exception: what `work` raised here.
            RankError: another rank failed, or does not answer.
        """
        if self.broken_by is not None:
            raise self.broken_by
        own: Exception | None = None
        seconds = 0.0
        try:
            self.group.announce(command)
            try:
                seconds = work() or 0.0
            except Exception as error:
                own = error
            failure = None if own is None else Failure.of(0, own)
            slowest_s, other = self.group.exchange(seconds, failure)
        except GroupBrokenError as error:
            is_own = own is not None and error.failure.rank == 0
            self.broken_by = own if is_own else error_of(error.failure)
            assert self.broken_by is not None
            raise self.broken_by from None
        if own is not None:
            raise own
        if other is not None:
            raise error_of(other)
        return slowest_s

    def tell(self, command: Command) -> None:
        """Send the others a command that they do not answer; nothing where they are lost."""
        if self.broken_by is None:
            try:
                self.group.announce(command)
            except GroupBrokenError as error:
                self.broken_by = error_of(error.failure)


class LeadingTrainer(Trainer):
    """Rank 0's trainer, to its runner: whatever it does, all ranks do.

    `round_clock` shows the time of the slowest rank in each round: every rank reads its own clock, after a
    barrier.

    Args:
        cell: what is trained.
        make: makes rank 0's own trainer.
        leader: announces.
        clock: seconds.
    """

    def __init__(
        self, cell: Cell, make: Callable[[], ParallelTrainer], leader: Leader, clock: Clock = CLOCK
    ) -> None:
        self._leader = leader
        self._clock = clock
        self._shown_s = 0.0
        self.round_clock = lambda: self._shown_s
        self._do((BUILD, cell.label()), lambda: setattr(self, "_own", make()))
        self._own: ParallelTrainer
        self.workload, self.device = self._own.workload, self._own.device
        self.host_batches = self._own.host_batches

    @property
    def compared_losses(self) -> int:
        """One: after the first step, the weights are those of the global batch."""
        return 1

    def move_model(self) -> None:
        """Move the model to each rank's device."""
        self._do(("move_model",), self._own.move_model)

    def start(self) -> None:
        """Begin a case on every rank."""
        self._do(("start",), self._own.start)
        self.optimizer, self.parts = self._own.optimizer, self._own.parts

    def release(self) -> None:
        """Drop the results of the last round on every rank."""
        self._do(("release",), self._own.release)

    def prepare(self, phase: Phase, steps: int = 1) -> None:
        """Prepare a round on every rank; after the first step, check that all hold the same parameters.

        Raises:
            MeasurementError: they do not.
        """
        is_first = not self._own.has_stepped
        self._do(("prepare", phase, steps), lambda: self._own.prepare(phase, steps))
        self._shown_s = 0.0
        if is_first and self._own.has_stepped:
            self._check_parameters()

    def run(self, phase: Phase, steps: int = 1) -> None:
        """Run a phase on every rank at the same time, and wait for all of them."""
        self._shown_s = self._timed(phase, steps, lambda: self._own.run(phase, steps))

    def run_marked(self, phase: Phase, mark: Callable[[str], object]) -> None:
        """Run a phase on every rank; rank 0 marks its parts."""
        self._timed(phase, 1, lambda: self._own.run_marked(phase, mark))

    def loss_value(self) -> float | None:
        """Return rank 0's loss of the last round; every rank checks its own."""
        found: list[float | None] = []
        self._do(("loss_value",), lambda: found.append(self._own.loss_value()))
        return found[0]

    def state_tensors(self) -> Iterator[torch.Tensor]:
        """Yield rank 0's part of what training has computed."""
        return self._own.state_tensors()

    def _timed(self, phase: Phase, steps: int, work: Callable[[], object]) -> float:
        group, device = self._leader.group, self.device
        return self._leader.do((RUN, phase, steps), lambda: timed(work, group, device, self._clock))

    def _do(self, command: Command, work: Callable[[], object]) -> None:
        def done() -> None:
            work()
            self._own.device.synchronize()  # a rank that waits for others does so here, not later

        self._leader.do(command, done)

    def _check_parameters(self) -> None:
        texts: list[str] = []
        group = self._leader.group
        self._do((PARAMETERS,), lambda: texts.extend(group.gather(self._own.parameters_text())))
        for rank, text in enumerate(texts):
            if text != texts[0]:
                raise MeasurementError(
                    f"rank {rank} holds other parameters than rank 0 after the first step; let every "
                    "parameter be trained by the model's own forward pass, and optimize alike on every rank"
                )


def error_of(failure: Failure) -> RankError:
    """Return the error with which rank 0 ends a case for another rank's failure."""
    return RankError(failure.outcome, failure.reason)


def timed(work: Callable[[], object], group: Group, device: Device, clock: Clock) -> float:
    """Return the seconds of work that all ranks begin at the same time, by this rank's clock."""
    group.barrier()
    start = clock()
    work()
    device.synchronize()
    return clock() - start
