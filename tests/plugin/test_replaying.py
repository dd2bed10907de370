"""The journal that a run opens, and where it is."""

import os

import pytest

from breakeven.errors import UsageError
from breakeven.plugin.replaying import UNNAMED, journal_path, open_journal
from breakeven.runs import journal as module
from breakeven.runs.journal import read_journal
from support.journals import run_started, timed, write


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "run.json.journal"


def test_new(path, monkeypatch):
    """Its directory is made, and its first line is on disk."""
    synced = []
    monkeypatch.setattr(module.os, "fsync", lambda _: synced.append(path.stat().st_size))
    open_journal(path, run_started(), resume=False).close()
    assert read_journal(path).run == run_started()
    assert synced == [path.stat().st_size]


@pytest.mark.parametrize("resume", [False, True])
def test_in_use(path, resume):
    """By another run, which is named; its journal stays."""
    first = open_journal(path, run_started(pid=42), resume=False)
    with pytest.raises(UsageError, match=r"run.json.journal is being written by another run \(process 42\)"):
        open_journal(path, run_started(), resume=resume)
    first.close()
    assert list(path.parent.iterdir()) == [path]
    open_journal(path, run_started(), resume=True).close()


def test_old(path):
    """It is renamed, and the new one locked."""
    path.parent.mkdir()
    write(path, run_started(seed=7), timed("a", 0, 1.0))
    file = open_journal(path, run_started(), resume=False)
    file.write(timed("b", 0, 1.0))
    assert (read_journal(path).run.seed, set(read_journal(path).ended)) == (0, {"b"})
    old = read_journal(path.with_name("run.json.journal.old"))
    assert (old.run.seed, set(old.ended)) == (7, {"a"})
    with pytest.raises(UsageError, match="another run"):
        open_journal(path, run_started(), resume=True)


def test_resumed(path):
    """It goes on where it ended."""
    path.parent.mkdir()
    write(path, run_started(), timed("a", 0, 1.0))
    file = open_journal(path, run_started(pid=9), resume=True)
    file.write(timed("b", 0, 1.0))
    assert set(read_journal(path).ended) == {"a", "b"}
    assert list(path.parent.iterdir()) == [path]


def test_resumed_by_another_run(path):
    """It is refused, and the journal stays."""
    path.parent.mkdir()
    write(path, run_started(), timed("a", 0, 1.0))
    with pytest.raises(UsageError, match="seed was 0 and is 1"):
        open_journal(path, run_started(seed=1), resume=True)
    assert list(path.parent.iterdir()) == [path]
    assert set(read_journal(path).ended) == {"a"}


def test_path(tmp_path):
    """Beside the run file, unless that is none, or cannot have a file beside it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    there = tmp_path / "there.json"
    there.touch()
    for run_file in (there, tmp_path / "absent.json"):
        assert journal_path(run_file) == run_file.with_name(f"{run_file.name}.journal")
    assert journal_path(pipe) == journal_path(None) == UNNAMED
