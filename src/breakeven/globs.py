"""Patterns of ``*`` and ``?``, matched in linear time however many stars they have."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase


def matches(pattern: str, text: str) -> bool:
    """Return whether a text is this name, or matches a pattern of ``*`` and ``?``.

    Brackets have no meaning, since the ids of pytest contain them.

    >>> matches("mlp * cuda*", "mlp train cuda batch=64"), matches("a[1]", "a[1]"), matches("mlp", "mlp 2")
    (True, True, False)
    """
    # From Python 3.11 on, a star never gives back what it has taken, so that a mismatch is found in one pass.
    return pattern == text or (is_pattern(pattern) and fnmatchcase(text, pattern.replace("[", "[[]")))


def is_pattern(text: str) -> bool:
    """Return whether a text may match others than itself."""
    return "*" in text or "?" in text


class Globs:
    """Names and patterns; a name among thousands is found without trying the others."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._names = frozenset(patterns)
        self._patterns = tuple(filter(is_pattern, self._names))

    def match(self, text: str) -> bool:
        """Return whether one of them matches.

        >>> Globs(["mlp", "cnn *"]).match("cnn train"), Globs(["mlp"]).match("cnn train")
        (True, False)
        """
        return text in self._names or any(matches(pattern, text) for pattern in self._patterns)
