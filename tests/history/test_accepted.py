"""Decisions stand in a file that people review, and nothing unreadable passes for one."""

import datetime
import errno
import json
import math
import os
from pathlib import Path

import pytest

from breakeven.errors import BreakevenError, NewerSchemaError, UsageError
from breakeven.history.accepted import Accepted, find_commit, read_accepted, write_accepted
from breakeven.history.query import StoredRun
from support.histories import commit

RUN = Accepted("", "worse", ("a",), "r", "2026-01-02", "2026-01-01T00:00:00+00:00")
ONE = Accepted(commit(1), "worse", ("mlp train cpu batch=64",), "one more layer", "2026-01-02")
TWO = Accepted(commit(2), "better", ("a*", "b"), "fused \u2013 at last", "2026-01-03")


def test_what_is_written_is_read_back_sorted_and_once(tmp_path):
    path = tmp_path / "perf" / "accepted.json"
    write_accepted([TWO, RUN, ONE, TWO], path)
    assert read_accepted(path) == tuple(sorted([ONE, TWO, RUN]))
    text = path.read_text(encoding="utf-8")
    assert "fused \u2013 at last" in text
    assert len(text.splitlines()) > 15  # a line a fact: a diff shows what changed
    write_accepted(read_accepted(path), path)
    assert path.read_text(encoding="utf-8") == text


def test_no_file_is_no_decision(tmp_path):
    assert read_accepted(tmp_path / "none.json") == ()


def entry(**changed):
    """The text of a file with one entry, changed."""
    item = {"commit": "0123abc", "direction": "worse", "cases": ["a"], "reason": "r", "date": "2026-01-02"}
    item = {key: value for key, value in {**item, **changed}.items() if value is not ...}
    return json.dumps({"schema": 1, "accepted": [item]})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not JSON"),
        ("[]", 'holds no list of "accepted"'),
        ('{"schema": 1}', 'holds no list of "accepted"'),
        ("{" * 100_000, "is not JSON"),
        (entry(commit=...), r"accepted\[0\].commit is missing"),
        (entry(commit=..., run="soon"), r"accepted\[0\].run is 'soon', no date and time"),
        (entry(commit=..., run=3), r"accepted\[0\].run is missing or no text"),
        (entry(reason=" "), r"accepted\[0\].reason is missing"),
        (entry(direction="up"), "is 'up', not worse or better"),
        (entry(cases=[]), "no list of names"),
        (entry(cases="mlp"), "no list of names"),
        ('{"schema": 1, "accepted": [3]}', "is not an object"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_line(tmp_path, text, words):
    (tmp_path / "accepted.json").write_text(text)
    with pytest.raises(UsageError, match=words) as caught:
        read_accepted(tmp_path / "accepted.json")
    assert len(str(caught.value).splitlines()) == 1
    assert "accept again" in str(caught.value)


def test_a_newer_file_is_said_to_be_newer(tmp_path):
    (tmp_path / "accepted.json").write_text('{"schema": 2, "accepted": []}')
    with pytest.raises(NewerSchemaError, match="upgrade breakeven"):
        read_accepted(tmp_path / "accepted.json")


def test_a_directory_in_its_place_is_one_line(tmp_path):
    with pytest.raises(BreakevenError, match="cannot be read"):
        read_accepted(tmp_path)


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "accepted.json"
    write_accepted([ONE], path)

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match=r"No space left on device\); make room"):
        write_accepted([TWO], path)
    assert read_accepted(path) == (ONE,)
    assert [found.name for found in Path(tmp_path).iterdir()] == ["accepted.json"]


def test_a_decision_speaks_of_its_cases_and_direction_alone():
    assert ONE.covers(["mlp train cpu batch=64"], "worse")
    assert not ONE.covers(["mlp train cpu batch=64"], "better")
    assert not ONE.covers(["mlp train cpu batch=640"], "worse")
    assert TWO.covers(["x", "abc[1]"], "better")


def stored(number, moment, machine="box"):
    """A run of the commit of that number, at midnight of a day in January."""
    when = datetime.datetime(2026, 1, moment, tzinfo=datetime.UTC)
    return StoredRun(Path("r"), f"{machine}{moment}", when, commit(number), "main", False, machine, machine)


def test_a_commit_that_was_measured_again_stands_where_it_was_measured_first():
    own = [stored(number, day) for number, day in ((1, 1), (2, 2), (4, 4), (1, 9), (5, 10))]
    known = sorted([*own, stored(3, 3, "other")], key=lambda run: run.moment)
    for number, away in ((1, 2), (2, 1), (3, 0), (4, 0), (5, 1), (8, math.inf)):
        decision = Accepted(commit(number), "worse", ("a",), "r", "2026-01-02")
        assert decision.distance(own[2], own, known) == away, number


def test_the_beginning_of_a_commit_is_enough_and_anything_else_names_what_is_near():
    commits = [commit(i) for i in range(20)]
    assert find_commit(commit(3)[:7].upper(), commits) == commit(3)
    for wrong, words in (
        ("fffffff", "was never measured"),
        (commit(3)[:6], "at least 7"),
        ("HEAD~1x", "at least 7"),
        ("", "at least 7"),
    ):
        with pytest.raises(UsageError, match=words) as caught:
            find_commit(wrong, commits)
        assert commit(19)[:12] in str(caught.value)
    with pytest.raises(UsageError, match="several commits"):
        find_commit("0123abc", ["0123abc0", "0123abc1"])
    with pytest.raises(UsageError, match="no run of the store tells one"):
        find_commit("0123abc", ["", ""])
