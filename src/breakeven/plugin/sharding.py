"""Shards of a sweep, ``--breakeven-shard=K/N``: a hash assigns each cell to one of N.

All phases and devices of a cell are in one shard, so that their ratios are of one machine. The hash depends
on the cell alone: not on the order of collection, on other options or on the machine.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from breakeven.errors import UsageError
from breakeven.format import one_line, plural
from breakeven.plugin.collection import case_of, is_case

MAX_SHARDS = 100_000

_FORM = re.compile(r"([0-9]{1,6})/([0-9]{1,6})", re.ASCII)


@dataclass(frozen=True)
class Shard:
    """The shard `index`, from 1, of `count`."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def holds(self, name: str) -> bool:
        """Return whether the cell, or the benchmark, of this name belongs to the shard.

        >>> [Shard(index, 2).holds("mlp batch=8 width=64") for index in (1, 2)]
        [False, True]
        """
        return int(_digest(name), 16) % self.count == self.index - 1


def parse_shard(text: str) -> Shard | None:
    """Return the shard of an option; None for an empty text.

    Raises:
        UsageError: the text is not K/N with 1 <= K <= N.
    """
    if not text:
        return None
    match = _FORM.fullmatch(text)
    shard = Shard(int(match[1]), int(match[2])) if match else Shard(0, 0)
    if not 1 <= shard.index <= shard.count <= MAX_SHARDS:
        raise UsageError(
            f"--breakeven-shard={one_line(repr(text), 40)} is not K/N with integers 1 <= K <= N <= "
            f"{MAX_SHARDS}; use for example 1/4 for the first of four shards"
        )
    return shard


def keep_shard(config: pytest.Config, items: list[pytest.Item], shard: Shard) -> dict[str, Any]:
    """Deselect the cells, and the other benchmarks, of other shards; return what the run file records.

    That is the shard, its number of cells, and the sweep of which it is a part: its number of cells, and a
    hash of its cases. Invalid sweeps, which fail, and tests that are not benchmarks are in every shard.
    """
    names = {item: _name_of(item) for item in items}
    deselected = [item for item, name in names.items() if name is not None and not shard.holds(name)]
    cases = {item: case_of(item) for item in items if is_case(item)}
    if deselected:
        config.hook.pytest_deselected(items=deselected)
        gone = set(deselected)
        items[:] = [item for item in items if item not in gone]
    return {
        "index": shard.index,
        "count": shard.count,
        "cells": len({cases[item].cell for item in items if item in cases}),
        "sweep_cells": len({case.cell for case in cases.values()}),
        "sweep_id": _digest("\n".join(sorted(case.label() for case in cases.values()))),
    }


def empty_text(record: Mapping[str, Any]) -> str | None:
    """Return one line about a shard without cells, None for another."""
    if record["cells"]:
        return None
    return (
        f"shard {record['index']}/{record['count']} is empty: none of the sweep's "
        f"{plural(record['sweep_cells'], 'cell')} belongs to it, and the other shards have all of them"
    )


def _name_of(item: Any) -> str | None:
    """Return the name whose hash decides about an item, None for one that every shard has."""
    if is_case(item):
        return case_of(item).cell.label()
    is_plain = "benchmark" in getattr(item, "fixturenames", ()) and isinstance(item, pytest.Function)
    return item.nodeid if is_plain else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
