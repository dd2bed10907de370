"""Atomic writes, and reads that end: a file is either unchanged or complete, and no device is read."""

from __future__ import annotations

import errno
import os
import select
import shutil
import stat
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Final

from breakeven.temporary import temporary_file

MAX_SILENT_S: Final = 60.0
"""How long a pipe may send nothing."""

MAX_SMALL_BYTES: Final = 1 << 26
"""The size of the largest file of names or of accepted changes that is read."""

_PART = 1 << 20

_TO_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
"""Not to block on a pipe without a writer; on Windows, not to change the ends of lines."""

_NOT_REPLACED = (errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM)
"""Why a file that may be written cannot be replaced: it is mounted, or its directory may not be written."""


def read_file(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """Return the content of a file, or what a pipe sends until it is closed; a device is refused.

    A pipe without a writer is empty.

    Raises:
        OSError: it cannot be read, is a device, has more than `max_bytes`, or is a silent pipe.
        ValueError: the path contains NUL.
    """
    handle = os.open(path, _TO_READ)
    with open(handle, "rb", buffering=0) as file:  # noqa: PTH123 - of a handle
        state = os.fstat(handle)
        if stat.S_ISDIR(state.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if stat.S_ISCHR(state.st_mode) or stat.S_ISBLK(state.st_mode):
            raise OSError(errno.EINVAL, "it is a device, not a file")
        is_regular = stat.S_ISREG(state.st_mode)
        if is_regular and state.st_size > max_bytes:
            raise _too_large(max_bytes)
        parts: list[bytes] = []
        left = max_bytes
        # A file is read in one part; one of /proc has no size.
        size = state.st_size + 1 if is_regular and state.st_size else _PART
        while left >= 0:
            part = file.read(min(size, left + 1))
            if part is None:  # the pipe has a writer, which has sent nothing yet
                if not select.select([handle], [], [], MAX_SILENT_S)[0]:
                    raise OSError(errno.ETIMEDOUT, f"the pipe sent nothing for {MAX_SILENT_S:.0f} s")
                continue
            if not part:
                return parts[0] if len(parts) == 1 else b"".join(parts)
            parts.append(part)
            left -= len(part)
            size = _PART
    raise _too_large(max_bytes)


def _too_large(max_bytes: int) -> OSError:
    return OSError(errno.EFBIG, f"it has more than {max_bytes:,} bytes")


def write_whole(path: Path, content: bytes) -> None:
    """Replace the file at `path` with `content`, or leave it unchanged; missing directories are created.

    A device or a pipe is written to, not replaced.

    Raises:
        OSError: it cannot be written.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        path.write_bytes(content)
    else:
        write_all({path: content})


def write_all(contents: Mapping[Path, bytes]) -> None:
    """Write several files; none is replaced before all of them are on disk.

    Raises:
        OSError: one of them cannot be written; all files are unchanged.
    """
    with ExitStack() as stack:
        temporary: dict[Path, Path] = {}
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary[path] = stack.enter_context(aside(path))
            _write(temporary[path], content)
        for path in contents:
            if path.is_dir():  # checked before the first replacement: `replace` would fail in the middle
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        for path, part in temporary.items():
            _replace(path, part)


def aside(path: Path) -> AbstractContextManager[Path]:
    """Return the context of a temporary file that can replace the file at `path`, or what that links to.

    It is in the same directory, unless only the file may be written.
    """
    file = Path(os.path.realpath(path))
    is_alone = file.is_file() and not os.access(file.parent, os.W_OK)
    return temporary_file(Path(tempfile.gettempdir()) if is_alone else file.parent)


def put_in_place(path: Path, part: Path) -> None:
    """Replace the file at `path` with `part`, which is complete, once that is on disk.

    Raises:
        OSError: it cannot be replaced; it is unchanged.
    """
    with part.open("rb") as stream:
        os.fsync(stream.fileno())
    _replace(path, part)


def _replace(path: Path, part: Path) -> None:
    """Replace a file, or what a link at `path` leads to, and keep its permissions."""
    if path.exists():
        shutil.copymode(path, part)
    try:
        part.replace(os.path.realpath(path))
    except OSError as error:
        if error.errno not in _NOT_REPLACED or not path.is_file():
            raise
        shutil.copyfile(part, path)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())  # a full disk may raise only here


def discard_unread_output() -> None:
    """Send standard output and standard error to nowhere where their reader has gone, as after ``| head``."""
    for stream in (1, 2):
        if _is_unread(stream):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream)
            os.close(nowhere)


def _is_unread(stream: int) -> bool:
    if not hasattr(select, "poll"):
        return False
    waiting = select.poll()
    waiting.register(stream, 0)  # errors are reported all the same
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in waiting.poll(0))
