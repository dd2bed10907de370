"""The file of accepted changes."""

import datetime
import errno
import json
import math
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from breakeven.errors import BreakevenError, NewerSchemaError, RunFileError, UsageError
from breakeven.history.accept import find_run
from breakeven.history.accepted import Acceptance, Direction, add_accepted, read_accepted
from breakeven.history.query import StoredRun
from support.histories import commit

RUN = Acceptance("", Direction.WORSE, ("a",), "r", "2026-01-02", "2026-01-01T00:00:00+00:00", True)
ONE = Acceptance(commit(1), Direction.WORSE, ("mlp train cpu batch=64",), "one more layer", "2026-01-02")
TWO = Acceptance(commit(2), Direction.BETTER, ("a*", "b"), "fused \u2013 at last", "2026-01-03", whole=True)


def test_round_trip(tmp_path):
    """Entries are read back sorted and without duplicates."""
    path = tmp_path / "perf" / "accepted.json"
    add_accepted([TWO, RUN, ONE, TWO], path)
    assert read_accepted(path) == tuple(sorted([ONE, TWO, RUN]))
    text = path.read_text(encoding="utf-8")
    assert "fused \u2013 at last" in text
    assert len(text.splitlines()) > 15  # one fact per line, so that a diff shows what changed
    add_accepted(read_accepted(path), path)
    assert path.read_text(encoding="utf-8") == text


def entry(**changed):
    """Return the text of a file with one entry, changed."""
    item = {"commit": "0123abc", "direction": "worse", "cases": ["a"], "reason": "r", "date": "2026-01-02"}
    item = {key: value for key, value in {**item, **changed}.items() if value is not ...}
    return json.dumps({"schema": 1, "accepted": [item]})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not JSON"),
        ("[]", 'holds no list of "accepted"'),
        ('{"schema": 1}', 'holds no list of "accepted"'),
        ("{" * 100_000, "is not JSON"),
        (entry(commit=...), r"accepted\[0\].commit: is missing"),
        (entry(commit=None, run="2026-01-06"), r"accepted\[0\].commit: None"),
        (entry(commit=" "), r"accepted\[0\].commit: ' '"),
        (entry(commit=..., run="soon"), r"accepted\[0\].run: 'soon'"),
        (entry(commit=..., run=3), r"accepted\[0\].run: 3"),
        (entry(commit=..., run="0001-01-01T00:00+14:00"), r"accepted\[0\].run: '0001"),
        (entry(reason=" "), r"accepted\[0\].reason: ' '"),
        (entry(date=...), r"accepted\[0\].date: is missing"),
        (entry(direction="up"), r"accepted\[0\].direction: 'up'"),
        (entry(cases=[]), r"accepted\[0\].cases: \[\]"),
        (entry(cases="mlp"), r"accepted\[0\].cases: 'mlp'"),
        (entry(cases=["a", 3]), r"accepted\[0\].cases\[1\]: 3"),
        (entry(direction="\ud800"), r"accepted\[0\].direction: "),
        ('{"schema": 1, "accepted": [3]}', r"accepted\[0\]: 3"),
    ],
)
def test_refused_file(tmp_path, text, problem):
    (tmp_path / "accepted.json").write_text(text)
    with pytest.raises(RunFileError, match=problem) as caught:
        read_accepted(tmp_path / "accepted.json")
    assert len(str(caught.value).splitlines()) == 1
    assert "accept again" in str(caught.value)
    assert caught.value.exit_code == 2


def test_newer_schema(tmp_path):
    (tmp_path / "accepted.json").write_text('{"schema": 2, "accepted": []}')
    with pytest.raises(NewerSchemaError, match="upgrade breakeven"):
        read_accepted(tmp_path / "accepted.json")


def test_directory(tmp_path):
    with pytest.raises(BreakevenError, match="cannot be read"):
        read_accepted(tmp_path)


def test_full_disk(tmp_path, monkeypatch):
    path = tmp_path / "accepted.json"
    add_accepted([ONE], path)

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match=r"No space left on device"):
        add_accepted([TWO], path)
    assert read_accepted(path) == (ONE,)
    assert [found.name for found in Path(tmp_path).iterdir()] == ["accepted.json"]


def test_covers():
    assert ONE.covers(["mlp train cpu batch=64"], Direction.WORSE)
    assert not ONE.covers(["mlp train cpu batch=64"], Direction.BETTER)
    assert not ONE.covers(["mlp train cpu batch=640"], Direction.WORSE)
    assert TWO.covers(["x", "abc[1]"], Direction.BETTER)


def stored(number, moment, machine="box"):
    """Return a run of the commit of that number, at midnight of a day in January."""
    when = datetime.datetime(2026, 1, moment, tzinfo=datetime.UTC)
    return StoredRun(f"{machine}{moment}", when, commit(number), "main", False, machine, machine)


def test_distance():
    """A commit that was measured again is placed where it was measured first."""
    own = [stored(number, day) for number, day in ((1, 1), (2, 2), (4, 4), (1, 9), (5, 10))]
    known = sorted([*own, stored(3, 3, "other")], key=lambda run: run.moment)
    for number, away in ((1, 2), (2, 1), (3, 0), (4, 0), (5, 1), (8, math.inf)):
        decision = Acceptance(commit(number), Direction.WORSE, ("a",), "r", "2026-01-02")
        assert decision.distance(own[2], own, known) == away, number


@pytest.fixture
def tokyo(monkeypatch):
    """The local time zone is that of Tokyo."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("tokyo")
def test_entry_by_time(tmp_path):
    """A run without a commit is identified by its time, which is UTC without a zone."""
    for written in ("2026-01-06T00:00:00+00:00", "2026-01-06", "2026-01-06 02:00+02:00"):
        (tmp_path / "accepted.json").write_text(entry(commit=..., run=written))
        [found] = read_accepted(tmp_path / "accepted.json")
        assert (found.commit, found.run) == ("", "2026-01-06T00:00:00+00:00")


def test_find_run():
    runs = [stored(number, number + 1) for number in range(3)]
    runs.append(replace(stored(1, 9), digest="d" * 64))
    runs.append(replace(stored(5, 10), commit="", digest="e" * 64))
    assert find_run(commit(1)[:7].upper(), runs) == runs[1]
    assert find_run(f" {commit(2)} ", runs) == runs[2]
    assert find_run("d" * 12, runs) == runs[3]
    assert find_run("e" * 7, runs) == runs[4]


@pytest.mark.parametrize("run_id", ["fffffff", commit(1)[:6], "HEAD~1x", "", "2026-01-06", "0123abc"])
def test_find_run_refused(run_id):
    """Exactly one commit, or run without a commit, must match the digits, of which there are at least 7."""
    runs = [stored(1, 1), *(replace(stored(2, 2), commit=f"0123abc{i}") for i in range(2))]
    with pytest.raises(UsageError, match=re.escape(repr(run_id))) as caught:
        find_run(run_id, runs)
    assert len(str(caught.value).splitlines()) == 1


def test_concurrent_accepts(tmp_path):
    """In a directory too, no entry is lost, and no lock is left."""
    path = tmp_path / "store" / "accepted.json"
    entries = [replace(ONE, commit=commit(i)) for i in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda entry: add_accepted([entry], path), entries))
    assert read_accepted(path) == tuple(sorted(entries))
    assert list(path.parent.iterdir()) == [path]
