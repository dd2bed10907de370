"""The flags on a timing, and which of them mean that it was disturbed."""

import math

import pytest

from breakeven.flags import Flag, disturbance, find_flag

DISTURBED = {
    "drift": 2.0,
    "unsteady": 2.0,
    "subnormal": 2.0,
    "throttled": math.inf,
    "clock": math.inf,
    "contended": math.inf,
    "shared_gpu": math.inf,
}


@pytest.mark.parametrize("flag", Flag)
def test_texts(flag):
    """Each flag has a meaning and a remedy, as clauses within one line."""
    for text in (flag.meaning, flag.remedy):
        assert text
        assert text.isprintable()
        assert not text.endswith(".")


@pytest.mark.parametrize("flag", Flag)
def test_disturbance(flag):
    assert disturbance(["noisy", flag]) == DISTURBED.get(flag, 1.0)
    assert bool(flag.disturbed) == (flag in DISTURBED)


def test_the_largest_disturbance_counts():
    assert disturbance(["drift", "noisy", "contended", "few_rounds"]) == math.inf


def test_unknown_flags():
    """An unknown flag does not count as a disturbance."""
    assert find_flag("own") is None
    assert find_flag("noisy") is Flag.NOISY
    assert find_flag("budget") is None
    assert disturbance(["own", ""]) == disturbance([]) == 1.0
