"""Durations as text are read exactly."""

import re

import pytest

from breakeven.errors import UsageError
from breakeven.format import parse_duration


@pytest.mark.parametrize("text", ["", " ", "soon", "20x", "0", "0m", "-5m", "m", "1m1h", "1e9", "nan"])
def test_bad_duration(text):
    with pytest.raises(UsageError, match=re.escape(repr(text))):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1.5m", 90.0), ("2h", 7200.0), ("1h 30m 5s", 5405.0), ("20M", 1200.0), ("7", 7.0)]
)
def test_parse_duration(text, seconds):
    assert parse_duration(text) == seconds
