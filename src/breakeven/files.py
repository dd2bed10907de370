"""Atomic writes: a file is either unchanged or complete, never in between."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from breakeven.temporary import temporary_file


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
            temporary[path] = stack.enter_context(temporary_file(path.parent))
            _write(temporary[path], content)
        for path in contents:
            if path.is_dir():  # checked before the first replacement: `replace` would fail in the middle
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        for path, part in temporary.items():
            part.replace(path)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())  # a full disk may raise only here
