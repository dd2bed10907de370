"""A canary that moved tells that the machine moved; one that cannot be read tells nothing."""

import pytest

from breakeven.runs.canary import moves
from breakeven.runs.reader import read
from support.run_files import CPU_BOX, benchmark, run, write


def song(median, spread=0.01):
    return {"median_s": median, "low_s": median * (1 - spread), "high_s": median * (1 + spread), "n": 21}


def state(**canary_samples):
    return {"canary": {"cpu": canary_samples}}


def test_a_canary_that_stays_says_nothing():
    assert moves(state(start=song(1.0), middle=song(1.05), end=song(0.98))) == []


def test_a_canary_that_moved_by_more_than_ten_percent_is_told_with_when_and_how_far():
    (move,) = moves(state(start=song(1.0), middle=song(1.1), end=song(1.3)))
    assert (move.device, move.slowest, move.fastest) == ("cpu", "end", "start")
    assert move.ratio == pytest.approx(1.3)


def test_overlapping_intervals_are_no_move():
    assert moves(state(start=song(1.0, spread=0.2), end=song(1.3, spread=0.2))) == []


@pytest.mark.parametrize(
    "broken",
    [
        None,
        [],
        {},
        {"canary": 3},
        {"canary": {"cpu": 3}},
        state(start=song(1.0)),
        state(start=song(1.0), end={"unreadable": "no kernel image"}),
        state(start=song(1.0), end={**song(2.0), "low_s": None}),
        state(start=song(1.0), end=song(float("nan"))),
        state(start=song(0.0), end=song(1.0)),
    ],
)
def test_what_cannot_be_read_says_nothing(broken):
    assert moves(broken) == []


def test_the_report_warns_that_the_machine_moved(tmp_path):
    facts = {"class_id": "abc", "state": state(start=song(1.0), end=song(1.5))}
    content = run([benchmark([1.0] * 9)], machine={**CPU_BOX, "breakeven": facts})
    (warning,) = read([write(tmp_path / "run.json", content)]).moved
    assert "run.json: the canary on cpu ran 1.50x slower at the end than at the start" in warning
