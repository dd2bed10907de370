"""Reads the journal of a run as the scripts need it, by nothing of breakeven's own.

A journal has a JSON object a line. A case that ended in a process is ``{"kind": "end", "process", "case",
"outcome", "data"}``, with its rounds in seconds where the outcome is ``timed``.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from shared import Json

Rounds = dict[tuple[int, str], tuple[float, ...]]
"""The rounds of each case in each process."""

POLL_S = 0.02


def lines(raw: bytes) -> list[Json]:
    """Return the objects of the whole lines; one that was cut off, or is not JSON, is left out."""
    found = []
    for line in raw.split(b"\n")[:-1]:
        try:
            one = json.loads(line)
        except ValueError:
            continue
        if isinstance(one, dict):
            found.append(one)
    return found


def finished(raw: bytes) -> Rounds:
    """Return the rounds of every case that has ended with a timing."""
    return {
        (line["process"], line["case"]): tuple(line["data"])
        for line in lines(raw)
        if line.get("kind") == "end" and line.get("outcome") == "timed"
    }


def measured_twice(raw: bytes) -> list[str]:
    """Return the cases of which one process has two different timings."""
    found: dict[tuple[int, str], set[tuple[float, ...]]] = {}
    for line in lines(raw):
        if line.get("kind") == "end" and line.get("outcome") == "timed":
            found.setdefault((line["process"], line["case"]), set()).add(tuple(line["data"]))
    return [f"process {process}: {case}" for (process, case), timings in found.items() if len(timings) > 1]


def rounds_of(run_file: Mapping[str, Any]) -> Rounds:
    """Return the rounds of each case in each process of a run file's content."""
    found: Rounds = {}
    for benchmark in run_file["benchmarks"]:
        data, start = benchmark["stats"]["data"], 0
        for process, count in enumerate(benchmark["extra_info"].get("processes", [len(data)])):
            if count:
                found[process, benchmark["fullname"]] = tuple(data[start : start + count])
            start += count
    return found


def missing_from(after: Rounds, before: Rounds) -> list[str]:
    """Return what was finished before and is not there after, or has other rounds."""
    return [
        f"process {process}: {case}"
        for (process, case), data in before.items()
        if after.get((process, case)) != data
    ]


class Watch:
    """Keeps what is written to a file while the context is entered, also after it was removed or replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: dict[int, int] = {}
        self._last = b""
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._last = self.read()
        while self._open:
            os.close(self._open.popitem()[1])

    @property
    def has_begun(self) -> bool:
        """Whether the file has been there."""
        return bool(self._open)

    def read(self) -> bytes:
        """Return all that was written so far."""
        files = list(self._open.values())
        return self._last or b"".join(os.pread(file, os.fstat(file).st_size, 0) for file in files)

    def _follow(self) -> None:
        while not self._done.wait(POLL_S):
            self._look()
        self._look()

    def _look(self) -> None:
        try:
            descriptor = os.open(self._path, os.O_RDONLY)
        except OSError:
            return
        number = os.fstat(descriptor).st_ino
        if number in self._open:
            os.close(descriptor)
        else:
            self._open[number] = descriptor
