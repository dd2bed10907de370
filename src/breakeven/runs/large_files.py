"""Reads a large run file benchmark by benchmark: of its numbers, the rounds are kept as arrays.

A file of hundreds of MB would otherwise be in memory as Python's numbers, which take several times as much.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from breakeven.files import read_file
from breakeven.runs.json_files import MAX_BYTES, MAX_DEPTH, is_deeper, mapping, parsed

MIN_LARGE = 16 << 20
"""The bytes from which a file is large."""

_parts_of_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_parts_of_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


def read_large(path: str) -> dict[str, Any] | None:
    """Return the content of a large run file, in which ``stats.data`` are arrays.

    None for other files, and for one that is damaged: who reads that one as a whole can name the problem.
    """
    with suppress(OSError, ValueError, RecursionError):  # msgspec's errors are ValueErrors
        if Path(path).is_file() and Path(path).stat().st_size >= MIN_LARGE:
            return _content(read_file(path, MAX_BYTES))
    return None


def _content(raw: bytes) -> dict[str, Any]:
    """Return the content of a run file.

    Raises:
        ValueError, RecursionError: it is damaged, or not a run file.
    """
    parts = _parts_of_object(raw)
    benchmarks = _parts_of_list(parts.pop("benchmarks", b""))
    content = {name: _value(part, MAX_DEPTH - 1) for name, part in parts.items()}
    return {**content, "benchmarks": list(map(_benchmark, benchmarks))}


def _benchmark(part: msgspec.Raw) -> Any:
    """Return a benchmark, its rounds as an array unless one of them is not a number."""
    benchmark = _value(part, MAX_DEPTH - 2)
    stats = mapping(benchmark).get("stats")
    if isinstance(stats, dict) and stats.get("data"):
        with suppress(msgspec.ValidationError):
            stats["data"] = np.array(msgspec.convert(stats["data"], list[float]))
    return benchmark


def _value(part: msgspec.Raw, levels: int) -> Any:
    value = parsed(bytes(part))
    if is_deeper(value, levels):
        raise ValueError
    return value
