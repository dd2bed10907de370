"""How measuring processes are started, and what is kept of what they print."""

import json
import subprocess
import sys
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from breakeven.case import OutcomeKind
from breakeven.errors import unforeseen_text
from breakeven.measure import group
from breakeven.measure.group import Failure
from breakeven.plugin import launching
from breakeven.plugin.assignment import VARIABLE, Assignment, take_assignment
from breakeven.plugin.cause import note
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


def test_a_group(launched, monkeypatch):
    """torchrun starts the same command N times; each rank has its share of the threads of one process."""
    monkeypatch.setattr(launching, "default_threads", lambda: 7)
    monkeypatch.setattr(launching, "thread_facts", lambda: {"threads": 7, "openmp": None})
    monkeypatch.setattr(sys, "path", ["/elsewhere"])
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    words, keywords, assignment = launched("bench", "-x", device="2xcpu")
    python = [sys.executable, "-P", "-m"]
    assert words == [*python, "breakeven.plugin.agent", "2", *python, "pytest", "bench", "-x"]
    assert keywords["env"]["OMP_NUM_THREADS"] == "3"
    assert "MKL_NUM_THREADS" not in keywords["env"]
    assert keywords["env"]["BREAKEVEN_RANK_FAILURE"] == str(assignment.cause)
    assert (assignment.process, assignment.device) == (3, "2xcpu")
    assert assignment.facts == {"threads": 7, "openmp": None}


def test_threads_of_a_rank(launched, monkeypatch):
    """At least one; torch heeds MKL's variable first, where it is set."""
    monkeypatch.setattr(launching, "default_threads", lambda: 1)
    monkeypatch.setenv("MKL_NUM_THREADS", "8")
    environment = launched("bench", device="4xcpu")[1]["env"]
    assert (environment["OMP_NUM_THREADS"], environment["MKL_NUM_THREADS"]) == ("1", "1")
    ordinary, assignment = launched("bench")[1]["env"], launched("bench")[2]
    assert ordinary["MKL_NUM_THREADS"] == "8"
    assert assignment.facts == {}


def test_the_stack_of_the_rank_that_hangs(tmp_path, monkeypatch):
    """Not that of a rank which waits for it, in an exchange or in the training."""
    stacks = [
        f'File "{launching.TORCH}/distributed/distributed_c10d.py", line 1 in all_reduce',
        f'File "{group.__file__}", line 4 in exchange',
        f'File "{launching.TORCH}/autograd/graph.py", line 2 in backward',
        'File "/home/me/bench_mine.py", line 3 in forward',
        "",
    ]
    started = launching.MeasuringGroup(
        None, assignment := Assignment("j", 0, 1, str(tmp_path), "5xcpu"), None
    )
    for rank, line in enumerate(stacks):
        assignment.stack(rank).write_text(f"Stack:\n  {line}\n")
    ranks = [SimpleNamespace(send_signal=Mock())] * len(stacks)
    monkeypatch.setattr(started, "_ranks", lambda: ranks)
    monkeypatch.setattr(launching, "STACK_S", 0)
    assert started.stack() == [stacks[3]]
    assignment.stack(3).unlink()
    assert started.stack() == [stacks[2]]


def test_what_a_rank_has_noted(tmp_path):
    """It is better than the last line of the output, and than an exit code."""
    started = launching.MeasuringGroup(
        None, assignment := Assignment("j", 0, 1, str(tmp_path), "2xcpu"), None
    )
    assignment.output.write_text("a warning\n")
    assert (started.cause(1).reason, started.last_line()) == ("torchrun exited with 1", "a warning")
    failures = [Failure(1, OutcomeKind.FAILED, reason) for reason in ("rank 1: no NCCL", "the agent's")]
    note(failures[0], assignment.cause)
    note(failures[1], assignment.cause)
    assert (started.cause(1), started.last_line()) == (failures[1], "")


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
    assert MeasuringProcess(None, assignment, None).last_line() == last


def test_an_error_of_breakeven_itself(tmp_path):
    """All of its line is the cause, however long the message."""
    assignment = Assignment("j", 0, 1, str(tmp_path))
    line = unforeseen_text(KeyError("x" * 1000))
    assignment.output.write_text(f"!!! _pytest.outcomes.Exit: breakeven: {line}, with the benchmark !!!\n")
    cause = MeasuringProcess(None, assignment, None).cause(70)
    assert (cause.outcome, cause.reason) == ("crashed", f"{line}, with the benchmark")


def test_an_assignment_is_taken_once():
    """Programs that the benchmarks start do not inherit it."""
    assignment = Assignment("j", 1, 2, "/files", "2xcuda", {"threads": 8})
    environment = {VARIABLE: assignment.as_text()}
    assert take_assignment(environment) == assignment
    assert environment == {}
    assert take_assignment(environment) is None
