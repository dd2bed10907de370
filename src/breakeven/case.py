"""What a case is, what may be spent on it, and how it can end without a timing.

Identity (`Model`, `Cell`, `CaseKey`) never mixes with observation. Standard library only.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

from breakeven.errors import UsageError

SCHEMA = 1
"""The version of breakeven's part of a run file."""

Plain = str | int | float | bool | None
"""The value of an axis in a run file."""

WEAK = {"batch": "rank"}
"""The axis of a weak sweep, on all of its devices: N processes train on N times the batch of one."""

_PLAIN_WORD = re.compile(r"[^\W\d][\w.+:/@-]*\Z")
_LOOKS_LIKE_A_VALUE = {"None", "True", "False", "nan", "inf"}


def axes_text(axes: Mapping[str, Any]) -> str:
    """Return ``key=value key=value`` with the keys sorted; different axes never give the same text."""
    return " ".join(f"{_word(key)}={_value(value)}" for key, value in sorted(axes.items()))


def axes_words(axes: Mapping[str, Any]) -> str:
    """Return the axes as `axes_text` does, for people: that of a weak sweep in words.

    >>> axes_words({"width": 64, "batch": "rank"})
    'weak scaling width=64'
    """
    return " ".join(
        "weak scaling" if WEAK.get(name) == value else axes_text({name: value})
        for name, value in sorted(axes.items())
    )


class Axes(Mapping[str, Any]):
    """The parameters, other than the batch size, that identify a model; hashable, equal in any order.

    Iteration keeps the order of the mark. `text` has the keys sorted, and different axes never have the same
    text.

    >>> Axes({"width": 64, "dtype": "bfloat16"}).text
    'dtype=bfloat16 width=64'
    >>> Axes({"n": "1", "s": "a b"}).text
    'n="1" s="a b"'
    >>> Axes({"a": 1, "b": 2}) == Axes({"b": 2, "a": 1})
    True
    """

    __slots__ = ("_values", "text")

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        self._values = dict(values or {})
        self.text = axes_text(self._values)

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return self.text == other.text if isinstance(other, Axes) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Axes({self.text})"

    def __str__(self) -> str:
        return self.text

    def without(self, names: Collection[str]) -> Axes:
        """Return the axes without those of these names."""
        return Axes({name: value for name, value in self._values.items() if name not in names})

    @property
    def sort_key(self) -> list[tuple[str, float, str]]:
        """Sort key that orders numbers by value: ``width=64`` before ``width=512``."""
        return [_natural(part) for part in self.text.split(" ")]


@dataclass(frozen=True)
class Model:
    """What trains, at any batch size: a workload with its axes."""

    workload: str
    axes: Axes = field(default_factory=Axes)

    @property
    def is_weak(self) -> bool:
        """Whether it was measured in a weak sweep."""
        return self.axes.items() >= WEAK.items()

    @property
    def without_weak(self) -> Model:
        """The same model outside of a weak sweep."""
        return Model(self.workload, self.axes.without(WEAK)) if self.is_weak else self

    def label(self) -> str:
        """Return ``workload key=value key=value``.

        >>> Model("mlp", Axes({"width": 64})).label()
        'mlp width=64'
        """
        return f"{self.workload} {self.axes}" if self.axes else self.workload


def distinct_axes(models: Iterable[Model]) -> dict[Model, Axes]:
    """Return the axes of each model without those that are the same in all models of its workload.

    A single model keeps all of them.

    >>> models = [Model("mlp", Axes({"depth": 2, "width": width})) for width in (8, 64)]
    >>> [str(axes) for axes in distinct_axes(models).values()]
    ['width=8', 'width=64']
    """
    known = list(dict.fromkeys(models))
    found = {}
    for model in known:
        others = [other.axes for other in known if other.workload == model.workload]
        shared = {
            name
            for name, value in model.axes.items()
            if len(known) > 1 and all(name in axes and axes[name] == value for axes in others)
        }
        found[model] = model.axes.without(shared)
    return found


@dataclass(frozen=True)
class Cell:
    """A case without phase and device: one model at one batch size.

    >>> Cell("mlp", Axes({"width": 64}), 8).label()
    'mlp batch=8 width=64'
    """

    workload: str
    axes: Axes
    batch_size: int

    def __post_init__(self) -> None:
        """Refuse a batch size below 1 and a workload without a name.

        Raises:
            UsageError: with the value in its message.
        """
        if isinstance(self.batch_size, bool) or not isinstance(self.batch_size, int) or self.batch_size < 1:
            raise UsageError(f"batch_size={self.batch_size!r} is not an integer of at least 1")
        if not self.workload:
            raise UsageError(f"a case needs a workload, got {self.workload!r}")

    @cached_property
    def model(self) -> Model:
        """The model, at any batch size."""
        return Model(self.workload, self.axes)

    def label(self) -> str:
        """Return ``workload batch=64 key=value``."""
        head = f"{self.workload} batch={self.batch_size}"
        return f"{head} {self.axes}" if self.axes else head


@dataclass(frozen=True)
class Line:
    """The cases of one model, phase and device at every batch size; a break-even is between two lines."""

    model: Model
    phase: str
    device: str
    machine: str = ""


@dataclass(frozen=True)
class CaseKey:
    """What is timed: a cell, a phase and a device; `machine` is the class id where several are compared.

    >>> CaseKey(Cell("mlp", Axes({"width": 128, "depth": 2}), 64), "train", "cpu").label()
    'mlp train cpu batch=64 depth=2 width=128'
    """

    cell: Cell
    phase: str
    device: str
    machine: str = ""

    def __post_init__(self) -> None:
        """Refuse empty names.

        Raises:
            UsageError: with the value in its message.
        """
        for name in ("phase", "device"):
            if not getattr(self, name):
                raise UsageError(f"a case needs a {name}, got {getattr(self, name)!r}")

    @classmethod
    def of(
        cls,
        workload: str,
        batch_size: int,
        phase: str,
        device: str,
        axes: Mapping[str, Any] | None = None,
        machine: str = "",
    ) -> CaseKey:
        """Return the key of a case by its plain parts."""
        return cls(Cell(workload, Axes(axes), batch_size), phase, device, machine)

    @property
    def workload(self) -> str:
        """The name of the workload."""
        return self.cell.workload

    @property
    def axes(self) -> Axes:
        """Every parameter except the batch size."""
        return self.cell.axes

    @property
    def batch_size(self) -> int:
        """The number of samples in a batch."""
        return self.cell.batch_size

    @property
    def model(self) -> Model:
        """The model, at any batch size."""
        return self.cell.model

    @property
    def line(self) -> Line:
        """This case's model, phase and device, at any batch size."""
        return Line(self.model, self.phase, self.device, self.machine)

    def label(self) -> str:
        """Return ``workload phase device batch=64 key=value``, as `compare` and `history` name a case.

        Files named by ``BREAKEVEN_CASES`` use the same form. The machine is omitted.
        """
        head = f"{self.workload} {self.phase} {self.device} batch={self.batch_size}"
        return f"{head} {self.axes}" if self.axes else head

    __str__ = label

    def as_extra_info(self) -> dict[str, Any]:
        """Return the keys that a run file requires of every benchmark's ``extra_info``."""
        return {
            "schema": SCHEMA,
            "workload": self.workload,
            "phase": self.phase,
            "device": self.device,
            "batch_size": self.batch_size,
            "axes": dict(self.axes),
        }


@dataclass(frozen=True)
class Budget:
    """What may be spent on the rounds of one case.

    `target_precision` is the relative half-width asked of the median's 95% interval; `min_rounds` is at
    least 6, since five rounds cannot give a 95% interval of a median; `max_rounds` keeps run files
    small (1,000 rounds are about 45 kB of JSON). `timeout_s` limits the whole case, its model's first call
    included. `processes` is how many processes time the case: each needs only its part of the rounds.
    """

    min_rounds: int = 6
    max_time_s: float = 1.0
    target_precision: float = 0.02
    max_rounds: int = 1000
    timeout_s: float = 600.0
    processes: int = 1

    def __post_init__(self) -> None:
        """Check the limits.

        Raises:
            UsageError: with the value in its message.
        """
        if self.min_rounds < 6:
            raise UsageError(
                f"min_rounds={self.min_rounds} cannot give a 95% interval of a median; use 6 or more"
            )
        if not 0 < self.max_time_s < math.inf:
            raise UsageError(
                f"max_time_s={self.max_time_s!r} is not a positive number of seconds; use 1 or more"
            )
        if not 0 < self.timeout_s < math.inf:
            raise UsageError(f"timeout_s={self.timeout_s!r} is not a positive number of seconds; use 600")
        if not 0 < self.target_precision < 1:
            raise UsageError(
                f"target_precision={self.target_precision!r} is not between 0 and 1; 0.02 asks for +-2%"
            )

    def shared_by(self, processes: int) -> Budget:
        """Return what one of that many measuring processes may spend of a case's time.

        >>> Budget(max_time_s=1.0).shared_by(5).max_time_s
        0.2
        """
        processes = max(1, processes)
        return replace(self, max_time_s=self.max_time_s / processes, processes=processes)


class OutcomeKind(StrEnum):
    """How a case can end without a timing."""

    SKIPPED = "skipped"
    FAILED = "failed"
    OOM = "oom"
    TIMEOUT = "timeout"
    CRASHED = "crashed"


@dataclass(frozen=True)
class Outcome:
    """A case without a timing: how it ended, and why.

    `key` is None if the case is unknown, as for an invalid mark. `outcome` is one of `OutcomeKind`, or a word
    that a newer breakeven wrote.
    """

    fullname: str
    outcome: str
    reason: str
    key: CaseKey | None = field(default=None)

    @property
    def name(self) -> str:
        """The case's label where it is known, else its full name."""
        return self.fullname if self.key is None else self.key.label()

    def as_dict(self) -> dict[str, Any]:
        """Return the object under ``breakeven.outcomes`` in a run file."""
        return {
            "fullname": self.fullname,
            "outcome": self.outcome,
            "reason": self.reason,
            "extra_info": {} if self.key is None else self.key.as_extra_info(),
        }


def _natural(part: str) -> tuple[str, float, str]:
    name, _, value = part.partition("=")
    number = value.lstrip("-")
    is_number = number.replace(".", "", 1).isdecimal() and number.isascii()
    return (name, float(value) if is_number else 0.0, value)


def _word(text: str) -> str:
    return text if _PLAIN_WORD.match(text) and text.isprintable() else _quoted(text)


def _value(value: object) -> str:
    if isinstance(value, str):
        return _quoted(value) if value in _LOOKS_LIKE_A_VALUE else _word(value)
    if isinstance(value, list | dict):
        return _quoted(value, separators=(",", ":"), sort_keys=True)
    return str(value)


def _quoted(value: object, **style: Any) -> str:
    """Return JSON on one line; characters that a line of UTF-8 text cannot contain are escaped."""
    text = json.dumps(value, ensure_ascii=False, **style)
    return text if text.isprintable() else json.dumps(value, **style)
