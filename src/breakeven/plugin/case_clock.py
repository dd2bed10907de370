"""The clock that pytest-benchmark reads around the rounds of a case."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

CLOCK = pytest.StashKey["CaseClock"]()
"""The clock of the item of a case."""


class CaseClock:
    """A clock that divides another one by `steps`: the time of a loop's round is then that of one step.

    A round that has its own clock, because several processes time it, is read by that as `round_clock`. After
    `replay` it shows rounds that were timed before instead: pytest-benchmark records them exactly.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.steps = 1
        self.round_clock: Callable[[], float] | None = None
        self._clock = clock
        self._replayed: Iterator[float] | None = None
        self.__name__ = getattr(clock, "__name__", type(clock).__name__)  # recorded in the run file

    def __call__(self) -> float:
        """Return seconds."""
        if self._replayed is not None:
            return next(self._replayed)
        return (self.round_clock or self._clock)() / self.steps

    def replay(self, rounds_s: Sequence[float]) -> None:
        """Show these rounds, each from 0 on: the difference of its two readings is then exact."""
        self._replayed = (reading for seconds in rounds_s for reading in (0.0, seconds))


def add_case_clock(item: pytest.Item) -> None:
    """Let pytest-benchmark time an item with a `CaseClock`.

    It wraps the timer of the item's own ``benchmark`` mark or of ``--benchmark-timer``. pytest-benchmark
    reads only the closest mark, so the new one repeats the item's other settings.
    """
    mark = item.get_closest_marker("benchmark")
    args, own = ((), {}) if mark is None else (mark.args, dict(mark.kwargs))
    clock = CaseClock(own.get("timer") or _named(item.config.getoption("benchmark_timer")))
    item.stash[CLOCK] = clock
    item.add_marker(pytest.mark.benchmark.with_args(*args, **{**own, "timer": clock}), append=False)


def _named(timer: Any) -> Any:
    module, _, name = str(timer).rpartition(".")
    return getattr(importlib.import_module(module), name)
