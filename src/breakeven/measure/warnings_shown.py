"""Warnings while a case is built and measured."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def warnings_shown() -> Iterator[None]:
    """Show warnings that would be errors, for the duration of the block; ignored ones are still ignored.

    A project's ``filterwarnings = error`` is for its tests. torch gives some warnings once in a process: as
    an error, such a warning would fail the first case that causes it, and no other.
    """
    with warnings.catch_warnings():
        filters: Any = warnings.filters
        filters[:] = [("default" if action == "error" else action, *others) for action, *others in filters]
        yield
