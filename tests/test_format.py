"""Durations as text are read exactly, and speedups are shown at their limits."""

import re

import pytest

from breakeven.errors import UsageError
from breakeven.format import parse_duration, ratio_between


@pytest.mark.parametrize("text", ["", " ", "soon", "20x", "0", "0m", "-5m", "m", "1m1h", "1e9", "nan"])
def test_bad_duration(text):
    with pytest.raises(UsageError, match=re.escape(repr(text))):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1.5m", 90.0), ("2h", 7200.0), ("1h 30m 5s", 5405.0), ("20M", 1200.0), ("7", 7.0)]
)
def test_parse_duration(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("low", "high", "value", "text"),
    [
        (0.02, 1.0, 0.05, "[1.00–50.0x]"),
        (0.0, 0.05, 0.02, "[0x – 20.0x slower]"),
        (0.01, 0.5, 0.1, "[0.0100–0.500]"),
    ],
)
def test_interval_of_a_small_speedup(low, high, value, text):
    """An end of 0 has no inverse."""
    assert ratio_between(low, high, value) == text
