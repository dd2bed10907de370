"""The flags on a timing, and which of them mean that it was disturbed."""

import pytest

from breakeven.flags import Flag, find_flag, is_disturbed

DISTURBED = {"drift", "unsteady", "throttled", "clock", "contended", "shared_gpu"}


@pytest.mark.parametrize("flag", Flag)
def test_texts(flag):
    """Each flag has a meaning and a remedy, as clauses within one line."""
    for text in (flag.meaning, flag.remedy):
        assert text
        assert text.isprintable()
        assert not text.endswith(".")


@pytest.mark.parametrize("flag", Flag)
def test_is_disturbed(flag):
    assert is_disturbed(["noisy", flag]) == bool(flag.disturbed) == (flag in DISTURBED)


def test_unknown_flags():
    """An unknown flag does not count as disturbed."""
    assert find_flag("own") is None
    assert find_flag("noisy") is Flag.NOISY
    assert not is_disturbed(["own", ""])
    assert not is_disturbed([])
