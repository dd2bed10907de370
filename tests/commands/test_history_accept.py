"""`breakeven history accept`: what is meant fails no more, whoever joins the store."""

import json
from pathlib import Path

import pytest

from support.histories import add, commit, medians, timed, when
from support.reports import box

CASE = "mlp train cpu batch=64 width=128"


@pytest.fixture(scope="module")
def slower(tmp_path_factory):
    """A store of 30 runs, a tenth slower from the 20th commit on."""
    return add(tmp_path_factory.mktemp("slower"), timed(medians(30, step=1.1, at=20)))


def test_an_accepted_change_fails_no_more_and_stays_matched_as_its_place_moves(history, check, tmp_path):
    values = medians(40, step=1.1, at=20)
    path = add(tmp_path, timed(values)[:26])
    assert check(path)[0] == 1
    code, out, _ = history("accept", commit(20)[:7], "--reason", "one more layer", "--store", path)
    assert (code, CASE in out) == (0, True)
    code, found = check(path)
    assert (code, found["changes"][0]["accepted"]) == (0, "one more layer")
    # Later runs move the estimate: here the accepted commit is three away from where the change is now found.
    text = (Path(path) / "accepted.json").read_text()
    for away, expected in ((17, 0), (23, 0), (25, 0), (14, 1), (26, 1)):
        (Path(path) / "accepted.json").write_text(text.replace(commit(20), commit(away)))
        assert check(path)[0] == expected, away
    (Path(path) / "accepted.json").write_text(text)
    add(tmp_path, timed(values))
    assert check(path)[0] == 0
    (Path(path) / "accepted.json").write_text(text.replace('"worse"', '"better"'))
    assert check(path)[0] == 1


def test_a_change_can_be_accepted_before_it_is_found_and_elsewhere(history, check, tmp_path):
    values = medians(24, step=1.3, at=20)
    path, file = add(tmp_path, timed(values)[:21]), tmp_path / "repository" / "accepted.json"
    assert check(path)[0] == 1
    accept = ("accept", commit(20), "--reason", "meant", "--store", path, "--accepted", file)
    assert history(*accept, "--case", "mlp train*")[0] == 0
    assert json.loads(file.read_text())["accepted"][0]["commit"] == commit(20)
    code, found = check(path, "--accepted", file)
    assert (code, found["newest"][0]["accepted"]) == (0, "meant")
    assert check(path)[0] == 1
    assert not (Path(path) / "accepted.json").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["fffffff", "--reason", "x"],
        [commit(3), "--reason", "x"],
        [commit(20), "--reason", "  "],
        [commit(20), "--reason", "x", "--case", "mpl*"],
    ],
)
def test_what_cannot_be_accepted_is_one_line_and_exit_2(history, slower, arguments):
    code, out, err = history("accept", *arguments, "--store", slower)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert not (Path(slower) / "accepted.json").exists()


@pytest.fixture
def bare(tmp_path):
    """A store of 20 runs that tell no commit, slower from the 10th on; two a day, at midnight and at noon."""
    contents = timed(medians(20, step=1.3, at=10))
    for i, made in enumerate(contents):
        made["commit_info"] = {"id": "unversioned"}
        made["datetime"] = f"{when(i // 2)[:10]}T{'12' if i % 2 else '00'}:00:00+00:00"
    return add(tmp_path, contents)


@pytest.mark.parametrize("place", ["2026-01-06 00:00", "2026-01-06T00:00:00+00:00", " 2026-01-06 00"])
def test_a_change_in_a_run_without_a_commit_is_accepted_by_the_time_that_check_prints(
    history, check, bare, place
):
    said = " ".join(history("check", "--store", bare)[1].split())
    assert "slower in 2026-01-06 00:00, 9 runs ago" in said
    assert 'breakeven history accept "2026-01-06 00:00" --reason "why"' in said
    assert check(bare)[1]["changes"][0]["date"] == "2026-01-06T00:00:00+00:00"
    code, out, _ = history("accept", place, "--reason", "one more layer", "--store", bare)
    assert (code, out.splitlines()[0]) == (
        0,
        f"accepted: {CASE} became worse in 2026-01-06T00:00:00+00:00",
    )
    assert (check(bare)[0], check(bare)[1]["changes"][0]["accepted"]) == (0, "one more layer")
    [entry] = json.loads((Path(bare) / "accepted.json").read_text())["accepted"]
    assert (entry["run"], "commit" in entry) == ("2026-01-06T00:00:00+00:00", False)


def test_the_time_of_a_run_reaches_five_runs_as_a_commit_does(history, check, bare):
    history("accept", "2026-01-06 00:00", "--reason", "meant", "--store", bare)
    file = Path(bare) / "accepted.json"
    text = file.read_text()
    for moved, expected in (
        ("2026-01-08T12:00:00+00:00", 0),
        ("2026-01-09T00:00:00+00:00", 1),
        ("2026-01-03T12:00:00", 0),  # by hand: without a zone it is UTC
        ("2026-01-03T14:00:00+02:00", 0),
        ("2026-01-03T00:00:00+00:00", 1),
    ):
        file.write_text(text.replace("2026-01-06T00:00:00+00:00", moved))
        assert check(bare)[0] == expected, moved


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("2026-01-06", "is the time of 2 runs; give all of one; near it: 2026-01-06T00:00:00+00:00, 2026-"),
        ("2026-02-30 99", "is the time of no run; near it: 2026-01-01T"),
        ("2026-01-05 00:00", "nothing changed in 2026-01-05 00:00, as far as the runs show; changes were "
         "found in: 2026-01-06 00:00; name"),
        (commit(3), "no run of the store tells one: give a run's date and time"),
    ],
)  # fmt: skip
def test_a_time_that_means_no_change_is_one_line_with_those_that_do(history, bare, place, words):
    code, out, err = history("accept", place, "--reason", "x", "--store", bare)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert words in err


def test_the_day_of_a_run_with_a_commit_means_that_commit(history, slower, tmp_path):
    file = tmp_path / "accepted.json"
    accept = ("--reason", "meant", "--store", slower, "--accepted", file)
    assert history("accept", "2026-01-21", *accept)[0] == 0
    assert json.loads(file.read_text())["accepted"][0]["commit"] == commit(20)


def test_what_is_accepted_already_is_said_with_the_reason_that_stands_and_changes_nothing(
    history, slower, tmp_path
):
    file = tmp_path / "accepted.json"
    accept = ("accept", commit(20), "--store", slower, "--accepted", file)
    history(*accept, "--reason", "one more layer")
    before = file.read_text()
    for more in ((), ("--case", CASE), ("--case", "mlp*")):
        code, out, err = history(*accept, "--reason", "two more", *more)
        assert (code, err, file.read_text()) == (0, "", before)
        assert out.splitlines() == [
            f"accepted already: {CASE} became worse in {commit(20)[:7]}: one more layer",
            f"a reason that stands is changed in {file}, by hand",
        ]
    found = json.loads(history(*accept, "--reason", "x", "--format", "json")[1])
    assert (found["accepted"], found["already"][0]["reason"]) == ([], "one more layer")


def test_a_pattern_that_was_accepted_before_anything_was_found_stands_once(history, slower, tmp_path):
    file = tmp_path / "accepted.json"
    accept = ("accept", commit(3), "--store", slower, "--accepted", file, "--case", "mlp train*")
    history(*accept, "--reason", "first")
    code, out, _ = history(*accept, "--reason", "second")
    assert (code, out.splitlines()[0]) == (
        0, f"accepted already: mlp train* became worse in {commit(3)[:7]}: first",
    )  # fmt: skip
    assert [entry["reason"] for entry in json.loads(file.read_text())["accepted"]] == ["first"]


def of_machine(name, contents, shift=0):
    """The same runs, of another machine, so many days later."""
    for i, made in enumerate(contents):
        made["machine_info"] = box(name, class_id=f"id-{name}-{shift}")
        made["datetime"] = when(i + shift)
    return contents


@pytest.mark.parametrize("other", ["Xeon", "EPYC"])
@pytest.mark.parametrize("shift", [-60, 60])
def test_an_accepted_change_stays_accepted_when_a_second_machine_joins(
    history, check, tmp_path, other, shift
):
    """Also when it has the same label, and when it measured the same commits long before or long after."""
    path = add(tmp_path, timed(medians(30, step=1.1, at=20)))
    history("accept", commit(20), "--reason", "one more layer", "--store", path)
    add(tmp_path, of_machine(other, timed(medians(30, seed=1)), shift))
    code, found = check(path)
    [change] = found["changes"]
    assert change["case"].startswith(f"{CASE} on EPYC")
    assert (code, change["accepted"]) == (0, "one more layer")


def test_a_decision_on_one_machine_leaves_the_other_to_be_judged_and_outlives_new_labels(
    history, check, tmp_path
):
    path = add(tmp_path, timed(medians(30, step=1.1, at=20)))
    add(tmp_path, of_machine("Xeon", timed(medians(30, step=1.1, at=20, base=0.02))))
    accept = ("accept", commit(20), "--reason", "the EPYC's driver", "--store", path)
    code, out, _ = history(*accept, "--case", f"{CASE} on EPYC")
    assert (code, out.splitlines()[0]) == (0, f"accepted: {CASE} on EPYC became worse in {commit(20)[:7]}")
    reasons = {change["case"]: change["accepted"] for change in check(path)[1]["changes"]}
    assert reasons == {f"{CASE} on EPYC": "the EPYC's driver", f"{CASE} on Xeon": None}
    add(tmp_path, of_machine("EPYC", timed(medians(30, seed=1)), 5))
    reasons = {change["case"]: change["accepted"] for change in check(path)[1]["changes"]}
    assert reasons == {f"{CASE} on EPYC #id-EPYC": "the EPYC's driver", f"{CASE} on Xeon": None}
    assert check(path, "--case", f"{CASE} on EPYC #id-EPYC")[1]["changes"] != []


def test_a_commit_that_one_machine_never_measured_is_placed_among_its_runs_by_its_date(
    history, check, tmp_path
):
    path = add(tmp_path, timed(medians(30, step=1.1, at=20)))
    other = of_machine("Xeon", timed(medians(30, step=1.1, at=20, base=0.02)))
    add(tmp_path, [made for i, made in enumerate(other) if i != 20])
    assert history("accept", commit(20), "--reason", "one more layer", "--store", path)[0] == 0
    assert check(path)[0] == 0
