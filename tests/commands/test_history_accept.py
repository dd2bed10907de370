"""`breakeven history accept`: an accepted change no longer fails the check, also with new machines."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from breakeven.history.query import read_store
from breakeven.temporary import remove_abandoned
from support.histories import add, commit, medians, timed, when
from support.reports import box
from support.run_files import write

CASE = "mlp train cpu batch=64 width=128"


@pytest.fixture(scope="module")
def slower(tmp_path_factory):
    """A store of 30 runs, 10% slower from the 20th commit on."""
    return add(tmp_path_factory.mktemp("slower"), timed(medians(30, step=1.1, at=20)))


def test_accepted_change(history, check, tmp_path):
    """An accepted change passes, also when its estimated place moves by up to 5 commits."""
    values = medians(40, step=1.1, at=20)
    path = add(tmp_path, timed(values)[:26])
    assert check(path)[0] == 1
    code, out, _ = history("accept", commit(20)[:7], "--reason", "one more layer", "--store", path)
    assert (code, CASE in out) == (0, True)
    code, found = check(path)
    assert (code, found["changes"][0]["accepted"]) == (0, "one more layer")
    file = Path(path) / "accepted.json"
    text = file.read_text()
    # The change is found at 20 with all runs, and at other places as they arrive.
    for away, expected in ((17, 0), (23, 0), (25, 0), (14, 1), (26, 1)):
        file.write_text(text.replace(commit(20), commit(away)))
        assert check(path)[0] == expected, away
    file.write_text(text)
    add(tmp_path, timed(values))
    assert check(path)[0] == 0
    file.write_text(text.replace('"worse"', '"better"'))
    assert check(path)[0] == 1


def test_newest_run(history, check, tmp_path):
    """A regression of the newest run can be accepted, in a file outside of the store."""
    path, file = (
        add(tmp_path, timed(medians(24, step=1.3, at=20))[:21]),
        tmp_path / "repository" / "accepted.json",
    )
    assert check(path)[0] == 1
    accept = ("accept", commit(20), "--reason", "intended", "--store", path, "--accepted", file)
    assert history(*accept, "--case", "mlp train*")[0] == 0
    assert json.loads(file.read_text())["accepted"][0]["commit"] == commit(20)
    code, found = check(path, "--accepted", file)
    assert (code, found["newest"][0]["accepted"]) == (0, "intended")
    assert check(path)[0] == 1
    assert not (Path(path) / "accepted.json").exists()


@pytest.mark.parametrize("pattern", ["mlp train*", CASE])
def test_in_advance(history, slower, tmp_path, pattern):
    """If nothing changed yet, the pattern itself is accepted, once, for regressions."""
    file = tmp_path / "accepted.json"
    accept = ("accept", commit(3), "--store", slower, "--accepted", file, "--case", pattern)
    for reason in ("first", "second"):
        assert history(*accept, "--reason", reason)[0] == 0
    [entry] = json.loads(file.read_text())["accepted"]
    assert (entry["cases"], entry["direction"], entry["reason"]) == ([pattern], "worse", "second")


@pytest.mark.parametrize("run_id", [commit(3), commit(21), "2026-01-21"])
def test_refused(history, slower, run_id):
    """Without a pattern, the change must be in exactly this run."""
    code, out, err = history("accept", run_id, "--reason", "x", "--store", slower)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert not (Path(slower) / "accepted.json").exists()


def test_accepting_again(history, check, slower, tmp_path):
    """Accepting again replaces the reason and nothing else."""
    file = tmp_path / "accepted.json"
    for reason in ("one more layer", "two more layers"):
        history("accept", commit(20), "--reason", reason, "--store", slower, "--accepted", file)
    assert [entry["reason"] for entry in json.loads(file.read_text())["accepted"]] == ["two more layers"]
    assert check(slower, "--accepted", file)[1]["changes"][0]["accepted"] == "two more layers"


@pytest.fixture
def without_commits(tmp_path):
    """A store of 20 runs without commits, slower from the 10th on; two a day, at midnight and at noon."""
    contents = timed(medians(20, step=1.3, at=10))
    for i, made in enumerate(contents):
        made["commit_info"] = {"id": "unversioned"}
        made["datetime"] = f"{when(i // 2)[:10]}T{'12' if i % 2 else '00'}:00:00+00:00"
    return add(tmp_path, contents)


def test_run_id(history, check, without_commits):
    """A run without a commit is accepted by the id that `check` prints, and stored by its time."""
    run_id = read_store(without_commits).runs[10].digest[:12]
    out = " ".join(history("check", "--store", without_commits)[1].split())
    assert f'breakeven history accept {run_id} --reason "why"' in out
    assert history("accept", run_id, "--reason", "one more layer", "--store", without_commits)[0] == 0
    assert (check(without_commits)[0], check(without_commits)[1]["changes"][0]["accepted"]) == (
        0,
        "one more layer",
    )
    [entry] = json.loads((Path(without_commits) / "accepted.json").read_text())["accepted"]
    assert (entry["run"], "commit" in entry) == ("2026-01-06T00:00:00+00:00", False)


@pytest.mark.parametrize(
    ("time", "code"),
    [
        ("2026-01-06T00:00:00+00:00", 0),
        ("2026-01-08T12:00:00+00:00", 0),
        ("2026-01-09T00:00:00+00:00", 1),
        ("2026-01-03T12:00:00", 0),
        ("2026-01-03T14:00:00+02:00", 0),
        ("2026-01-03T00:00:00+00:00", 1),
    ],
)
def test_entry_by_time(check, without_commits, time, code):
    """An entry that names the time of a run, as version 1 wrote, also covers 5 runs to either side."""
    entry = {"run": time, "direction": "worse", "reason": "r", "date": "2026-01-07", "cases": [CASE]}
    file = Path(without_commits) / "accepted.json"
    file.write_text(json.dumps({"schema": 1, "accepted": [entry]}))
    assert check(without_commits)[0] == code


def of_machine(name, contents, shift=0):
    """Return the same runs of another machine, this number of days later."""
    for i, made in enumerate(contents):
        made["machine_info"] = box(name, class_id=f"id-{name}-{shift}", torch=f"2.{shift}")
        made["datetime"] = when(i + shift)
    return contents


@pytest.mark.parametrize("other", ["Xeon", "EPYC"])
@pytest.mark.parametrize("shift", [-60, 60])
def test_second_machine(history, check, tmp_path, other, shift):
    """An accepted change stays accepted when a second machine joins.

    Also one with the same label, and one that measured the same commits long before or long after.
    """
    path = add(tmp_path, timed(medians(30, step=1.1, at=20)))
    history("accept", commit(20), "--reason", "one more layer", "--store", path)
    add(tmp_path, of_machine(other, timed(medians(30, seed=1)), shift))
    code, found = check(path)
    [change] = found["changes"]
    assert change["case"].startswith(f"{CASE} on EPYC")
    assert (code, change["accepted"]) == (0, "one more layer")


def test_one_machine_only(history, check, tmp_path):
    """A case can be accepted on one machine alone, and stays so when labels become longer."""
    path = add(tmp_path, timed(medians(30, step=1.1, at=20)))
    add(tmp_path, of_machine("Xeon", timed(medians(30, step=1.1, at=20, base=0.02))))
    accept = ("accept", commit(20), "--reason", "the EPYC's driver", "--store", path)
    assert history(*accept, "--case", f"{CASE} on EPYC")[0] == 0
    reasons = {change["case"]: change["accepted"] for change in check(path)[1]["changes"]}
    assert reasons == {f"{CASE} on EPYC": "the EPYC's driver", f"{CASE} on Xeon": None}
    add(tmp_path, of_machine("EPYC", timed(medians(30, seed=1)), 5))
    reasons = {change["case"]: change["accepted"] for change in check(path)[1]["changes"]}
    assert reasons == {f"{CASE} on EPYC #id-EPYC": "the EPYC's driver", f"{CASE} on Xeon": None}
    assert check(path, "--case", f"{CASE} on EPYC #id-EPYC")[1]["changes"] != []


def test_unmeasured_commit(history, check, tmp_path):
    """A commit that one machine did not measure is placed among its runs by its date."""
    path = add(tmp_path, timed(medians(30, step=1.1, at=20)))
    other = of_machine("Xeon", timed(medians(30, step=1.1, at=20, base=0.02)))
    add(tmp_path, [made for i, made in enumerate(other) if i != 20])
    assert history("accept", commit(20), "--reason", "one more layer", "--store", path)[0] == 0
    assert check(path)[0] == 0


@pytest.mark.slow
def test_concurrent_processes(history, slower, tmp_path):
    """Eight at once, each with its own entry: all are kept."""
    file = tmp_path / "accepted.json"
    command = [
        sys.executable,
        "-m",
        "breakeven.cli",
        "history",
        "accept",
        "--store",
        slower,
        "--accepted",
        file,
    ]
    started = [
        subprocess.Popen(
            [*command, "--case", CASE, "--reason", f"r{i}", commit(i)], stdout=subprocess.DEVNULL
        )
        for i in range(8)
    ]
    assert [process.wait() for process in started] == [0] * 8
    reasons = {entry["reason"] for entry in json.loads(file.read_text())["accepted"]}
    assert reasons == {f"r{i}" for i in range(8)}


@pytest.mark.slow
@pytest.mark.parametrize("action", ["add", "accept"])
def test_killed_writer(history, slower, tmp_path, action):
    """What it leaves is removed by the next call."""
    run = write(tmp_path / "run.json", timed([0.01])[0])
    file = tmp_path / "accepted.json"
    words = {
        "add": ("history", "add", run, "--store", tmp_path / "store"),
        "accept": (
            *("history", "accept", commit(3), "--case", "*", "--reason", "r"),
            *("--store", slower, "--accepted", file),
        ),
    }[action]
    killed = f"""
import os, signal
from breakeven import cli
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
cli.main({[*map(str, words)]!r})
"""
    before = {file.name for file in tmp_path.rglob("*")}
    assert subprocess.run([sys.executable, "-c", killed], check=False).returncode == -signal.SIGKILL
    left = {file.name for file in tmp_path.rglob("*") if file.is_file()} - before
    assert left
    remove_abandoned.cache_clear()
    assert history(*words[1:])[0] == 0
    assert not left & {file.name for file in tmp_path.rglob("*")}
