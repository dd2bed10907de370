"""Locks, and temporary files that a kill does not leave for good."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from breakeven.files import write_whole
from breakeven.locks import lock_of, locked, try_lock
from breakeven.temporary import ScratchDirectory, remove_abandoned, temporary_file

KILLED = """
import os, signal
from pathlib import Path
from breakeven.locks import lock_of, locked
from breakeven.temporary import ScratchDirectory, temporary_file
folder = Path(os.environ["TMPDIR"])
with locked(lock_of(folder / "accepted.json")), temporary_file(folder) as path:
    path.write_bytes(b"half")
    (ScratchDirectory().path / "output").write_text("a line")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def new_process(tmp_path, monkeypatch):
    """Behave like a process that has not looked for leftovers, whose temporary directory is `tmp_path`."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    remove_abandoned.cache_clear()


def listed(path):
    return sorted(item.name for item in path.iterdir())


@pytest.fixture
def leftovers(tmp_path):
    """What a killed process leaves."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED], env={**os.environ, "TMPDIR": str(tmp_path)}, check=False
    )
    assert done.returncode == -signal.SIGKILL
    found = listed(tmp_path)
    assert len(found) == 3
    return found


def test_leftovers_are_removed_by_the_next_write(leftovers, tmp_path):
    """And nothing else: neither what a living process uses, nor the user's files."""
    (tmp_path / ".breakeven").mkdir()
    (tmp_path / "breakeven-run-x.json").touch()
    mine, other = ScratchDirectory(), temporary_file(tmp_path)
    remove_abandoned.cache_clear()
    with other as used:
        write_whole(tmp_path / "file", b"new")
        assert listed(tmp_path) == sorted(
            [".breakeven", used.name, "breakeven-run-x.json", mine.path.name, "file"]
        )
    mine.close()
    assert listed(tmp_path) == [".breakeven", "breakeven-run-x.json", "file"]
    assert leftovers


def test_leftovers_of_other_kinds(tmp_path):
    """A pipe is not waited for, a link is not followed, and a directory of the user's is not emptied."""
    os.mkfifo(tmp_path / ".breakeven-0123456789ab.part")
    (tmp_path / "kept").mkdir()
    (tmp_path / "breakeven-scratch-abcd_123").mkdir()
    (tmp_path / "breakeven-scratch-mine").mkdir()
    (tmp_path / ".breakeven-x.lock").mkdir()
    (tmp_path / "breakeven-scratch-abcd_124").symlink_to(tmp_path / "kept")
    remove_abandoned(tmp_path)
    assert listed(tmp_path) == [
        ".breakeven-x.lock", "breakeven-scratch-abcd_124", "breakeven-scratch-mine", "kept",
    ]  # fmt: skip


def test_lock_that_another_process_has_meanwhile(tmp_path, monkeypatch):
    """Between opening and locking it, another process removed its file, and a third has it again."""
    path = tmp_path / ".breakeven-x.lock"
    path.touch()

    def slow(handle, **options):
        path.unlink()
        path.touch()
        return try_lock(handle, **options)

    monkeypatch.setattr("breakeven.temporary.try_lock", slow)
    remove_abandoned(tmp_path)
    assert path.exists()


def test_without_locks(tmp_path, monkeypatch):
    """As on some network file systems: nothing waits, and what may be in use is not removed."""

    def flock(*_):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", flock)
    (tmp_path / ".breakeven-x.lock").touch()
    with locked(tmp_path / "lock") as first, first.open("rb") as file:
        assert try_lock(file)
        write_whole(tmp_path / "file", b"new")
    assert listed(tmp_path) == [".breakeven-x.lock", "file"]


def test_missing_directory(tmp_path):
    remove_abandoned(tmp_path / "missing")


def test_locks_take_turns(tmp_path):
    """No two have the lock at once, although each removes its file."""
    path, counter = tmp_path / "count", [0]
    lock, errors = lock_of(path), []

    def count():
        for _ in range(25):
            with locked(lock):
                before = counter[0]
                tmp_path.stat()  # releases the interpreter's own lock
                errors.extend([before] if counter[0] != before else [])
                counter[0] = before + 1

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (counter[0], errors, listed(tmp_path)) == (200, [], [])


def test_long_names(tmp_path):
    """A file may have the longest name that the file system allows."""
    path = tmp_path / ("x" * 255)
    write_whole(path, b"new")
    with locked(lock_of(path)):
        assert Path(path).read_bytes() == b"new"


def test_lock_whose_file_is_removed_meanwhile(tmp_path, monkeypatch):
    """Another process has had it, and a third would create it again: it is created and locked again."""
    path, calls = tmp_path / "lock", []

    def flock(*_):
        if not calls:
            path.unlink()
        calls.append(path.exists())

    monkeypatch.setattr(fcntl, "flock", flock)
    with locked(path):
        assert calls == [False, True]
        assert path.exists()
