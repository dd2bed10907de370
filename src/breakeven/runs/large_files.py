"""Reads a large run file benchmark by benchmark: only the rounds are kept, as arrays.

A file of hundreds of MB would otherwise be in memory as text and as Python's numbers at the same time.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np

from breakeven.runs.json_files import MAX_BYTES, MAX_DEPTH, is_deeper, mapping, parsed

MIN_LARGE = 16 << 20
"""The bytes from which a file is large."""

_PART = 1 << 20
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[]["{}]', re.DOTALL)
_PLACEHOLDER = b"0"


def read_large(path: str) -> Any:
    """Return the content of a large run file, in which ``stats.data`` are arrays.

    None for other files, and for one that is damaged: who reads that one whole can name the problem.
    """
    with suppress(OSError, ValueError):
        if Path(path).is_file() and MIN_LARGE <= Path(path).stat().st_size <= MAX_BYTES:
            with Path(path).open("rb") as file:
                return _content(file)
    return None


def _content(file: BinaryIO) -> Any:
    """Return the content of a file.

    Raises:
        ValueError: it is not a run file.
    """
    splitter = _Splitter()
    while part := file.read(max(_PART, len(splitter.text))):  # a benchmark larger than a part costs no more
        splitter.feed(part)
    content = parsed(splitter.rest())
    if mapping(content).get("benchmarks") != [int(_PLACEHOLDER)] * len(splitter.benchmarks):
        raise ValueError
    content["benchmarks"] = splitter.benchmarks
    return content


class _Splitter:
    """Takes the objects out of the list of benchmarks, and leaves a placeholder for each.

    `text` begins with the object that has begun, or else with what was not looked at. Brackets in strings are
    passed over as strings; that both texts are JSON is checked where they are parsed.
    """

    def __init__(self) -> None:
        self.benchmarks: list[Any] = []
        self.text = b""
        self._rest: list[bytes] = []
        self._seen, self._depth = 0, 0
        self._key = b""
        self._is_inside = False

    def feed(self, part: bytes) -> None:
        """Read on."""
        self.text, done = self.text + part, 0
        for token in _TOKEN.finditer(self.text, self._seen):
            mark, (start, end) = token[0], token.span()
            if mark == b'"':  # a string that ends in a later part
                self._seen = start
                break
            self._seen = end
            if mark in b"{[":
                self._depth += 1
                self._is_inside |= mark == b"[" and self._depth == 2 and self._key == b'"benchmarks"'
                if mark == b"{" and self._depth == 3 and self._is_inside:
                    self._rest += [self.text[done:start], _PLACEHOLDER]
                    done = start
            elif mark in b"]}":
                self._depth -= 1
                if mark == b"}" and self._depth == 2 and self._is_inside:
                    self.benchmarks.append(_compact(self.text[done:end]))
                    done = end
                self._is_inside &= self._depth > 1
            elif self._depth == 1:
                self._key = mark
        if not (self._is_inside and self._depth > 2):
            self._rest.append(self.text[done : self._seen])
            done = self._seen
        self.text, self._seen = self.text[done:], self._seen - done

    def rest(self) -> bytes:
        """Return the text with the placeholders."""
        return b"".join([*self._rest, self.text])


def _compact(text: bytes) -> Any:
    """Return a benchmark, its rounds as an array unless one of them is not a number."""
    benchmark = parsed(text)
    if is_deeper(benchmark, MAX_DEPTH - 2):
        raise ValueError
    stats = mapping(benchmark).get("stats")
    if isinstance(stats, dict) and stats.get("data"):
        with suppress(msgspec.ValidationError):
            stats["data"] = np.array(msgspec.convert(stats["data"], list[float]))
    return benchmark
