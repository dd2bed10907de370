"""The clock that pytest-benchmark reads around the rounds of a loop."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest

CLOCKS = pytest.StashKey["StepClock"]()
"""The clock of an item that times loops."""


class StepClock:
    """A clock that divides another one by `steps`: the time of a round is then that of one of its steps."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.steps = 1
        self._clock = clock
        self.__name__ = getattr(clock, "__name__", type(clock).__name__)  # recorded in the run file

    def __call__(self) -> float:
        """Return the seconds of the wrapped clock, divided by `steps`."""
        return self._clock() / self.steps


def add_step_clock(item: pytest.Item) -> None:
    """Let pytest-benchmark time an item with a `StepClock`.

    It wraps the timer of the item's own ``benchmark`` mark or of ``--benchmark-timer``. pytest-benchmark
    reads only the closest mark, so the new one repeats the item's other settings.
    """
    mark = item.get_closest_marker("benchmark")
    args, own = ((), {}) if mark is None else (mark.args, dict(mark.kwargs))
    clock = StepClock(own.get("timer") or _named(item.config.getoption("benchmark_timer")))
    item.stash[CLOCKS] = clock
    item.add_marker(pytest.mark.benchmark.with_args(*args, **{**own, "timer": clock}), append=False)


def _named(timer: Any) -> Any:
    module, _, name = str(timer).rpartition(".")
    return getattr(importlib.import_module(module), name)
