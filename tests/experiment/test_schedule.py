"""Whose turn it is, and whether another pair is begun: worked by hand, as a protocol."""

import pytest

from breakeven.errors import UsageError
from breakeven.experiment.schedule import Limits, duration, seconds_of, turn

WHOLE = 1e9  # seconds that no limit here asks for


def protocol(limits, pair_s=60.0, suspects_pair_s=None):
    """Pairs of all cases and of the suspects that the limits begin, if each takes so long."""
    suspects_pair_s = pair_s if suspects_pair_s is None else suspects_pair_s
    spent_s, first, fresh = 0.0, 0, 0
    while limits.another_of_all(first, spent_s, pair_s if first else 0.0):
        first, spent_s = first + 1, spent_s + pair_s
    while limits.another_of_suspects(fresh, first, spent_s, suspects_pair_s if fresh else 0.0):
        fresh, spent_s = fresh + 1, spent_s + suspects_pair_s
    return first, fresh


def test_the_sides_change_places_from_pair_to_pair():
    turns = [turn(number) for number in range(1, 9)]
    assert [now.side[0] for now in turns] == list("bccbbccb")
    assert [now.pair for now in turns] == [1, 1, 2, 2, 3, 3, 4, 4]


def test_every_pair_has_both_sides():
    for pair in range(1, 30):
        assert {turn(2 * pair - 1).side, turn(2 * pair).side} == {"base", "candidate"}


def test_by_default_three_pairs_time_all_cases_and_five_the_suspects():
    assert protocol(Limits()) == (3, 5)


@pytest.mark.parametrize(
    ("pairs", "expected"), [(1, (1, 0)), (3, (3, 0)), (4, (2, 2)), (5, (3, 2)), (6, (3, 3)), (20, (3, 17))]
)
def test_pairs_are_shared_out_with_two_at_least_to_the_second_stage_or_none(pairs, expected):
    assert protocol(Limits(pairs)) == expected


@pytest.mark.parametrize("pairs", [0, -1])
def test_fewer_than_one_pair_are_refused(pairs):
    with pytest.raises(UsageError, match=rf"--pairs {pairs} compares nothing; use 1 or more"):
        Limits(pairs)


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        (1, (2, 2)),  # nothing fits: the fewest
        (4, (2, 2)),  # the third of all would leave no time for two of the suspects
        (5, (3, 2)),
        (5.5, (3, 2)),  # a pair is only begun if it ends in time
        (6, (3, 3)),
        (20, (3, 17)),
    ],
)
def test_a_budget_holds_as_many_pairs_as_end_within_it(minutes, expected):
    assert protocol(Limits(budget_s=60.0 * minutes), pair_s=60.0) == expected


def test_suspects_that_are_quickly_timed_are_timed_more_often():
    assert protocol(Limits(budget_s=300.0), pair_s=60.0, suspects_pair_s=10.0) == (3, 12)


def test_of_pairs_and_budget_whichever_ends_first_ends_it():
    assert protocol(Limits(6, 1200.0)) == (3, 3)
    assert protocol(Limits(20, 300.0)) == (3, 2)


def test_a_budget_that_cannot_hold_the_fewest_pairs_is_known_from_one_pair():
    assert Limits(budget_s=239.0).cannot_hold(60.0)
    assert not Limits(budget_s=240.0).cannot_hold(60.0)
    assert not Limits(8).cannot_hold(WHOLE)


def test_the_time_left_is_that_of_the_pairs_or_of_the_budget_whichever_is_less():
    assert Limits(8).left_s(1.5, 90.0, 60.0) == 390.0
    assert Limits(budget_s=300.0).left_s(1.5, 90.0, 60.0) == 210.0
    assert Limits(8, 300.0).left_s(1.5, 90.0, 60.0) == 210.0
    assert Limits(budget_s=290.0).left_s(1.5, 90.0, 60.0) == 150.0  # a pair that would not end is not begun
    assert Limits(8, 9000.0).left_s(1.5, 90.0, 60.0) == 390.0
    assert Limits(budget_s=60.0).left_s(2, 90.0, 60.0) == 0.0


@pytest.mark.parametrize("text", ["", " ", "soon", "20x", "0", "0m", "-5m", "m", "1m1h", "1e9", "nan"])
def test_what_is_no_duration_is_refused_with_examples(text):
    with pytest.raises(UsageError, match=r"is no duration; write it as 90s, 20m or 1h30m"):
        seconds_of(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1.5m", 90.0), ("2h", 7200.0), ("1h 30m 5s", 5405.0), ("20M", 1200.0), ("7", 7.0)]
)
def test_durations_are_read_as_people_write_them(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(9.96, "10.0 s"), (99.4, "99 s"), (99.6, "2 min"), (3599, "1 h 0 min"), (0, "0.0 s")],
)
def test_durations_are_shown_without_false_precision(seconds, text):
    assert duration(seconds) == text
