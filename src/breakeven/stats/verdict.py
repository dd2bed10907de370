"""The verdicts on a change between runs, and their default limits. Imports nothing, so `--help` is fast."""

from __future__ import annotations

from enum import StrEnum

THRESHOLD = 0.02
"""Ignore changes up to this size."""

RESOLUTION = 0.10
"""An interval with a larger half-width is `inconclusive`."""


class Verdict(StrEnum):
    """The verdict on a case, or on the newest run of a series."""

    REGRESSED = "regressed"
    IMPROVED = "improved"
    UNCHANGED = "unchanged"
    INCONCLUSIVE = "inconclusive"
    MISSING = "missing"
    NEW = "new"
    ERROR = "error"
