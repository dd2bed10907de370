"""How one value of the command line is read: numbers, shares, lists and paths.

Owns the complaint about each, to which argparse adds the option's name. Refuses to know what values are for.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def whole_number(text: str) -> int:
    """Read a whole number.

    >>> whole_number("12")
    12
    """
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no whole number; write one such as 10") from None


def file_path(text: str) -> str:
    """Read a path. The empty one, which an unset variable leaves, would be the working directory.

    >>> file_path("run.json")
    'run.json'
    """
    if not text:
        raise argparse.ArgumentTypeError("'' names no file; write its path")
    return text


def directory_path(text: str) -> Path:
    """Read the path of a directory, which may be made yet.

    >>> directory_path("out").name
    'out'
    """
    if not text:
        raise argparse.ArgumentTypeError("'' names no directory; write its path")
    if os.path.exists(text) and not os.path.isdir(text):  # noqa: PTH110, PTH112 - which bear any text
        raise argparse.ArgumentTypeError(f"{text!r} is no directory; name another")
    return Path(text)


def share(text: str) -> float:
    """Read ``2%`` or ``0.02``.

    >>> share("2%"), share("0.1")
    (0.02, 0.1)
    """
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share between 0 and 1; write 2% or 0.02")
    return value


def names(text: str) -> tuple[str, ...]:
    """Read a list of comma-separated names."""
    return tuple(filter(None, (name.strip() for name in text.split(","))))
