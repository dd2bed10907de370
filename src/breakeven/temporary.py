"""Temporary files and directories that do not outlive their process.

Each is locked while it is used. A kill releases the lock, and the next process that writes in the same place
removes what nothing locks. Without locks, as on Windows, such leftovers stay.
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

from breakeven.locks import HAS_LOCKS, hold, is_at, locked, try_lock

_SCRATCH = "breakeven-scratch-"
_NAME = re.compile(rf"\.breakeven-(.+\.lock|[0-9a-f]{{12}}\.part)|{_SCRATCH}[a-z0-9_]{{8}}")


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
                self._handle = hold(self.path, os.O_RDONLY)
                return

    def close(self) -> None:
        """Remove it with its files."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def is_temporary(name: str) -> bool:
    """Return whether a file or a directory of this name is temporary or a lock.

    >>> is_temporary(".breakeven-0123456789ab.part"), is_temporary("plan.json")
    (True, False)
    """
    return _NAME.fullmatch(name) is not None


@lru_cache(maxsize=64)  # once in a process: a large directory takes a while to list
def remove_abandoned(directory: Path) -> None:
    """Remove what killed processes of this user have left in a directory."""
    if not HAS_LOCKS:
        return
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if is_temporary(entry.name):
                with suppress(OSError):
                    _remove_unlocked(Path(entry))


def _remove_unlocked(path: Path) -> None:
    """Remove a file or a directory that nothing locks.

    Raises:
        OSError: it is another user's, or it is gone.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # a pipe would block
    try:
        # Where another process removed it and created it again, ours is locked, and theirs is at the path.
        is_ours = os.fstat(handle).st_uid == os.getuid()
        if is_ours and try_lock(handle, without_locks=False) and is_at(path, handle):
            shutil.rmtree(path) if path.name.startswith(_SCRATCH) else path.unlink()
    finally:
        os.close(handle)
