"""Where a store keeps its files: in a directory, or under a prefix of a bucket with the interface of S3.

Both have the same names: ``class=CLASS/TIME-DIGEST.parquet`` and ``accepted.json``. A run's file appears
complete or not at all and never replaces another one, so that any number of writers need no index or lock. In
a bucket this rests on conditional writes: ``If-None-Match: *`` for a run's file, and ``If-Match`` with the
version that was read for ``accepted.json``, so that no concurrent writer's entry is lost. In a directory
the writers of ``accepted.json`` take turns with a lock.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass

from breakeven.errors import UsageError
from breakeven.format import one_line
from breakeven.history.bucket import Bucket
from breakeven.history.folder import Folder

Storage = Folder | Bucket
Location = str | os.PathLike[str] | Storage
"""A storage, or its directory or URL."""

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://(?P<bucket>[^/]*)/?(?P<prefix>.*)", re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_FORM = "s3://BUCKET/PREFIX"


def open_storage(location: Location) -> Storage:
    """Return the storage of a directory, or of a URL ``s3://BUCKET/PREFIX``; nothing is read yet.

    Raises:
        UsageError: the URL is malformed, or of another scheme.
    """
    if isinstance(location, Folder | Bucket):
        return location
    text = os.fspath(location)
    url = _URL.fullmatch(text)
    if url:
        return _bucket(text, url)
    if text.lower().startswith("s3:"):  # a slash was forgotten, or lost in a `Path`
        rest = text[3:].lstrip("/")
        raise UsageError(
            f"{one_line(repr(text))} is not {_FORM}; "
            f"write s3://{one_line(rest) or 'BUCKET'} for a bucket, or ./{one_line(text)} for a directory"
        )
    return Folder(text)


def _bucket(text: str, url: re.Match[str]) -> Bucket:
    scheme, bucket, prefix = url["scheme"], url["bucket"], url["prefix"].rstrip("/")
    if scheme.lower() != "s3":
        raise UsageError(f"{one_line(repr(text))}: {scheme}:// is not supported; pass a directory or {_FORM}")
    if not _BUCKET.fullmatch(bucket):
        raise UsageError(
            f"{one_line(repr(text))}: {bucket!r} is not the name of a bucket (at least 3 "
            f"letters, digits, dots, hyphens and underscores); pass {_FORM}"
        )
    if prefix and not all(part.isprintable() and part.strip(".") for part in prefix.split("/")):
        raise UsageError(
            f"{one_line(repr(text))}: the prefix has an empty part, '.', '..' or a control character; "
            f"pass {_FORM} without them"
        )
    return Bucket(bucket, prefix)


@dataclass(frozen=True)
class StoredFile:
    """One file of a storage, such as that of the accepted changes."""

    storage: Storage
    name: str

    @classmethod
    def at(cls, location: str | os.PathLike[str] | StoredFile) -> StoredFile:
        """Return the file of a path or a URL.

        Raises:
            UsageError: the URL is malformed, or not that of a file.
        """
        if isinstance(location, StoredFile):
            return location
        head, name = os.path.split(os.fspath(location))
        storage = open_storage(head)
        if storage.directory is None and not name:
            raise UsageError(f"{one_line(repr(location))} is not the URL of a file; pass s3://BUCKET/KEY")
        return cls(storage, name)

    def __str__(self) -> str:
        return self.storage.where(self.name)

    def exists(self) -> bool:
        """Return whether it exists."""
        return self.storage.exists(self.name)

    def read(self) -> bytes | None:
        """Return its content, None if it does not exist.

        Raises:
            OSError, StorageError: it cannot be read.
        """
        return self.storage.read(self.name)

    def update(self, change: Callable[[bytes | None], bytes]) -> None:
        """Replace its content, None where it does not exist, by what `change` makes of it.

        In a bucket `change` is called again where another writer came first.

        Raises:
            OSError, StorageError: it cannot be written; it is unchanged.
        """
        self.storage.update(self.name, change)
