"""Whether a run was measured on a busy machine; what cannot be read is ignored."""

import pytest

from breakeven.fitness import Load, Look
from breakeven.runs.look import problems_of

IDLE, BUSY = Load(2, 0.1, 0.0, 0.1), Load(2, 0.9, 0.0, 0.9)


def state(look=IDLE, *loads):
    return {"look": Look(look).as_dict(), "loads": [load.as_dict() for load in loads]}


def test_look():
    assert problems_of(state()) == []
    assert problems_of(state(BUSY)) == [BUSY.problem]
    assert problems_of(state(BUSY, IDLE, IDLE, IDLE)) == [BUSY.problem]


@pytest.mark.parametrize(("loads", "is_busy"), [((BUSY, IDLE), False), ((BUSY, BUSY, IDLE), True)])
def test_between_processes(loads, is_busy):
    """Most of the readings decide."""
    assert problems_of(state(IDLE, *loads)) == ([BUSY.problem] if is_busy else [])


@pytest.mark.parametrize(
    "broken", [None, [], {}, {"look": 3}, {"look": None, "loads": 3}, {"loads": [3, None]}]
)
def test_unreadable(broken):
    assert problems_of(broken) == []
