"""The order in which a run takes its cells: shuffled by a seed, because a machine drifts over a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Any, TypeVar

import pytest

from breakeven.case import Cell
from breakeven.errors import UsageError
from breakeven.format import one_line
from breakeven.phases import HEADLINE
from breakeven.plugin.collection import case_of, is_case

MAX_SEED = 2**32 - 1

T = TypeVar("T")


def parse_seed(text: str) -> int:
    """Return the seed that an option gives; 0 without one.

    Raises:
        UsageError: it is not an integer from 0 to `MAX_SEED`.
    """
    if not text:
        return 0
    # Ten digits at most: Python refuses to convert thousands of them.
    is_number = text.isascii() and text.isdecimal() and len(text) <= 10
    if not is_number or int(text) > MAX_SEED:
        shown = repr(one_line(text, 40))
        raise UsageError(
            f"--breakeven-seed={shown} is not an integer from 0 to {MAX_SEED}; use for example 1"
        )
    return int(text)


def run_order(cells: Iterable[Cell], seed: int) -> list[Cell]:
    """Return each cell once, shuffled: first the largest of each workload, then all others.

    The largest is the last one of its workload. Large cells come first because they take the most time: the
    estimated duration of the run is best after them.
    """
    listed = list(dict.fromkeys(cells))
    largest = {cell.workload: cell for cell in listed}
    first, others = list(largest.values()), [cell for cell in listed if largest[cell.workload] != cell]
    random = Random(seed)
    random.shuffle(first)
    random.shuffle(others)
    return [*first, *others]


def order_cases(items: list[pytest.Item], collected: Iterable[pytest.Item], seed: int) -> None:
    """Put the cases into the order of the run: cell by cell, device by device, the headline phase first.

    The time of a whole step decides whether the other phases take too long. Other tests stay in place. The
    order depends on that in which the same items were collected, and on the seed alone.
    """
    cases = {item: case_of(item) for item in collected if is_case(item)}
    cells = {cell: place for place, cell in enumerate(run_order((c.cell for c in cases.values()), seed))}
    devices = {device: place for place, device in enumerate(dict.fromkeys(c.device for c in cases.values()))}
    places = {
        item: (cells[case.cell], devices[case.device], case.phase != HEADLINE) for item, case in cases.items()
    }
    ordered = sorted(cases, key=places.__getitem__)
    items[:] = sorted_in_place(items, {item: place for place, item in enumerate(ordered)}.get)


def sorted_in_place(values: Iterable[T], place: Callable[[T], Any]) -> list[T]:
    """Return the values with those that have a place sorted by it; the others stay where they are.

    >>> sorted_in_place(["c", "other", "a"], {"a": 0, "c": 1}.get)
    ['a', 'other', 'c']
    """
    listed = list(values)
    ordered = iter(sorted((value for value in listed if place(value) is not None), key=place))
    return [value if place(value) is None else next(ordered) for value in listed]
