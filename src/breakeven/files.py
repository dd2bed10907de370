"""Writing a file so that nobody ever meets half of it. Knows nothing of what stands in it."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` beside `path` and put it in its place at once; what stood there stays until then.

    Raises:
        OSError: it cannot be written; nothing new is left behind.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())  # a full disk may only tell now
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
