"""What is looked at before each process, what is waited for, and what is said of a busy machine."""

import pytest

from breakeven.fitness import Load, Look
from breakeven.plugin.busy import BusyWatch, busy_line, busy_lines

IDLE, BUSY, BUSIER = Load(2, 0.1, 0.0, 0.1), Load(2, 0.9, 0.0, 0.9), Load(2, 1.5, 0.0, 1.5)


class Machine:
    """A watch over these loads, and what it said, kept and waited for, in order."""

    def __init__(self, *loads, wait_s=0.0):
        self.happened = []
        left = iter(loads)

        def wait(seconds, notify):
            self.happened.append(("wait", seconds))
            notify("waiting")

        def said(kind):
            return lambda what: self.happened.append((kind, what))

        self.watch = BusyWatch(wait_s, said("say"), said("keep"), lambda: next(left), wait)


def test_first_process():
    """It looks itself."""
    machine = Machine()
    machine.watch(is_first=True)
    assert machine.happened == []


def test_between_processes():
    """Every load is kept; a busy machine is named once."""
    machine = Machine(IDLE, BUSY, IDLE, BUSIER)
    for _ in range(4):
        machine.watch(is_first=False)
    assert machine.happened == [
        ("keep", IDLE), ("keep", BUSY), ("say", busy_line(BUSY.problem)), ("keep", IDLE), ("keep", BUSIER)
    ]  # fmt: skip


@pytest.mark.parametrize("is_first", [True, False])
def test_wait(is_first):
    """Before each process, and before the machine is looked at."""
    machine = Machine(IDLE, wait_s=300.0)
    machine.watch(is_first=is_first)
    waited = [("wait", 300.0), ("say", "breakeven: waiting")]
    assert machine.happened == (waited if is_first else [*waited, ("keep", IDLE)])


def test_lines():
    """One for each problem, the worst first."""
    look = Look(BUSY, 2, 1e-3, 1.0, spins=True)
    assert busy_lines(look) == [
        f"breakeven: these numbers cannot be trusted: {problem}"
        for problem in (look.slow_threads, BUSY.problem)
    ]
    assert busy_lines(Look(IDLE)) == []
