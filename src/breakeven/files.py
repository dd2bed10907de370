"""Atomic writes: a file is either unchanged or complete, never in between."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path


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
    temporary = {path: part_of(path) for path in contents}
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(temporary[path], content)
        for path in contents:
            if path.is_dir():  # checked before the first replacement: `replace` would fail in the middle
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        for path, part in temporary.items():
            _replace(path, part)
    except BaseException:
        for part in temporary.values():
            part.unlink(missing_ok=True)
        raise


def part_of(path: Path) -> Path:
    """Return a new name for the content of a file that is not complete: beside it, or what it links to."""
    real = Path(os.path.realpath(path))
    return real.with_name(f".{real.name}.{os.getpid()}-{os.urandom(4).hex()}.part")


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
    part.replace(os.path.realpath(path))


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())  # a full disk may raise only here
