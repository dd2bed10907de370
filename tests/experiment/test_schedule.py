"""The order of the runs and the number of pairs, worked by hand."""

import pytest

from breakeven.experiment.schedule import Limits, scheduled_run

DAYS_S = 1e9


def protocol(limits, pair_s=60.0, retest_pair_s=None):
    """The numbers of pairs of all cases and of retested ones that the limits allow."""
    retest_pair_s = pair_s if retest_pair_s is None else retest_pair_s
    spent_s, first, fresh = 0.0, 0, 0
    while limits.allows_first_pair(first, spent_s, pair_s if first else 0.0):
        first, spent_s = first + 1, spent_s + pair_s
    while limits.allows_retest_pair(fresh, first, spent_s, retest_pair_s if fresh else 0.0):
        fresh, spent_s = fresh + 1, spent_s + retest_pair_s
    return first, fresh


def test_order_alternates():
    runs = [scheduled_run(number) for number in range(1, 9)]
    assert [run.side[0] for run in runs] == list("bccbbccb")
    assert [run.pair for run in runs] == [1, 1, 2, 2, 3, 3, 4, 4]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(), (3, 5)),
        (Limits(1), (1, 0)),
        (Limits(3), (3, 0)),
        (Limits(4), (2, 2)),  # the second stage gets at least two pairs or none
        (Limits(5), (3, 2)),
        (Limits(6), (3, 3)),
        (Limits(20), (3, 17)),
        (Limits(budget_s=60.0), (2, 2)),  # nothing fits: the minimum
        (Limits(budget_s=240.0), (2, 2)),  # a third pair of all cases would leave no time for two retests
        (Limits(budget_s=300.0), (3, 2)),
        (Limits(budget_s=330.0), (3, 2)),  # a pair only starts if it ends in time
        (Limits(budget_s=360.0), (3, 3)),
        (Limits(budget_s=1200.0), (3, 17)),
        (Limits(6, 1200.0), (3, 3)),  # the first limit counts
        (Limits(20, 300.0), (3, 2)),
    ],
)
def test_pairs(limits, expected):
    assert protocol(limits) == expected


def test_fast_retest():
    assert protocol(Limits(budget_s=300.0), retest_pair_s=10.0) == (3, 12)


def test_budget_too_short():
    assert Limits(budget_s=239.0).is_too_short(60.0)
    assert not Limits(budget_s=240.0).is_too_short(60.0)
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
