"""Disabling the garbage collector while something is timed."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_off(*, collect_first: bool = False) -> Iterator[None]:
    """Disable the garbage collector inside the block, then restore it.

    With `collect_first`, the younger generations are collected first, so that timed rounds start with little
    garbage. The oldest generation is left alone: walking it evicts the caches, which makes the next 20 to 40
    ms of work 3 to 5% slower.
    """
    was_on = gc.isenabled()
    if collect_first:
        gc.collect(1)
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
