"""Atomic writes: new content is complete, and a failed write changes nothing. Reads that end."""

import errno
import os
import stat
from contextlib import nullcontext

import pytest

from breakeven import files
from breakeven.files import aside, read_file, write_all, write_whole


def listed(path):
    return sorted(item.name for item in path.iterdir())


def test_write_whole(tmp_path):
    """Missing directories are made, a file is replaced, and no temporary file is left."""
    for content in (b"one", b"two"):
        write_whole(tmp_path / "new" / "file", content)
        assert (tmp_path / "new" / "file").read_bytes() == content
    assert listed(tmp_path / "new") == ["file"]


def test_mode_is_that_of_a_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_failed_write(tmp_path, monkeypatch, error):
    (tmp_path / "file").write_bytes(b"old")

    def fail(_):
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(error)):
        write_whole(tmp_path / "file", b"new")
    assert listed(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("code", "expected"), [(errno.EBUSY, b"new"), (errno.EACCES, b"new"), (errno.ENOSPC, b"old")]
)
def test_file_that_cannot_be_replaced(tmp_path, monkeypatch, code, expected):
    """One that is mounted, as in a container, is written in its place."""

    def refuse(*_):
        raise OSError(code, "no")

    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr("pathlib.Path.replace", refuse)
    with nullcontext() if expected == b"new" else pytest.raises(OSError, match="no"):
        write_whole(path, b"new")
    assert path.read_bytes() == expected
    with pytest.raises(OSError, match="no"):
        write_whole(tmp_path / "other", b"new")
    assert listed(tmp_path) == ["file"]


def test_directory_that_cannot_be_written(tmp_path, monkeypatch):
    """A file in it that can be is written."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr("breakeven.temporary.tempfile.tempdir", str(tmp_path / "other"))
    (tmp_path / "other").mkdir()
    monkeypatch.setattr("os.access", lambda *_: False)
    with aside(path) as part:
        assert part.parent == tmp_path / "other"
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    with aside(tmp_path / "none") as part:
        assert part.parent == tmp_path


def test_write_all_or_nothing(tmp_path):
    """If the last file cannot be written, the first one is unchanged."""
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "b").mkdir()
    with pytest.raises(IsADirectoryError):
        write_all({tmp_path / "a": b"new", tmp_path / "b": b"new"})
    assert (tmp_path / "a").read_bytes() == b"old"
    assert listed(tmp_path) == ["a", "b"]


def test_devices_are_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(pipe, b"whole")
    assert os.read(reader, 10) == b"whole"
    os.close(reader)
    assert pipe.is_fifo()


def test_reading_a_file_or_a_pipe(tmp_path):
    """A file of any kind that ends is read whole, also in parts as a pipe sends them."""
    (tmp_path / "file").write_bytes(b"x" * 3_000_000)
    assert read_file(tmp_path / "file", 3_000_000) == b"x" * 3_000_000
    assert read_file("/proc/self/status", 1 << 20).startswith(b"Name:")
    read, written = os.pipe()
    os.write(written, b"one ")
    os.write(written, b"two")
    os.close(written)
    assert read_file(f"/dev/fd/{read}", 7) == b"one two"
    os.close(read)


def test_what_would_be_read_without_end(tmp_path, monkeypatch):
    """A device, a pipe that nobody writes or that says nothing, and what is larger than allowed."""
    (tmp_path / "file").write_bytes(b"1234")
    os.mkfifo(tmp_path / "pipe")
    assert read_file(tmp_path / "pipe", 3) == b""
    for endless in ("/dev/full", "/dev/zero", "/dev/tty"):
        with pytest.raises(OSError, match="device"):
            read_file(endless, 3)
    with pytest.raises(OSError, match="more than 3 bytes"):
        read_file(tmp_path / "file", 3)
    with pytest.raises(IsADirectoryError):
        read_file(tmp_path, 3)
    read, written = os.pipe()
    monkeypatch.setattr(files, "MAX_SILENT_S", 0.0)
    with pytest.raises(OSError, match="sent nothing"):
        read_file(f"/dev/fd/{read}", 3)
    os.write(written, b"1234")
    with pytest.raises(OSError, match="more than 3 bytes"):
        read_file(f"/dev/fd/{read}", 3)
    os.close(read), os.close(written)
