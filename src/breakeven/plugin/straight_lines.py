"""The counts of a step by its batch size, which are on a line for most models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

TOLERANCE = 1e-3
"""By how much bytes and operations may differ from the line: the sizes of some buffers are rounded."""

EXACT = "operators"

Facts = Mapping[str, Any]


def outline(batch_sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the batch sizes that show whether the counts are on a line: the first two and the last.

    >>> outline([64, 1, 4096, 8])
    (1, 8, 4096)
    """
    ordered = sorted(set(batch_sizes))
    return tuple(dict.fromkeys([*ordered[:2], *ordered[-1:]]))


def between(known: Mapping[int, Facts], batch_size: int) -> Facts | None:
    """Return the facts of a step at a batch size from those at an outline; None if they are not on a line.

    Operators must be on it exactly.

    >>> known = {1: {"operators": 9, "flops": 20}, 8: {"operators": 9, "flops": 160},
    ...          100: {"operators": 9, "flops": 2000}}
    >>> between(known, 50)
    {'operators': 9, 'flops': 1000}
    >>> between(known | {8: {"operators": 10, "flops": 160}}, 50) is None
    True
    """
    if len(known) < 3:
        return None
    first, *_, last = sorted(known)
    if any(not _agree(known[first], of, known[last], (size - first) / (last - first)) for size, of in known.items()):
        return None
    return _at(known[first], known[last], (batch_size - first) / (last - first))


def _agree(first: Any, value: Any, last: Any, part: float, name: str = "") -> bool:
    if isinstance(first, Mapping):
        if not (isinstance(value, Mapping) and isinstance(last, Mapping)):
            return False
        if not first.keys() == value.keys() == last.keys():
            return False
        return all(_agree(first[key], value[key], last[key], part, key) for key in first)
    if not all(map(_is_number, (first, value, last))):
        return bool(first == value == last)
    difference = abs(_at(first, last, part, is_rounded=False) - value)
    return bool(difference <= (1e-9 if name == EXACT else TOLERANCE) * abs(value))


def _at(first: Any, last: Any, part: float, *, is_rounded: bool = True) -> Any:
    if isinstance(first, Mapping):
        return {name: _at(value, last[name], part) for name, value in first.items()}
    if not _is_number(first):
        return first
    value = first + (last - first) * part
    return round(value) if is_rounded and isinstance(first, int) else value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
