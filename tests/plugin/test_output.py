"""Whether a run file can be written is checked without changing an existing one."""

import os
import select

import pytest

from breakeven.errors import UsageError
from breakeven.plugin.output import check_writable


def test_makes_only_the_folder(tmp_path):
    check_writable(tmp_path / "a" / "b" / "run.json")

    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_keeps_an_existing_file(tmp_path):
    path = tmp_path / "run.json"
    path.write_text("yesterday's")

    check_writable(path)

    assert path.read_text() == "yesterday's"


def test_leaves_a_pipe_open(tmp_path):
    """Closing a pipe would end it for its reader."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    waiting = select.poll()
    waiting.register(reader)

    check_writable(pipe)

    assert waiting.poll(0) == []
    os.close(reader)


def test_refuses_a_directory(tmp_path):
    path = tmp_path / "run.json"
    path.mkdir()
    with pytest.raises(UsageError) as caught:
        check_writable(path)
    assert f"{path} cannot be written (Is a directory)" in str(caught.value)
