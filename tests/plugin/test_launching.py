"""How measuring processes are started, and what is kept of what they print."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from breakeven.plugin import launching
from breakeven.plugin.assignment import VARIABLE, Assignment, take_assignment
from breakeven.plugin.launching import Launcher, MeasuringProcess
from breakeven.runs.journal import Share


@pytest.fixture
def launched(tmp_path, monkeypatch):
    """Return a function that starts a process, and returns how Python was called and its assignment."""

    def launch(*arguments, device="", **options):
        config = SimpleNamespace(
            invocation_params=SimpleNamespace(args=arguments, dir=tmp_path),
            option=SimpleNamespace(**{"capture": "fd", **options}),
        )
        called = []
        monkeypatch.setattr(launching.subprocess, "Popen", lambda *a, **k: called.append((a[0], k)))
        monkeypatch.setattr(launching, "affinity", lambda: None)
        running = Launcher(tmp_path / "run.json.journal", config)(Share(3, device))
        [(words, keywords)] = called
        assignment = Assignment(**json.loads(keywords["env"][VARIABLE]))
        running.close()
        return words, keywords, assignment

    return launch


def test_the_same_command(launched, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", ["/elsewhere"])
    words, keywords, assignment = launched("bench", "-k", "a b")
    assert words == [sys.executable, "-P", "-m", "pytest", "bench", "-k", "a b"]
    assert keywords["cwd"] == tmp_path
    assert keywords["stdin"] == subprocess.DEVNULL
    assert (assignment.journal, assignment.process) == (str(tmp_path / "run.json.journal"), 3)


def test_the_current_directory_stays_on_the_path(launched, monkeypatch):
    """As with ``python -m pytest``."""
    monkeypatch.setattr(sys, "path", [""])
    assert launched("bench")[0] == [sys.executable, "-m", "pytest", "bench"]


def test_seed_of_randomly(launched):
    """The user's own option overrides it."""
    words, *_ = launched("--randomly-seed=last", randomly_seed=7)
    assert words[-2:] == ["--randomly-seed=7", "--randomly-seed=last"]


def test_output(launched):
    """It is kept; with -s that of the benchmarks is shown."""
    assert launched("-s", capture="no")[1]["stdout"] is None
    _, keywords, assignment = launched()
    assert keywords["stdout"].name == keywords["stderr"].name == str(assignment.output)


@pytest.mark.parametrize(
    ("printed", "last"),
    [
        ("", ""),
        ("one\ntwo\n\n", "two"),
        ("E   ImportError: nothing\n1 error\n", "ImportError: nothing"),
        ("E   first\nE   second\nend", "second"),
        ("\udcff" * 2 + "end\n", "??end"),
        ("x" * 5000 + "\nlast", "last"),
    ],
)
def test_last_line(tmp_path, printed, last):
    assignment = Assignment("j", 0, 1, str(tmp_path))
    assignment.output.write_text(printed, errors="replace")
    assert MeasuringProcess(None, assignment).last_line() == last


def test_an_assignment_is_taken_once():
    """Programs that the benchmarks start do not inherit it."""
    assignment = Assignment("j", 1, 2, "/files", "2xcuda", {"threads": 8})
    environment = {VARIABLE: assignment.as_text()}
    assert take_assignment(environment) == assignment
    assert environment == {}
    assert take_assignment(environment) is None
