"""The file that ``--benchmark-json`` names: checked before measuring, and written even without any timing."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from breakeven.errors import UsageError
from breakeven.files import aside, put_in_place, write_whole
from breakeven.format import one_line
from breakeven.locks import lock_of, locked


class Aside(os.PathLike[str]):
    """A file that is opened under another name, until it is complete."""

    def __init__(self, path: Path, part: Path) -> None:
        self.path, self.part = path, part

    def __fspath__(self) -> str:
        """Return the path to open."""
        return str(self.part)

    def __str__(self) -> str:
        """Return the path that a message names."""
        return str(self.path)


class RunFile:
    """The run file of one session. pytest-benchmark writes it if any benchmark was timed.

    It writes beside the file of an earlier run, which is replaced by what is complete: a kill or a full disk
    costs no results. `content` was or would have been written; `problem` is why it could not be.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.content: dict[str, Any] | None = None
        self.problem: str | None = None
        self._aside: Aside | None = None
        self._open = ExitStack()

    def begin(self, config: pytest.Config) -> None:
        """Let pytest-benchmark write beside the file, unless that is a device or a pipe.

        Raises:
            UsageError: the file cannot be written, or another run writes it.
        """
        if self.path is None:
            return
        with suppress(OSError):  # `check_writable` explains it
            if _is_replaced(self.path):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._open.enter_context(_only_writer(self.path))
        check_writable(self.path)
        if _is_replaced(self.path):
            part = self._open.enter_context(aside(self.path))
            benchmark: Any = config.pluginmanager.get_plugin("pytest-benchmark")
            benchmark.json = self._aside = Aside(self.path, part)
            config.pluginmanager.register(self)

    # After pytest-benchmark has written its file, and before the summary, which reads it, is printed.
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        """Put in place what pytest-benchmark wrote."""
        if self._aside is not None and self._aside.part.stat().st_size:
            put_in_place(self._aside.path, self._aside.part)
        return (yield)

    def close(self) -> None:
        """Remove what is not complete."""
        self._open.close()

    @property
    def written(self) -> Path | None:
        """The file with this session's timings, None if it has none: an older one may be in its place."""
        return self.path if self.content is not None and self.problem is None else None

    def write_without_timings(self, config: pytest.Config) -> None:
        """Write the file if pytest-benchmark did not, so that no older one is left in its place."""
        if self.path is None or self.content is not None:
            return
        # What pytest-benchmark would write without a benchmark.
        hook = config.hook
        machine_info = hook.pytest_benchmark_generate_machine_info(config=config)
        hook.pytest_benchmark_update_machine_info(config=config, machine_info=machine_info)
        output: dict[str, Any] = hook.pytest_benchmark_generate_json(
            config=config,
            benchmarks=[],
            include_data=True,
            machine_info=machine_info,
            commit_info=hook.pytest_benchmark_generate_commit_info(config=config),
        )
        hook.pytest_benchmark_update_json(config=config, benchmarks=[], output_json=output)
        write_whole(self.path, _encoded(output))

    def save_elsewhere(self, error: OSError) -> None:
        """Save the results in a temporary file, and record why."""
        reason = f"the results could not be written ({one_line(error.strerror or error, 300)})"
        self.problem = f"{reason}; free some space, and measure again"
        if self.content is not None:
            with suppress(OSError):
                self.problem = (
                    f"{reason}; they were saved in {_write_temporary(self.content)}, move that file"
                )


def _is_replaced(path: Path) -> bool:
    """Return whether a file will be put in place, not written into, as a device and a pipe are."""
    return path.is_file() or not path.exists()


@contextmanager
def _only_writer(path: Path) -> Iterator[None]:
    """Let no other run write this file, which would replace the results of this one.

    Raises:
        UsageError: another run writes it.
    """
    lock, other = lock_of(path), "unknown"
    try:
        with locked(lock, waits=False):
            lock.write_text(str(os.getpid()))
            yield
    except BlockingIOError:
        with suppress(OSError):
            other = one_line(lock.read_text(errors="replace"), 20)
        raise UsageError(
            f"{path} is being written by another run (process {other}); wait for it, or choose another file "
            "with --benchmark-json"
        ) from None


def check_writable(path: Path) -> None:
    """Create the directory of a file, and check that the file can be written.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        if is_new or path.is_file() or path.is_dir():  # closing a pipe would end it for its reader
            path.open("ab").close()  # checking permissions is not enough: root has all of them
        if is_new and not path.is_symlink():  # unlinking it would remove the link
            path.unlink()
    except OSError as error:
        raise UsageError(
            f"--benchmark-json={path} cannot be written ({error.strerror}); choose a file that you may write"
        ) from None


def _write_temporary(content: dict[str, Any]) -> Path:
    handle, name = tempfile.mkstemp(prefix="breakeven-run-", suffix=".json")
    with os.fdopen(handle, "wb") as file:
        file.write(_encoded(content))
    return Path(name)


def _encoded(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=4, default=str).encode()
