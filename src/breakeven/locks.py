"""Locks of files between processes, each of which ends with the last process that has the file open.

Where there are none, as on Windows and some network file systems, nothing waits and nothing is found locked.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

HAS_LOCKS = fcntl is not None


def try_lock(file: int | IO[bytes], *, is_shared: bool = False, without_locks: bool = True) -> bool:
    """Lock an open file until all processes that have or inherit it close it.

    Returns:
        False if another process has locked it, `without_locks` where files cannot be locked.
    """
    if fcntl is not None:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            return False
        except OSError:  # of the file system
            pass
    return without_locks


def lock_of(path: Path) -> Path:
    """Return the file to lock while `path` is read and then replaced."""
    return path.with_name(f".breakeven-{path.name[:60]}.lock")


@contextmanager
def locked(path: Path, *, waits: bool = True) -> Iterator[Path]:
    """Wait until no other process has the file `path`, and have it: it exists only meanwhile.

    Raises:
        BlockingIOError: another process has it, and this one does not wait.
        OSError: it cannot be created.
    """
    handle = hold(path, os.O_RDWR | os.O_CREAT, waits=waits)
    try:
        yield path
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        if handle is not None:
            os.close(handle)


def hold(path: Path, flags: int, *, waits: bool = True) -> int | None:
    """Open and lock a file or a directory; None where there are no locks.

    Raises:
        BlockingIOError: another process has it, and this one does not wait.
        OSError: it cannot be opened.
    """
    if fcntl is None:
        return None
    while True:
        handle = os.open(path, flags, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(handle)
            raise
        except OSError:  # a file system without locks
            pass
        if is_at(path, handle):
            return handle
        os.close(handle)  # its last owner has removed it


def is_at(path: Path, handle: int) -> bool:
    """Return whether an open file is still the one at a path: another process may have replaced it."""
    with suppress(OSError):
        return os.path.samestat(os.fstat(handle), path.stat())
    return False
