"""That a lost case is noticed: the journal, the run file, and runs that are killed."""

import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import kills
import pytest
from journals import Watch, finished, lines, measured_twice, missing_from, rounds_of

FAKE = [sys.executable, str(Path(__file__).with_name("fake_run.py"))]


def end(process, case, *data, outcome="timed"):
    return json.dumps(
        {"kind": "end", "process": process, "case": case, "outcome": outcome, "data": data}
    ).encode() + b"\n"  # fmt: skip


def test_lines():
    """Those that were cut off, or are not JSON objects, are left out."""
    assert lines(b'{"kind": "run"}\nnot json\n[1]\n\n{"kind": "end"}\n{"kind": "beg') == [
        {"kind": "run"}, {"kind": "end"},
    ]  # fmt: skip


def test_finished():
    raw = b'{"kind": "begin", "process": 0, "case": "a"}\n' + end(0, "a", 1.0, 2.0) + end(1, "a", 3.0)
    raw += end(0, "b", outcome="failed") + end(1, "c", 4.0).rstrip()
    assert finished(raw) == {(0, "a"): (1.0, 2.0), (1, "a"): (3.0,)}


def test_measured_twice():
    """The same line in two journals is one timing."""
    raw = end(0, "a", 1.0) + end(1, "a", 2.0) + end(0, "a", 1.0) + end(0, "b", outcome="crashed")
    assert measured_twice(raw) == []
    assert measured_twice(raw + end(0, "b", 5.0)) == []
    assert measured_twice(raw + end(1, "a", 2.5)) == ["process 1: a"]


def test_rounds_of_a_run_file():
    """A process without rounds of a case has none."""
    benchmarks = [
        {"fullname": "a", "stats": {"data": [1, 2, 3]}, "extra_info": {"processes": [2, 0, 1]}},
        {"fullname": "b", "stats": {"data": [4, 5]}, "extra_info": {}},
    ]
    after = rounds_of({"benchmarks": benchmarks})
    assert after == {(0, "a"): (1, 2), (2, "a"): (3,), (0, "b"): (4, 5)}
    before = {(0, "a"): (1, 2), (1, "a"): (3,), (2, "a"): (3, 3)}
    assert missing_from(after, before) == ["process 1: a", "process 2: a"]


def test_watch(tmp_path):
    """It keeps what was in a file that was removed, and in the one that replaced it."""
    path = tmp_path / "run.json.journal"
    with Watch(path) as watch:
        assert watch.read() == b""
        path.write_bytes(b"one\n")
        assert kills.wait_until(lambda: watch.has_begun, 10)
        with path.open("ab") as file:
            file.write(b"two\n")
        path.rename(tmp_path / "old")
        path.write_bytes(b"three\n")
        assert kills.wait_until(lambda: len(watch.read()) == 14, 10)
        path.unlink()
    assert watch.read() == b"one\ntwo\nthree\n"


def test_worker_of():
    """The child with the variable of a worker, not another one."""
    code = "import sys; sys.stdin.read()"
    plain = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    try:
        assert plain.pid in kills.children_of(os.getpid())
        assert kills.worker_of(os.getpid()) is None
        environment = {**os.environ, "BREAKEVEN_WORKER": "0"}
        worker = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, env=environment)
        try:
            assert kills.wait_until(lambda: kills.worker_of(os.getpid()) == worker.pid, 10)
            assert kills.is_running(worker.pid)
        finally:
            worker.kill()
            assert kills.wait_until(lambda: not kills.is_running(worker.pid), 10)
            worker.communicate()
        assert kills.worker_of(os.getpid()) is None
    finally:
        plain.communicate()


def test_an_ended_child_is_not_running():
    child = subprocess.Popen([sys.executable, "-c", ""])
    assert kills.wait_until(lambda: not kills.is_running(child.pid), 10)
    assert child.pid not in kills.children_of(os.getpid())
    child.wait()


def one_kill(folder, target, monkeypatch, fault=""):
    """Kill the fake run in the third case of its second process."""
    monkeypatch.setenv("FAULT", fault)
    monkeypatch.setattr(kills, "_recovered", lambda _, journal: finished(journal))
    return kills.killed(FAKE, folder, target, lambda _, __: (folder / "struck").exists())


@pytest.mark.parametrize("target", kills.TARGETS)
def test_nothing_is_lost(target, tmp_path, monkeypatch):
    monkeypatch.setattr(kills, "ORPHAN_S", 0.2)
    found = one_kill(tmp_path, target, monkeypatch)
    assert (found["finished"], found["in_the_end"]) == (6, 12)
    assert found["resumed"] == (target != "worker")
    if target == "parent":  # the fake worker does not notice the death of its parent
        assert found.pop("failures") == ["a worker was still running 0 s after its parent was killed"]
        found["failures"] = []
    assert kills.is_clean(found)


@pytest.mark.parametrize(
    ("fault", "wrong"),
    [("loses", "lost"), ("repeats", "twice"), ("repeats", "lost"), ("nothing", "failures")],
)
def test_failures_are_noticed(fault, wrong, tmp_path, monkeypatch):
    found = one_kill(tmp_path, "both", monkeypatch, fault)
    assert found[wrong]
    assert not kills.is_clean(found)


def test_a_failed_recovery_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(kills, "_recovered", lambda *_: {})
    found = kills.killed(FAKE, tmp_path, "both", lambda _, __: (tmp_path / "struck").exists())
    assert len(found["not_recovered"]) == 6
    assert not kills.is_clean(found)


def test_a_run_that_has_ended(tmp_path):
    """It is not killed, and counts neither way."""
    (tmp_path / "struck").touch()
    assert kills.killed(FAKE, tmp_path, "both", lambda _, __: False) is None


def test_moments():
    found = list(islice(kills.moments(0, 10.0), 30))
    assert found == list(islice(kills.moments(0, 10.0), 30))
    assert [target for target, _ in found] == list(kills.TARGETS) * 10
    seconds = [after_s for _, after_s in found]
    assert 0 <= min(seconds) < 2 < 8 < max(seconds) <= 10


CLEAN = {
    "target": "parent", "finished": 4, "resumed": True, "lost": [], "twice": [], "not_recovered": [],
    "failures": [],
}  # fmt: skip


def test_table():
    lost = {**CLEAN, "target": "worker", "finished": 6, "resumed": False, "lost": ["a", "b"]}
    lost["failures"] = ["hangs", "why"]
    rows = kills.table([CLEAN, lost]).splitlines()[2:]
    assert rows == [
        "| parent | 1 | 4 | 1 | 0 | 0 | 0 | 0 |",
        "| worker | 1 | 6 | 0 | 2 | 0 | 0 | 1 |",
        "| both | 0 | - | 0 | 0 | 0 | 0 | 0 |",
        "| all | 2 | 5 | 1 | 2 | 0 | 0 | 1 |",
    ]


@pytest.mark.parametrize(("lost", "code"), [([], 0), (["process 1: a"], 1)])
def test_exit_code(lost, code, tmp_path, monkeypatch):
    """Kills that came too late are done again."""
    results = iter([{**CLEAN, "lost": lost}, None, CLEAN])
    monkeypatch.setattr(kills, "measured_s", lambda *_: 5.0)
    monkeypatch.setattr(kills, "killed", lambda *_: next(results))
    assert kills.main(["--kills", "2", "-o", str(tmp_path)]) == code
    stored = json.loads((tmp_path / "kills.json").read_text())
    assert [kill["lost"] for kill in stored["kills"]] == [lost, []]
