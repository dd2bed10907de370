"""The vocabulary: what a case is, what may be spent on it, and how it can end without a timing.

Identity (`Case`) never mixes with observation. Owns no measuring, no statistics and no files, and
imports nothing but the standard library.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from breakeven.errors import UsageError

SCHEMA = 1
"""The version of everything we write into a run file."""

Plain = str | int | float | bool | None
"""An axis value as it stands in a run file."""

OUTCOMES = ("skipped", "failed", "oom", "crashed")
"""How a case can end without a timing."""

_PLAIN_WORD = re.compile(r"[^\W\d][\w.+:/@-]*\Z")
_LOOKS_LIKE_A_VALUE = {"None", "True", "False", "nan", "inf"}


def axes_text(axes: Mapping[str, Any]) -> str:
    """Return ``key=value key=value`` with the keys sorted; different axes never give the same text.

    >>> axes_text({"width": 64, "dtype": "bfloat16"})
    'dtype=bfloat16 width=64'
    >>> axes_text({"n": "1", "s": "a b"})
    'n="1" s="a b"'
    """
    return " ".join(f"{_word(key)}={_value(value)}" for key, value in sorted(axes.items()))


def case_text(workload: str, phase: str, device: str, batch_size: int, axes: Mapping[str, Any] | str) -> str:
    """Return the one name of a case: ``workload phase device batch=64 key=value``, the axes sorted.

    `compare` and `history` speak of cases so, and the file that ``BREAKEVEN_CASES`` names lists them so.

    >>> case_text("mlp", "train", "cpu", 64, {"width": 128, "depth": 2})
    'mlp train cpu batch=64 depth=2 width=128'
    """
    text = axes if isinstance(axes, str) else axes_text(axes)
    return f"{workload} {phase} {device} batch={batch_size}" + (f" {text}" if text else "")


@dataclass(frozen=True)
class Case:
    """What is timed: workload + axes + batch size + phase + device.

    `axes` are ``(name, value)`` pairs in the order in which the mark gives them; two cases with the
    same pairs in another order are the same case.

    >>> case = Case("mlp", 64, "train", "cpu", (("width", 128),))
    >>> str(case)
    'mlp train cpu batch=64 width=128'
    """

    workload: str
    batch_size: int
    phase: str
    device: str
    axes: tuple[tuple[str, Plain], ...] = ()

    def __post_init__(self) -> None:
        """Refuse a batch size below 1 and empty names.

        Raises:
            UsageError: with the value in its message.
        """
        if isinstance(self.batch_size, bool) or not isinstance(self.batch_size, int) or self.batch_size < 1:
            raise UsageError(f"batch_size={self.batch_size!r} is not an integer of at least 1")
        for field in ("workload", "phase", "device"):
            if not getattr(self, field):
                raise UsageError(f"a case needs a {field}, got {getattr(self, field)!r}")

    @property
    def identity(self) -> tuple[Any, ...]:
        """What makes this case itself: equal for two cases that must not stand in one run."""
        return (*self.cell, self.phase, self.device)

    @property
    def cell(self) -> tuple[Any, ...]:
        """Workload, axes (sorted) and batch size: one model is built for all that share it."""
        return (self.workload, tuple(sorted(self.axes, key=lambda pair: pair[0])), self.batch_size)

    def as_extra_info(self) -> dict[str, Any]:
        """Return the keys that Contract 1 requires of every benchmark's ``extra_info``."""
        return {
            "schema": SCHEMA,
            "workload": self.workload,
            "phase": self.phase,
            "device": self.device,
            "batch_size": self.batch_size,
            "axes": dict(self.axes),
        }

    def __str__(self) -> str:
        return case_text(self.workload, self.phase, self.device, self.batch_size, dict(self.axes))


@dataclass(frozen=True)
class Budget:
    """What may be spent on the rounds of one case.

    `half_width` is the wished relative half-width of the median's 95% interval; `min_rounds` is at
    least 6, since five rounds cannot give a 95% interval of a median; `max_rounds` keeps run files
    small (1,000 rounds are about 45 kB of JSON).
    """

    min_rounds: int = 6
    max_time_s: float = 1.0
    half_width: float = 0.02
    max_rounds: int = 1000

    def __post_init__(self) -> None:
        """Refuse budgets that cannot be kept.

        Raises:
            UsageError: with the value in its message.
        """
        if self.min_rounds < 6:
            raise UsageError(
                f"min_rounds={self.min_rounds} cannot give a 95% interval of a median; use 6 or more"
            )
        if not 0 < self.max_time_s < math.inf:
            raise UsageError(
                f"max_time_s={self.max_time_s!r} is no time to measure in; use a positive number of seconds"
            )
        if not 0 < self.half_width < 1:
            raise UsageError(f"half_width={self.half_width!r} is not between 0 and 1; 0.02 wishes for +-2%")


@dataclass(frozen=True)
class Outcome:
    """How a case ended that gave no timing, and why."""

    fullname: str
    outcome: str
    reason: str
    extra_info: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Refuse a word that the run file does not know.

        Raises:
            UsageError: naming the allowed words.
        """
        if self.outcome not in OUTCOMES:
            raise UsageError(f"outcome {self.outcome!r} is none of {', '.join(OUTCOMES)}")

    def as_dict(self) -> dict[str, Any]:
        """Return the object that stands under ``breakeven.outcomes`` in a run file."""
        return {
            "fullname": self.fullname,
            "outcome": self.outcome,
            "reason": self.reason,
            "extra_info": dict(self.extra_info),
        }


def _word(text: str) -> str:
    return text if _PLAIN_WORD.match(text) and text.isprintable() else _quoted(text)


def _value(value: object) -> str:
    if isinstance(value, str):
        return _quoted(value) if value in _LOOKS_LIKE_A_VALUE else _word(value)
    if isinstance(value, list | dict):
        return _quoted(value, separators=(",", ":"), sort_keys=True)
    return str(value)


def _quoted(value: object, **style: Any) -> str:
    """Return JSON on one line, also where a text holds what no line of a UTF-8 file can."""
    text = json.dumps(value, ensure_ascii=False, **style)
    return text if text.isprintable() else json.dumps(value, **style)
