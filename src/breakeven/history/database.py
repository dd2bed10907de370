"""DuckDB as a history uses it: in memory, without extensions, with the names of files as they are."""

from __future__ import annotations

import glob
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from breakeven.format import one_line

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_FILE_NAME = re.compile(r""".*(?:["']: |\\\\?": )|\s*(?:of|in|at end of) file '[^']*'""")


def connection() -> DuckDBPyConnection:
    """Return a new connection to an in-memory database that downloads no extensions."""
    return _database().cursor()


@lru_cache(maxsize=1)
def _database() -> DuckDBPyConnection:
    import duckdb  # starting it takes as long as adding a run, so do it once per process

    settings: dict[str, Any] = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    return duckdb.connect(config={**settings, "threads": min(8, os.cpu_count() or 1)})


def quoted(path: Path) -> str:
    """Return a path as text of SQL."""
    return "'" + str(path.absolute()).replace("'", "''") + "'"


def literal(path: Path) -> str:
    """Return a path for DuckDB, which would read brackets and stars as a pattern."""
    return glob.escape(str(path.absolute()))


def reason_of(error: Exception) -> str:
    """Return why the operating system or DuckDB failed, in one line without the name of a file."""
    if isinstance(error, OSError):
        return one_line(error.strerror or error, 200)
    text = str(error)[:2000].split("\n")[0].partition('","errno"')[0]
    # DuckDB names the temporary file, which means nothing to the user; sometimes the message is JSON.
    return one_line(_FILE_NAME.sub("", text), 200)
