"""Whether the canary moved during a run; one that cannot be read is ignored."""

import pytest

from breakeven.runs.canary import Move, moves
from breakeven.runs.reader import read
from support.run_files import CPU_BOX, benchmark, run, write


def sample(median, spread=0.01):
    return {"median_s": median, "low_s": median * (1 - spread), "high_s": median * (1 + spread), "n": 21}


def state(**samples):
    return {"canary": {"cpu": samples}}


def test_steady():
    assert moves(state(start=sample(1.0), middle=sample(1.05), end=sample(0.98))) == []


def test_moved():
    """A move is a change of more than 10% with disjoint intervals, with its moment and size."""
    (move,) = moves(state(start=sample(1.0), middle=sample(1.1), end=sample(1.3)))
    assert move == Move("cpu", "end", "start", pytest.approx(1.3))


@pytest.mark.parametrize(("end", "is_move"), [(1.09, False), (1.11, True)])
def test_ten_percent(end, is_move):
    assert bool(moves(state(start=sample(1.0, 0.001), end=sample(end, 0.001)))) == is_move


def test_overlapping_intervals():
    assert moves(state(start=sample(1.0, spread=0.2), end=sample(1.3, spread=0.2))) == []


@pytest.mark.parametrize(
    "broken",
    [None, [], {}, {"canary": 3}, {"canary": {"cpu": 3}}, state(start=sample(1.0)),
     state(start=sample(1.0), end={"unreadable": "no kernel image"}),
     state(start=sample(1.0), end={**sample(2.0), "low_s": None}),
     state(start=sample(1.0), end=sample(float("nan"))), state(start=sample(0.0), end=sample(1.0)),
     state(start=sample(1.0), end=dict.fromkeys(("median_s", "low_s", "high_s"), 10**400))],
)  # fmt: skip
def test_unreadable(broken):
    assert moves(broken) == []


def test_a_move_is_a_line_with_the_file(tmp_path):
    facts = {"class_id": "abc", "state": state(start=sample(1.0), end=sample(1.5))}
    path = write(tmp_path / "run.json", run([benchmark([1.0] * 9)], machine={**CPU_BOX, "breakeven": facts}))
    (line,) = read([path]).moved
    assert line.startswith(f"{path}: ")
    assert "1.50x" in line
