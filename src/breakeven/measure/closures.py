"""Optimizers that evaluate the loss themselves: their closure, and the step that is timed of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from breakeven.errors import MeasurementError
from breakeven.measure.optimizers import needed_arguments
from breakeven.measure.state import SavedState

MAX_FIXED = 2
"""An optimizer with more evaluations in a step repeats them until it has converged."""

FULL = 0.8
"""A step with this part of the first step's evaluations has not converged."""

MAX_FULL_STEPS, MAX_GROWING_STEPS = 6, 30
"""The number of first steps after which no later one is looked for; the second, while the state grows.

The history of `torch.optim.LBFGS`, on which its own work depends, is full after 5 steps by default, and later
with fewer iterations in a step.
"""


class Closure:
    """The closure of an optimizer, which calls it in each step as often as it likes.

    An iterative optimizer learns a batch by heart within a few steps, and then evaluates it only once a step.
    `torch.optim.LBFGS` did so after 1 to 10 steps of perceptrons of three layers, mostly after 2, and in half
    of them already its second step had fewer evaluations than the first. Other training, which takes a new
    batch in each step or is far from its minimum, uses the whole number in each. So of the first steps the
    last one is timed that still does: each round begins with the state of the optimizer, and of what it
    trains, from before that step. Its history of earlier steps, which costs as much as the evaluations, is
    full by then.

    Args:
        name: the optimizer's.
        optimizer: whose step is called with `evaluate`.
        evaluate: drops the gradients, runs forward and backward, and returns the loss.
        state: what a step changes, beside the model's buffers.
    """

    def __init__(
        self, name: str, optimizer: Any, evaluate: Callable[[], Any], state: Sequence[Any] = ()
    ) -> None:
        self.name = name
        self.calls = 0
        self.steps = 0
        self.is_iterative = False
        self._optimizer = optimizer
        self._evaluate = evaluate
        self._state = tuple(state)
        self._kept = SavedState(*state)
        self._loss: Any = None
        self._calls_of_step = 0

    @property
    def calls_per_step(self) -> float:
        """The mean number of evaluations of a step since `count_again`; 0 without a step."""
        return self.calls / max(1, self.steps)

    def count_again(self) -> None:
        """Begin to count evaluations."""
        self.calls = self.steps = 0

    def evaluate(self) -> Any:
        """Evaluate once: the closure itself."""
        self._calls_of_step += 1
        loss = self._evaluate()
        if self._calls_of_step <= MAX_FIXED:
            self._loss = loss
        return loss

    def step(self) -> Any:
        """Do one step of the optimizer, and return the loss of its second evaluation, or of its only one.

        The second one depends on the gradients of the first, and later ones on every bit of these.

        Raises:
            MeasurementError: it evaluated nothing.
        """
        self._calls_of_step, self._loss = 0, None
        self._optimizer.step(self.evaluate)
        if not self._calls_of_step:
            needed = needed_arguments(self._optimizer.step)
            remedy = (
                f"if {needed[0].name!r} is something else, call it in a training_step"
                if needed
                else "leave closure=True out"
            )
            raise MeasurementError(
                f"{self.name}.step did not call its closure, so nothing was trained; {remedy}"
            )
        self.calls += self._calls_of_step
        self.steps += 1
        loss, self._loss = self._loss, None
        return loss

    def find_step(self, whole_step: Callable[[], object]) -> None:
        """After the first step, find the one to time of an iterative optimizer, by doing the next ones."""
        first = self._calls_of_step
        self.is_iterative = first > MAX_FIXED
        size = 0
        for done in range(1, MAX_GROWING_STEPS if self.is_iterative else 1):
            before = SavedState(*self._state)
            last_size, size = size, sum(1 for _ in before.tensors())
            if done >= MAX_FULL_STEPS and size == last_size:
                return
            whole_step()
            if self._calls_of_step < FULL * first:
                return
            self._kept = before

    def restore(self) -> None:
        """Return to the state before the step that is timed."""
        if self.is_iterative:
            self._kept.restore()
