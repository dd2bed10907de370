"""The times of the first seconds of load, and of its last half."""

import pytest

from breakeven.measure.sustained import burst_and_sustained


def medians(times_s, round_s, before_s=0.0, warmup_s=(9.0,)):
    burst, sustained = burst_and_sustained(times_s, round_s, before_s, warmup_s)
    return burst.median, burst.n, sustained.median, sustained.n


def test_two_seconds_and_the_last_half():
    """A round belongs to the burst if it ends in it, and to the last half if it does."""
    times = [1.0] * 8 + [2.0] * 4 + [3.0] * 12

    assert medians(times, [0.25] * 24) == (1.0, 8, 3.0, 13)


@pytest.mark.parametrize(("before_s", "rounds"), [(0.0, 8), (0.25, 7), (0.3, 6), (0.5, 6)])
def test_load_before_counts(before_s, rounds):
    assert medians([1.0] * 40, [0.25] * 40, before_s)[:2] == (1.0, rounds)


def test_last_half_is_of_the_load():
    """It is not half of the rounds: later ones take longer."""
    assert medians([1.0] * 10 + [9.0] * 10, [1.0] * 10 + [9.0] * 10)[2:] == (9.0, 6)


@pytest.mark.parametrize("before_s", [0.75, 5.0])
def test_slow_rounds(before_s):
    """With fewer than six rounds in the burst, the warm-up counts too."""
    inside = int((2 - before_s) / 0.25) if before_s < 2 else 0

    assert medians([1.0] * 40, [0.25] * 40, before_s, [4.0] * 9)[:2] == (4.0, 9 + inside)


def test_few_rounds_have_no_interval():
    burst, sustained = burst_and_sustained([1.0] * 4, [5.0] * 4, 0.0, [1.0])

    assert (burst.low, burst.n, sustained.low, sustained.n) == (None, 1, None, 3)


def test_stopped_clock():
    assert medians([0.0] * 6, [0.0] * 6) == (0.0, 6, 0.0, 6)
