"""Whether a run file can be written is found out without touching what stands in its place."""

import os
import select

import pytest

from breakeven.errors import UsageError
from breakeven.plugin.output import make_room


def test_the_folder_is_made_and_nothing_else(tmp_path):
    make_room(tmp_path / "a" / "b" / "run.json")

    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_what_stands_there_is_neither_changed_nor_taken_away(tmp_path):
    path = tmp_path / "run.json"
    path.write_text("yesterday's")

    make_room(path)

    assert path.read_text() == "yesterday's"


def test_who_reads_a_pipe_does_not_take_us_for_its_end(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    waiting = select.poll()
    waiting.register(reader)

    make_room(pipe)

    assert waiting.poll(0) == []
    os.close(reader)


def test_a_directory_in_its_place_is_one_line(tmp_path):
    path = tmp_path / "run.json"
    path.mkdir()
    with pytest.raises(UsageError, match=r"run\.json cannot be written \(Is a directory\); name a file"):
        make_room(path)
