"""What runs on a node, without Ray."""

import io
import os
import select
import time
import zipfile

import pytest

from breakeven.fleet import node as module
from breakeven.fleet.node import END, HOME, JOURNAL, LOG, RUN, measure

LONG_AGO = time.time() - 2 * module.MIN_AGE_S


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    """The node's directory for temporary files."""
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    return tmp_path


def archive(**files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as opened:
        for name, text in files.items():
            opened.writestr(f"{name}.py", text)
    return stream.getvalue()


@pytest.fixture
def command(monkeypatch):
    """Let a script run in the place of pytest, so that tests are fast."""
    monkeypatch.setattr(
        module, "_LAUNCH", "import runpy, sys; del sys.argv[1:4]; runpy.run_path('script.py')"
    )


def script(text):
    return archive(script=f"import os, sys, time\n{text}")


def contents(pieces):
    """The content of each file."""
    found = {}
    for name, data in pieces:
        found[name] = found.get(name, b"") + data
    return found


def test_sends_what_the_command_writes(command, directory, monkeypatch):
    monkeypatch.setattr(module, "PIECE_BYTES", 4)
    text = "print('hello'); open('run.json', 'w').write('{\"a\": 1}'); sys.exit(1)"
    pieces = list(measure(script(text), ["bench"], b""))
    assert contents(pieces) == {LOG: b"hello\n", RUN: b'{"a": 1}', END: b"1"}
    assert (max(len(data) for _, data in pieces), pieces[0], pieces[-1]) == (4, (LOG, b""), (END, b"1"))
    assert list(directory.iterdir()) == []


def test_gives_the_arguments_and_resumes_a_journal(command):
    text = "print(sys.argv[1:]); open('run.json.journal', 'a').write('new')"
    found = contents(measure(script(text), ["bench", "-x"], b""))
    assert found[LOG] == b"['bench', '-x', '--benchmark-json=run.json']\n"
    found = contents(measure(script(text), ["bench"], b"old\n"))
    assert found[LOG] == b"['bench', '--breakeven-resume', '--benchmark-json=run.json']\n"
    assert found[JOURNAL] == b"new"  # the old part is there already


def test_gives_the_environment_of_the_shell_that_started_ray(command, monkeypatch):
    for name in ("OMP_NUM_THREADS", "RAY_JOB_ID", "MINE"):
        monkeypatch.setenv(name, "1")
    text = "print([name for name in ('OMP_NUM_THREADS', 'RAY_JOB_ID', 'MINE') if name in os.environ])"
    found = contents(measure(script(text), [], b""))
    assert found[LOG] == b"['MINE']\n"


def test_a_run_that_is_given_up_ends_with_what_it_started(command, directory):
    text = (
        "import signal\n"
        "if os.fork() == 0: signal.signal(signal.SIGTERM, signal.SIG_IGN); print(os.getpid(), flush=True)\n"
        "time.sleep(60)"
    )
    pieces = measure(script(text), [], b"")
    child = int(next(data for _, data in pieces if data))
    ended = os.pidfd_open(child)
    pieces.close()
    assert select.select([ended], [], [], 10.0)[0] == [ended]  # a killed process may end a moment later
    os.close(ended)
    assert list(directory.iterdir()) == []


def test_removes_what_a_killed_worker_left(command, directory):
    """A directory that is locked, new or not ours stays."""
    homes = {name: directory / name for name in (f"{HOME}old", f"{HOME}locked", f"{HOME}new", "other")}
    for name, home in homes.items():
        (home / "bench").mkdir(parents=True)
        if name != f"{HOME}new":
            os.utime(home, (LONG_AGO, LONG_AGO))
    held = os.open(homes[f"{HOME}locked"], os.O_RDONLY)
    assert module._lock(held)
    list(measure(script(""), [], b""))
    os.close(held)
    assert {path.name for path in directory.iterdir()} == {f"{HOME}locked", f"{HOME}new", "other"}


def test_a_run_has_locked_its_directory(command, directory):
    pieces = measure(script("time.sleep(60)"), [], b"")
    next(pieces)
    (home,) = directory.iterdir()
    other = os.open(home, os.O_RDONLY)
    assert not module._lock(other)
    os.close(other)
    pieces.close()
