"""The order of the runs and the number of pairs, worked by hand."""

import pytest

from breakeven.experiment.schedule import Limits, scheduled_run

DAYS_S = 1e9


def pairs_allowed(limits, pair_s=60.0, retest_pair_s=60.0):
    """The number of pairs that the limits allow, if the first five take `pair_s` and the others less."""
    spent_s, done = 0.0, 0
    while limits.allows_pair(done, spent_s, pair_s if done <= 5 else retest_pair_s):
        spent_s += pair_s if done < 5 else retest_pair_s
        done += 1
    return done


def test_order_alternates():
    runs = [scheduled_run(number) for number in range(1, 9)]
    assert [run.side[0] for run in runs] == list("bccbbccb")
    assert [run.pair for run in runs] == [1, 1, 2, 2, 3, 3, 4, 4]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(), 10),
        (Limits(1), 1),
        (Limits(5), 5),
        (Limits(20), 20),
        (Limits(budget_s=60.0), 5),  # nothing fits: the minimum
        (Limits(budget_s=359.0), 5),  # a pair only starts if it ends in time
        (Limits(budget_s=360.0), 6),
        (Limits(budget_s=1200.0), 20),
        (Limits(6, 1200.0), 6),  # the first limit counts
        (Limits(20, 360.0), 6),
        (Limits(2, 60.0), 2),
    ],
)
def test_pairs(limits, expected):
    assert pairs_allowed(limits) == expected


def test_fast_retest():
    assert pairs_allowed(Limits(budget_s=400.0), retest_pair_s=10.0) == 5 + 10


def test_budget_too_short():
    assert Limits(budget_s=299.0).is_too_short(60.0)
    assert not Limits(budget_s=300.0).is_too_short(60.0)
    assert not Limits(8).is_too_short(DAYS_S)


def test_time_left():
    """It is the minimum of the pairs' time and the budget."""
    assert Limits(8).left_s(1.5, 90.0, 60.0) == 390.0
    assert Limits(budget_s=300.0).left_s(1.5, 90.0, 60.0) == 210.0
    assert Limits(8, 300.0).left_s(1.5, 90.0, 60.0) == 210.0
    assert (
        Limits(budget_s=290.0).left_s(1.5, 90.0, 60.0) == 150.0
    )  # a pair that would not end in time does not start
    assert Limits(8, 9000.0).left_s(1.5, 90.0, 60.0) == 390.0
    assert Limits(budget_s=60.0).left_s(2, 90.0, 60.0) == 0.0
