"""Locks, and temporary files and directories, that do not outlive their process.

Each is locked while it is used. A kill releases the lock, and the next process that writes in the same place
removes what nothing locks. Without file locks, as on Windows, nothing waits, and such leftovers stay.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_SCRATCH = "breakeven-scratch-"
_NAME = re.compile(rf"\.breakeven-.+\.(lock|part)|{_SCRATCH}\w+")


@contextmanager
def locked(path: Path, *, waits: bool = True) -> Iterator[Path]:
    """Wait until no other process has the file `path`, and have it: it exists only meanwhile.

    Raises:
        BlockingIOError: another process has it, and this one does not wait.
        OSError: it cannot be created.
    """
    handle = _hold(path, os.O_RDWR | os.O_CREAT, waits=waits)
    try:
        yield path
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        if handle is not None:
            os.close(handle)


def lock_of(path: Path) -> Path:
    """Return the file to lock while `path` is read and then replaced."""
    return path.with_name(f".breakeven-{path.name[:60]}.lock")


@contextmanager
def temporary_file(directory: Path) -> Iterator[Path]:
    """Yield a new empty file in a directory; in the end it is removed, unless it was renamed.

    Raises:
        OSError: it cannot be created.
    """
    remove_abandoned(directory)
    with locked(directory / f".breakeven-{os.urandom(6).hex()}.part") as path:
        yield path


class ScratchDirectory:
    """A new directory in the system's temporary one; `close` removes it.

    Raises:
        OSError: it cannot be created.
    """

    def __init__(self) -> None:
        remove_abandoned(Path(tempfile.gettempdir()))
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=_SCRATCH))
            with suppress(FileNotFoundError):  # removed by another process before it was locked
                self._handle = _hold(self.path, os.O_RDONLY)
                return

    def close(self) -> None:
        """Remove it with its files."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def is_temporary(name: str) -> bool:
    """Return whether a file or a directory of this name is temporary or a lock.

    >>> is_temporary(".breakeven-0f3a.part"), is_temporary("plan.json")
    (True, False)
    """
    return _NAME.fullmatch(name) is not None


@lru_cache(maxsize=64)  # once in a process: a large directory takes a while to list
def remove_abandoned(directory: Path) -> None:
    """Remove what killed processes of this user have left in a directory."""
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if is_temporary(entry.name):
                with suppress(OSError):
                    _remove_unlocked(Path(entry))


def _remove_unlocked(path: Path) -> None:
    """Remove a file or a directory that nothing locks.

    Raises:
        OSError: something locks it, it is another user's, or it is gone.
    """
    if fcntl is None:
        return
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # a pipe would block
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(handle).st_uid == os.getuid():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    finally:
        os.close(handle)


def _hold(path: Path, flags: int, *, waits: bool = True) -> int | None:
    """Open and lock a file or a directory; None where there are no locks."""
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
        with suppress(OSError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        os.close(handle)  # its last owner has removed it
