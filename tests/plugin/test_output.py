"""Whether a run file can be written is found out without changing what is in its place."""

import os
import select
from pathlib import Path
from unittest.mock import Mock

import pytest

from breakeven.errors import UsageError
from breakeven.plugin.output import RunFile, check_writable


def test_makes_only_the_folder(tmp_path):
    check_writable(tmp_path / "a" / "b" / "run.json")

    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_keeps_an_existing_file(tmp_path):
    path = tmp_path / "run.json"
    path.write_text("yesterday's")

    check_writable(path)

    assert path.read_text() == "yesterday's"


def test_keeps_a_link(tmp_path):
    link = tmp_path / "run.json"
    link.symlink_to("later.json")

    check_writable(link)

    assert link.is_symlink()


def test_leaves_a_pipe_open(tmp_path):
    """Closing a pipe would be its end for whoever reads it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    waiting = select.poll()
    waiting.register(reader)

    check_writable(pipe)

    assert waiting.poll(0) == []
    os.close(reader)


def test_two_runs_at_once(tmp_path):
    """The second one is refused before it measures; a device has no content to lose."""
    path = tmp_path / "a" / "run.json"
    first, second = RunFile(path), RunFile(path)
    first.begin(Mock())
    with pytest.raises(UsageError, match=rf"run.json is being .* \(process {os.getpid()}\); wait for"):
        second.begin(Mock())
    first.close()
    second.begin(Mock())
    second.close()
    assert list(path.parent.iterdir()) == []
    for _ in range(2):
        RunFile(Path(os.devnull)).begin(Mock())
