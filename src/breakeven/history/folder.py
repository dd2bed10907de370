"""A store in a directory."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from breakeven.errors import StorageError, StoreError
from breakeven.files import MAX_SMALL_BYTES, read_file, write_whole
from breakeven.format import one_line
from breakeven.history.database import reason_of
from breakeven.locks import lock_of, locked
from breakeven.temporary import temporary_file

CLASS_PREFIX = "class="
SUFFIX = ".parquet"

_RUN_FILE = re.compile(rf"{CLASS_PREFIX}[^/]*/[^./][^/]*{re.escape(SUFFIX)}")

CREATE = "create one with `breakeven history add RUN.json --store"


def is_run_file(name: str) -> bool:
    """Return whether a name in a store is that of a run's file, and not of a temporary one.

    >>> is_run_file("class=0f3a9c/20260101T000000Z-ab.parquet"), is_run_file("class=0f3a9c/.ab.parquet")
    (True, False)
    """
    return _RUN_FILE.fullmatch(name) is not None


@dataclass(frozen=True)
class Folder:
    """A store in the directory `path`, which need not exist.

    Each file is written under a temporary name that readers ignore, synced, and then linked to its final
    name. A killed writer leaves only a temporary file, which the next one removes.
    """

    path: str

    @property
    def directory(self) -> Path | None:
        """The directory itself."""
        return Path(self.path)

    def where(self, name: str = "") -> str:
        """Return the path of a file, or of the directory."""
        return str(Path(self.path, name))

    def names(self) -> list[str]:
        """Return the names of the runs' files, sorted by class and time.

        Raises:
            StoreError: the directory does not exist, or cannot be read.
        """
        try:
            classes = [entry for entry in os.scandir(self.path) if entry.name.startswith(CLASS_PREFIX)]
            files = [(entry, file) for entry in classes for file in os.scandir(entry.path)]
            found = [f"{entry.name}/{file.name}" for entry, file in files if not _is_special(file)]
        except OSError as error:
            problem = "it does not exist" if isinstance(error, FileNotFoundError) else error.strerror
            raise StoreError(
                f"{one_line(self.where(), 300)} is not a store of runs ({problem}); {CREATE} DIR`"
            ) from error
        return sorted(filter(is_run_file, found))

    def exists(self, name: str) -> bool:
        """Return whether there is a file of this name."""
        return Path(self.path, name).exists()

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, None if it does not exist.

        Raises:
            OSError: it cannot be read.
        """
        try:
            return read_file(Path(self.path, name), MAX_SMALL_BYTES)
        except FileNotFoundError:
            return None

    @contextlib.contextmanager
    def as_files(self, names: Sequence[str]) -> Iterator[dict[str, Path]]:
        """Yield the path of each name."""
        yield {name: Path(self.path, name) for name in names}

    def publish(self, name: str, write: Callable[[Path], None]) -> bool:
        """Let `write` write a file, and then give it its name; return False if the name already exists.

        Raises:
            StorageError: it cannot be written; nothing is left of it.
        """
        import duckdb

        path = Path(self.path, name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary_file(path.parent) as temporary:
                write(temporary)
                _sync(temporary)
                is_new = _link(temporary, path)
            _sync(path.parent)
        except (OSError, duckdb.Error) as error:
            remedy = "free some space or choose another --store"
            raise StorageError(str(path.parent), reason_of(error), remedy) from error
        return is_new

    def update(self, name: str, change: Callable[[bytes | None], bytes]) -> None:
        """Replace the content of a file, None where it does not exist, by what `change` makes of it.

        Concurrent calls take turns.

        Raises:
            OSError: it cannot be read or written; it is unchanged.
        """
        path = Path(self.path, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(lock_of(path)):
            write_whole(path, change(self.read(name)))


def _is_special(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry leads to a pipe, on which DuckDB would wait, a device or a socket."""
    return not (entry.is_file() or entry.is_dir()) and os.path.exists(entry)  # noqa: PTH110 - an entry is no Path


def _link(temporary: Path, path: Path) -> bool:
    """Give the finished file its name unless that exists; unlike a rename, a link never replaces a file."""
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        if path.exists():
            return False
        temporary.rename(path)
    return True


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
