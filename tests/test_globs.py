"""Patterns of ``*`` and ``?``: what they match, and that a hostile one ends."""

import time
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.globs import Globs, matches

LETTERS = st.text("ab[]!*?.\n", max_size=7)


def fits(pattern, text):
    """The definition: a star stands for any text, a question mark for any character."""

    @cache
    def rest(i, j):
        if i == len(pattern):
            return j == len(text)
        if pattern[i] == "*":
            return rest(i + 1, j) or (j < len(text) and rest(i, j + 1))
        return j < len(text) and pattern[i] in ("?", text[j]) and rest(i + 1, j + 1)

    return pattern == text or rest(0, 0)


@given(LETTERS, LETTERS)
def test_definition(pattern, text):
    assert matches(pattern, text) == fits(pattern, text)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("*" * 60 + "b!", "mlp train cuda batch=64 width=128"),
        ("*a" * 200 + "b", "a" * 2000),
        ("*?" * 100 + "!", "a" * 2000),
        ("*" + "a" * 500 + "b", "a" * 5000),
        ("?*" * 200 + "b", "a" * 2000),
    ],
)
def test_hostile_pattern(pattern, text):
    """A backtracking matcher would take years."""
    began = time.process_time()
    assert not matches(pattern, text)
    assert time.process_time() - began < 5


def test_many_names():
    """A name is found among a hundred thousand without comparing it with each."""
    names = [f"mlp train cpu batch={number}" for number in range(100_000)]
    globs = Globs([*names, "cnn *"])
    began = time.process_time()
    assert all(map(globs.match, names))
    assert time.process_time() - began < 5
    assert globs.match("cnn train cpu batch=1")
    assert not globs.match("mlp train cpu batch=-1")
