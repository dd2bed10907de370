"""Whether the canary or the case that was timed again moved in a run; what cannot be read is ignored."""

import pytest

from breakeven.report.report import analyze
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
    assert move == Move("the canary on cpu", "end", "start", pytest.approx(1.3))


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


def again(first=(1.0, 0.99, 1.01), second=(1.0, 0.99, 1.01), **changes):
    """The state of a run whose first case was timed again; a time is its median, low and high."""
    keys = ("s", "low_s", "high_s")
    facts = {"case": "mlp train cuda batch=1", "device": "cuda"}
    facts |= {f"first_{key}": value for key, value in zip(keys, first, strict=True)}
    facts |= {f"again_{key}": value for key, value in zip(keys, second, strict=True)}
    return {"retimed": [{**facts, **changes}]}


@pytest.mark.parametrize(
    ("second", "slowest", "ratio"), [((1.2, 1.15, 1.3), "end", 1.2), ((0.8, 0.7, 0.9), "start", 1.25)]
)
def test_case_moved(second, slowest, ratio):
    """It moved in either direction, by more than 10% and beyond both intervals."""
    (move,) = moves(again(second=second))

    assert (move.work, move.slowest) == ("the case mlp train cuda batch=1", slowest)
    assert move.ratio == pytest.approx(ratio)


@pytest.mark.parametrize(
    "steady",
    [again(), again(second=(1.09, 1.08, 1.1)), again(second=(1.3, 1.0, 1.6)),
     again((1.0, 0.7, 1.2), (1.3, 1.19, 1.4)), again(second=(1.3, None, None)),
     again((1.0, None, None), (1.3, 1.2, 1.4)),
     {"retimed": [{"case": "mlp", "first_s": 1.0, "first_low_s": 1.0, "first_high_s": 1.0, "failed": "oom"}]},
     {"retimed": 3}, {"retimed": [None, 3, []]}, again(second=("2", 1.9, 2.1)), again(second=(-2.0, -2, -2))],
)  # fmt: skip
def test_case_did_not_move(steady):
    assert moves(steady) == []


@pytest.mark.parametrize("place", ["retimed", "canary"])
def test_a_move_of_any_name_is_one_line(place):
    """The file's own texts are printed, so they are kept on one line."""
    odd = "a\nb"
    moved = {"canary": {odd: {"start": sample(1.0), "end": sample(2.0)}}}
    moved |= again(second=(1.3, 1.25, 1.4), case=odd)
    assert all("\n" not in move.work for move in moves({place: moved[place]}))


def test_moved_case_is_a_warning(tmp_path):
    facts = {"class_id": "abc", "state": again(second=(1.2, 1.15, 1.3))}
    path = write(tmp_path / "run.json", run([benchmark([1.0] * 9)], machine={**CPU_BOX, "breakeven": facts}))

    (line,) = read([path]).moved
    assert "mlp train cuda batch=1 ran 1.20x slower at the end" in line
    assert any(line in warning for warning in analyze(read([path])).warnings)


def test_a_move_is_a_line_with_the_file(tmp_path):
    facts = {"class_id": "abc", "state": state(start=sample(1.0), end=sample(1.5))}
    path = write(tmp_path / "run.json", run([benchmark([1.0] * 9)], machine={**CPU_BOX, "breakeven": facts}))
    (line,) = read([path]).moved
    assert line.startswith(f"{path}: ")
    assert "1.50x" in line
