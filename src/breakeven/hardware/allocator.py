"""The memory allocator of this process."""

from __future__ import annotations

import ctypes
import os

ALLOCATORS = ("tcmalloc", "jemalloc", "mimalloc")


def allocator() -> str:
    """Return the allocator behind ``malloc``: ``libc``, or one of `ALLOCATORS`.

    Raises:
        OSError: the system does not report which library it is in.
    """
    library = malloc_library().rpartition("/")[2]
    return next((name for name in ALLOCATORS if name in library), "libc")


class _SymbolInfo(ctypes.Structure):
    _fields_ = (
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("symbol", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


def malloc_library() -> str:
    """Return the path of the library whose ``malloc`` this process uses, preloaded ones included."""
    try:
        process = ctypes.CDLL(None)
        info = _SymbolInfo()
        found = process.dladdr(ctypes.cast(process.malloc, ctypes.c_void_p), ctypes.byref(info))
    except (AttributeError, TypeError) as error:  # not on Windows
        raise OSError(f"malloc's library is unknown: {error}") from error
    if not found:
        raise OSError("malloc's library is unknown")
    return os.fsdecode(info.file)
