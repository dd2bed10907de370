"""A store under a prefix of a bucket, on S3 or an object store with its interface.

Credentials, region and endpoint are those of the environment, as for every AWS tool: ``AWS_ACCESS_KEY_ID``,
``AWS_PROFILE``, ``AWS_ENDPOINT_URL`` and so on. DuckDB reads downloaded copies: its own S3 client is an
extension that it would download, and through a Python file system it asks for every file several times.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from breakeven.errors import StorageError, StoreError, UsageError
from breakeven.files import MAX_SMALL_BYTES
from breakeven.format import one_line
from breakeven.history.database import reason_of
from breakeven.history.folder import CLASS_PREFIX, CREATE, is_run_file
from breakeven.runs.json_files import MAX_BYTES
from breakeven.temporary import ScratchDirectory

CONNECTIONS = 16
"""How many files are downloaded at the same time."""

CONNECT_TIMEOUT_S, READ_TIMEOUT_S, ATTEMPTS = 5, 15, 3

MAX_CONFLICTS = 100
"""How often a file is written again because another writer came first."""

_MISSING = frozenset({"NoSuchKey", "404"})
_CONFLICTS = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409", *_MISSING})

_SETTINGS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, and AWS_DEFAULT_REGION"
_PERMISSIONS = "allow these credentials s3:ListBucket, s3:GetObject and s3:PutObject on it"
_NETWORK = "check the network, AWS_ENDPOINT_URL and AWS_DEFAULT_REGION, and repeat the command"

_Result = TypeVar("_Result")

_REFUSALS = {
    "NoSuchBucket": ("the bucket does not exist", "create it, or correct the URL"),
    "NotImplemented": (
        "it supports no conditional writes",
        "use one that does, since concurrent writers could replace each other's files",
    ),
    **dict.fromkeys(("AccessDenied", "AllAccessDisabled", "403"), ("access is refused", _PERMISSIONS)),
    **dict.fromkeys(
        ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"),
        ("the credentials are refused", _SETTINGS),
    ),
}


@dataclass(frozen=True)
class Bucket:
    """A store in a bucket; `prefix` is empty where it is all of the bucket."""

    bucket: str
    prefix: str

    directory = None

    def where(self, name: str = "") -> str:
        """Return the URL of a file, or of the store."""
        return "/".join(filter(None, (f"s3://{self.bucket}", self.prefix, name)))

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name

    def names(self) -> list[str]:
        """Return the names of the runs' files, sorted by class and time.

        Raises:
            StoreError: the store has no runs, or cannot be read.
        """

        def keys(client: Any) -> list[str]:
            listing = client.get_paginator("list_objects_v2")
            pages = listing.paginate(Bucket=self.bucket, Prefix=self._key(CLASS_PREFIX))
            return [found["Key"] for page in pages for found in page.get("Contents", ())]

        names = (key.removeprefix(self._key("")) for key in self._attempt("", keys) or ())
        if found := sorted(filter(is_run_file, names)):
            return found
        url = one_line(self.where(), 300)  # a prefix exists only in the names of objects
        raise StoreError(f"{url} is not a store of runs (it has none); {CREATE} {url}`")

    def exists(self, name: str) -> bool:
        """Return whether there is an object of this name.

        Raises:
            StorageError: the bucket cannot be read.
        """
        found = self._attempt(name, lambda client: client.head_object(**self._object(name)), _MISSING)
        return found is not None

    def read(self, name: str) -> bytes | None:
        """Return the content of an object, None if it does not exist.

        Raises:
            StorageError: it cannot be read.
        """
        return self._get(name, MAX_SMALL_BYTES)[0]

    @contextmanager
    def as_files(self, names: Sequence[str]) -> Iterator[dict[str, Path]]:
        """Yield the path of a copy of each object; there is none of an object that was removed since.

        Raises:
            StorageError: one of them cannot be read, or there is no space for the copies.
        """
        with _scratch() as directory:
            paths = [directory / f"{i}.parquet" for i in range(len(names))]
            with ThreadPoolExecutor(CONNECTIONS) as pool:
                list(pool.map(self._copy, names, paths))
            yield dict(zip(names, paths, strict=True))

    def _copy(self, name: str, path: Path) -> None:
        content, _ = self._get(name, MAX_BYTES)
        if content is not None:
            with _writing_locally():
                path.write_bytes(content)

    def publish(self, name: str, write: Callable[[Path], None]) -> bool:
        """Upload the file that `write` writes; return False if the name already exists.

        Raises:
            StorageError: it cannot be written; nothing of it is in the bucket.
        """
        with _scratch() as directory:
            path = directory / "run.parquet"
            with _writing_locally():
                write(path)
                content = path.read_bytes()
        for _ in range(MAX_CONFLICTS):
            if self._put(name, content, IfNoneMatch="*"):
                return True
            if self.exists(name):
                return False
        raise self._contended(name)

    def update(self, name: str, change: Callable[[bytes | None], bytes]) -> None:
        """Replace the content of an object, None where it does not exist, by what `change` makes of it.

        Raises:
            StorageError: it cannot be read or written; it is unchanged.
        """
        for _ in range(MAX_CONFLICTS):
            content, version = self._get(name, MAX_SMALL_BYTES)
            condition = {"IfNoneMatch": "*"} if content is None else {"IfMatch": version}
            if self._put(name, change(content), **condition):
                return
        raise self._contended(name)

    def _get(self, name: str, max_bytes: int) -> tuple[bytes | None, str]:
        """Return the content and the version of an object, None and "" if it does not exist."""

        def get(client: Any) -> tuple[bytes, str]:
            found = client.get_object(**self._object(name))
            content = found["Body"].read(max_bytes + 1)
            if len(content) > max_bytes:
                raise StorageError(self.where(name), f"it has more than {max_bytes:,} bytes", "remove it")
            return content, found["ETag"]

        return self._attempt(name, get, _MISSING) or (None, "")

    def _put(self, name: str, content: bytes, **condition: str) -> bool:
        """Write an object; return False if the condition does not hold, or no longer.

        A repeated request may find what the first one wrote. That is False too, and harmless: a run's file
        is then in the store, and to accept a change again changes nothing.
        """

        def put(client: Any) -> Any:
            return client.put_object(**self._object(name), Body=content, **condition)

        return self._attempt(name, put, _CONFLICTS) is not None

    def _object(self, name: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self._key(name)}

    def _contended(self, name: str) -> StorageError:
        return StorageError(self.where(name), "other writers keep changing it", "repeat the command")

    def _attempt(
        self, name: str, act: Callable[[Any], _Result], expected: frozenset[str] = frozenset()
    ) -> _Result | None:
        """Return what `act` returns for the client, None if the object store answers with an expected code.

        Raises:
            StorageError: the object store or the network refuses.
            UsageError: boto3 is not installed.
        """
        try:
            import boto3  # noqa: F401
            from botocore.exceptions import BotoCoreError, ClientError
        except ModuleNotFoundError as error:
            raise UsageError(
                f"{one_line(self.where(), 300)} needs the package {error.name}; "
                "install it with `python -m pip install 'breakeven[s3]'`"
            ) from error
        try:
            return act(_client())
        except ClientError as error:
            if _code(error) in expected:
                return None
            raise StorageError(self.where(name), *_refusal(error)) from error
        except BotoCoreError as error:
            raise StorageError(self.where(name), *_failure(error)) from error


@lru_cache(maxsize=1)
def _client() -> Any:
    """Return the client of this process, which all threads share."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, EndpointConnectionError

    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        max_pool_connections=CONNECTIONS,
    )
    try:
        return boto3.Session().client("s3", config=config)
    except BotoCoreError:  # some of which are ValueErrors too
        raise
    except ValueError as error:  # AWS_ENDPOINT_URL is not a URL
        raise EndpointConnectionError(endpoint_url=error) from error


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _refusal(error: Any) -> tuple[str, str]:
    """Return why the object store refuses, and what to do."""
    message = one_line(error.response.get("Error", {}).get("Message") or "it refuses", 200)
    problem, remedy = _REFUSALS.get(_code(error), (message, _NETWORK))
    return f"{problem} ({one_line(_code(error), 60)})", remedy


def _failure(error: Exception) -> tuple[str, str]:
    """Return why there was no request or no answer, and what to do."""
    from botocore import exceptions

    no_answer = (exceptions.ConnectionError, exceptions.HTTPClientError, exceptions.ResponseStreamingError)
    remedy = _NETWORK if isinstance(error, no_answer) else _SETTINGS
    return one_line(str(error).rstrip("."), 300), remedy


@contextmanager
def _scratch() -> Iterator[Path]:
    with _writing_locally():
        made = ScratchDirectory()
    with closing(made):
        yield made.path


@contextmanager
def _writing_locally() -> Iterator[None]:
    """Raise what the local disk refuses as a `StorageError`."""
    import duckdb

    try:
        yield
    except (OSError, duckdb.Error) as error:
        remedy = "free some space, or set TMPDIR to a directory with more"
        raise StorageError(tempfile.gettempdir(), reason_of(error), remedy) from error
