"""What a folder keeps, clears, refuses and lays aside."""

import json
from pathlib import Path

import pytest

from breakeven.errors import UsageError
from breakeven.experiment.workspace import opened
from support.run_files import affine_run, write

ASKED = {"--base": "a {out}", "--candidate": "b {out}"}


def keep(folder, *names):
    """Let runs of these names be measured."""
    for seed, name in enumerate(names):
        write(folder.begin(name), affine_run({"cpu": (1, 1)}, seed=seed))
        folder.log_path(name).write_text("said")
        folder.keep(name, {"seconds": 2.5, "exit": 0, "said": []})


def listed(path):
    return sorted(item.name for item in Path(path).iterdir() if item.name != ".lock")


def test_whole_runs_and_their_plan_outlive_the_folder(tmp_path):
    with opened(tmp_path / "ab", ASKED, "today", fresh=False) as folder:
        keep(folder, "one", "two")
    assert listed(tmp_path / "ab") == ["one.json", "one.log", "plan.json", "two.json", "two.log"]
    with opened(tmp_path / "ab", ASKED, "tomorrow", fresh=False) as folder:
        assert list(folder.runs) == ["one", "two"]
        assert (folder.spent_s, folder.plan["started"], folder.said) == (5.0, "today", [])


def test_a_run_is_none_until_it_is_kept_and_its_half_is_cleared(tmp_path):
    with opened(tmp_path / "ab", ASKED, "today", fresh=False) as folder:
        keep(folder, "one")
        write(folder.begin("two"), affine_run({"cpu": (1, 1)}))
    with opened(tmp_path / "ab", ASKED, "today", fresh=False) as folder:
        assert list(folder.runs) == ["one"]
    assert not (tmp_path / "ab" / "unfinished").exists()


def test_a_new_attempt_finds_nothing_of_the_one_before(tmp_path):
    with opened(tmp_path / "ab", ASKED, "today", fresh=False) as folder:
        write(folder.begin("one"), affine_run({"cpu": (1, 1)}))
        assert not folder.begin("one").exists()


def test_a_whole_run_that_was_damaged_since_is_measured_again_and_said(tmp_path):
    with opened(tmp_path / "ab", ASKED, "today", fresh=False) as folder:
        keep(folder, "one", "two", "three")
    (tmp_path / "ab" / "two.json").write_text("{")
    (tmp_path / "ab" / "three.json").unlink()
    with opened(tmp_path / "ab", ASKED, "today", fresh=False) as folder:
        assert list(folder.runs) == ["one"]
        assert [line.partition(": ")[0] for line in folder.said] == ["measured again"] * 2


@pytest.mark.parametrize("name", ["--base", "--candidate"])
def test_a_folder_of_other_commands_is_refused_naming_both_and_the_remedy(tmp_path, name):
    with opened(tmp_path / "ab", ASKED, "today", fresh=False) as folder:
        keep(folder, "one")
    with (
        pytest.raises(UsageError) as refused,
        opened(tmp_path / "ab", {**ASKED, name: "c {out}"}, "today", fresh=False),
    ):
        pass
    assert str(refused.value) == (
        f"{tmp_path / 'ab'} holds runs of something else: {name} was {ASKED[name]!r} and is now 'c {{out}}'; "
        "name another folder with --output, or begin anew with --fresh"
    )


def test_where_nothing_was_measured_another_command_may_be_given(tmp_path):
    for command in ("pythno {out}", "python {out}"):
        with opened(tmp_path / "ab", {"CMD": command}, "today", fresh=False) as folder:
            assert folder.plan["asked"] == {"CMD": command}
    assert listed(tmp_path / "ab") == ["plan.json"]


def test_a_finished_folder_is_laid_aside_and_begun_anew_once(tmp_path):
    for number in range(3):
        with opened(tmp_path / "ab", ASKED, f"day {number}", fresh=False) as folder:
            assert folder.runs == {}
            assert len(folder.said) == (number > 0)
            keep(folder, f"run-{number}")
            folder.finish()
    assert listed(tmp_path / "ab") == ["plan.json", "previous", "run-2.json", "run-2.log"]
    assert listed(tmp_path / "ab" / "previous") == ["plan.json", "run-1.json", "run-1.log"]


def test_fresh_begins_anew_for_whatever_commands(tmp_path):
    with opened(tmp_path / "ab", ASKED, "today", fresh=False) as folder:
        keep(folder, "one")
    with opened(tmp_path / "ab", {"CMD": "c {out}"}, "today", fresh=True) as folder:
        assert folder.runs == {}
        assert folder.said == [
            f"the runs that were in {tmp_path / 'ab'} now lie in {tmp_path / 'ab'}/previous"
        ]
    assert (tmp_path / "ab" / "previous" / "one.json").exists()


@pytest.mark.parametrize("fresh", [False, True])
def test_a_folder_of_other_things_is_left_alone(tmp_path, fresh):
    write(tmp_path / "thesis.tex", "\\begin")
    with (
        pytest.raises(UsageError, match=r"is not empty \(thesis.tex\) and holds no plan.json; name another"),
        opened(tmp_path, ASKED, "today", fresh=fresh),
    ):
        pass
    assert listed(tmp_path) == ["thesis.tex"]


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"schema": 1},
        {"schema": 2, "asked": ASKED, "runs": {}},
        {"schema": 1, "asked": ASKED, "runs": {"a": {"seconds": -1, "said": []}}},
        {"schema": 1, "asked": ASKED, "runs": {"a": None}},
    ],
)
def test_a_plan_of_somebody_else_is_refused(tmp_path, content):
    write(tmp_path / "plan.json", json.dumps(content))
    with (
        pytest.raises(UsageError, match="or no plan of this breakeven"),
        opened(tmp_path, ASKED, "today", fresh=False),
    ):
        pass


def test_two_at_once_in_one_folder_are_refused(tmp_path):
    with (
        opened(tmp_path, ASKED, "today", fresh=False),
        pytest.raises(UsageError, match="another breakeven is measuring"),
        opened(tmp_path, ASKED, "today", fresh=False),
    ):
        pass
    with opened(tmp_path, ASKED, "today", fresh=False):
        pass


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    write(tmp_path / "file", "")
    with (
        pytest.raises(UsageError, match=r"cannot be written \(.*\); give it room and repeat the command"),
        opened(tmp_path / "file" / "ab", ASKED, "today", fresh=False),
    ):
        pass
