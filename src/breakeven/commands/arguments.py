"""Types of command-line arguments: each parses one value, or reports what was expected."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from breakeven.history.storage import Storage


def whole_number(text: str) -> int:
    """Read an integer.

    >>> whole_number("12")
    12
    """
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not an integer; pass one such as 10") from None


def file_path(text: str) -> str:
    """Read the path of a file. An empty one, from an unset variable, would mean the working directory.

    >>> file_path("run.json")
    'run.json'
    """
    if not text:
        raise argparse.ArgumentTypeError("'' is not a path; pass the path of a file")
    return text


def label(text: str) -> tuple[str, str]:
    """Read the path of a run file and the name of its machine.

    >>> label("results/run.json=my laptop")
    ('results/run.json', 'my laptop')
    """
    file, _, name = (part.strip() for part in text.rpartition("="))
    if not file or not name or "/" in name or not name.isprintable():
        raise argparse.ArgumentTypeError(
            f"{text!r} is not FILE=NAME with a name without '/'; pass a run and a name, as in run.json=laptop"
        )
    return file, name


def key_value(text: str) -> tuple[str, str]:
    """Read a key with its value.

    >>> key_value("accelerator=H100")
    ('accelerator', 'H100')
    """
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not KEY=VALUE, such as accelerator=H100")
    return key, value


def directory_path(text: str) -> Path:
    """Read the path of a directory, which need not exist.

    >>> directory_path("out").name
    'out'
    """
    if not text:
        raise argparse.ArgumentTypeError("'' is not a path; pass the path of a directory")
    if os.path.exists(text) and not os.path.isdir(text):  # noqa: PTH110, PTH112 - which accept any text
        raise argparse.ArgumentTypeError(f"{text!r} is not a directory; pass another path")
    return Path(text)


def storage(text: str) -> Storage:
    """Read the store of a history: a directory, which need not exist, or a URL.

    >>> storage("s3://bucket/perf/").where()
    's3://bucket/perf'
    """
    from breakeven.errors import UsageError
    from breakeven.history.storage import open_storage

    try:
        found = open_storage(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if found.directory is not None:
        directory_path(text)
    return found


def fraction(text: str) -> float:
    """Read a fraction, ``2%`` or ``0.02``.

    >>> fraction("2%"), fraction("0.1")
    (0.02, 0.1)
    """
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a percentage below 100% or a fraction below 1; pass 2% or 0.02"
        )
    return value


MIN_AMOUNT, MAX_AMOUNT = 1e-6, 1e6
"""Prices and thresholds outside this range are mistakes, and could exceed what a float holds."""


def price(text: str) -> tuple[str, float]:
    """Read the price of a device, ``[MACHINE/]DEVICE=USD/h``.

    >>> price("cpu=0.20/h"), price("EPYC/cuda=2/h")
    (('cpu', 0.2), ('EPYC/cuda', 2.0))
    """
    name, _, amount = text.rpartition("=")
    usd = _amount(amount.removesuffix("/h"))
    if not name or not amount.endswith("/h") or usd is None:
        raise argparse.ArgumentTypeError(
            f"{text[:80]!r} is not DEVICE=USD/h with {MIN_AMOUNT:.6f} to {MAX_AMOUNT:,.0f} dollars per hour; "
            "pass a price such as cuda=2.00/h"
        )
    return name, usd


def worth(text: str) -> float:
    """Read how many times faster is worth it, ``10x`` or ``10``.

    >>> worth("10x"), worth("1.5")
    (10.0, 1.5)
    """
    factor = _amount(text.removesuffix("x"))
    if factor is None:
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r} is not a factor from {MIN_AMOUNT:.6f} to {MAX_AMOUNT:,.0f}; pass one such as 10x"
        )
    return factor


def _amount(text: str) -> float | None:
    """Return a number in range, None for any other text."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if MIN_AMOUNT <= value <= MAX_AMOUNT else None


def names(text: str) -> tuple[str, ...]:
    """Read comma-separated names.

    >>> names("torch, driver")
    ('torch', 'driver')
    """
    return tuple(filter(None, (name.strip() for name in text.split(","))))
