"""Whether other programs keep the machine busy: looked at before each measuring process, and waited for."""

from __future__ import annotations

from collections.abc import Callable

from breakeven.fitness import Load, Look, Problem
from breakeven.hardware.load import read_load, wait_until_idle


class BusyWatch:
    """Looks at the machine before a process is started, at no cost; the first process itself looks closer.

    Args:
        wait_s: how long to wait for an idle machine, 0.0 for not at all.
        say: shows a line.
        keep: stores a load that was read between two processes.
        read: reads how busy other programs are.
        wait: waits until they are idle.
    """

    def __init__(
        self,
        wait_s: float,
        say: Callable[[str], object],
        keep: Callable[[Load], object],
        read: Callable[[], Load] = read_load,
        wait: Callable[[float, Callable[[str], object]], object] = wait_until_idle,
    ) -> None:
        self._wait_s = wait_s
        self._say = say
        self._keep = keep
        self._read = read
        self._wait = wait
        self._has_said = False

    def __call__(self, *, is_first: bool) -> None:
        """Wait for an idle machine if that was requested; between two processes, say once if it is busy."""
        if self._wait_s:
            self._wait(self._wait_s, lambda line: self._say(f"breakeven: {line}"))
        if is_first:
            return
        load = self._read()
        self._keep(load)
        if load.problem is not None and not self._has_said:
            self._has_said = True
            self._say(busy_line(load.problem))


def busy_lines(look: Look) -> list[str]:
    """Return a line for each problem that a look found."""
    return [busy_line(problem) for problem in look.found]


def busy_line(problem: Problem) -> str:
    """Return what a user should know before waiting for numbers."""
    return f"breakeven: these numbers cannot be trusted: {problem}"
