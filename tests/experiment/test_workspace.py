"""What a workspace keeps, drops, refuses and moves to `previous`."""

import fcntl
import json
import threading
from pathlib import Path

import pytest

from breakeven.errors import UsageError
from breakeven.experiment.workspace import RunFacts, load_plan, open_workspace
from breakeven.plugin.selection import VARIABLE, read_selection
from support.run_files import affine_run, write

DEEP = "a value 900 levels deep"
ASKED = {"--base": "a {out}", "--candidate": "b {out}"}


def keep(workspace, *names):
    """Let runs of these names complete."""
    for seed, name in enumerate(names):
        write(workspace.begin(name), affine_run({"cpu": (1, 1)}, seed=seed))
        workspace.log_path(name).write_text("output")
        workspace.keep(name, RunFacts(seconds=2.5, warnings=[]))


def opened(path):
    """The workspace of ASKED."""
    return open_workspace(path, ASKED, "today", fresh=False)


def listed(path):
    return sorted(item.name for item in Path(path).iterdir() if item.name != ".lock")


def test_runs_and_plan_stay(tmp_path):
    with opened(tmp_path / "ab") as workspace:
        keep(workspace, "one", "two")
    assert listed(tmp_path / "ab") == ["one.json", "one.log", "plan.json", "two.json", "two.log"]
    with open_workspace(tmp_path / "ab", ASKED, "tomorrow", fresh=False) as workspace:
        assert list(workspace.runs) == ["one", "two"]
        assert (workspace.spent_s, workspace.plan.started, workspace.messages) == (5.0, "today", [])


def test_incomplete_run_is_dropped(tmp_path):
    with opened(tmp_path / "ab") as workspace:
        keep(workspace, "one")
        write(workspace.begin("two"), affine_run({"cpu": (1, 1)}))
    with opened(tmp_path / "ab") as workspace:
        assert list(workspace.runs) == ["one"]
    assert not (tmp_path / "ab" / "unfinished").exists()


def test_damaged_run_is_measured_again(tmp_path):
    with opened(tmp_path / "ab") as workspace:
        keep(workspace, "one", "two", "three")
    (tmp_path / "ab" / "two.json").write_text("{")
    (tmp_path / "ab" / "three.json").unlink()
    with opened(tmp_path / "ab") as workspace:
        assert list(workspace.runs) == ["one"]
        assert len(workspace.messages) == 2


@pytest.mark.parametrize("name", ["--base", "--candidate"])
def test_other_commands(tmp_path, name):
    """The error names both commands."""
    with opened(tmp_path / "ab") as workspace:
        keep(workspace, "one")
    with (
        pytest.raises(UsageError) as refused,
        open_workspace(tmp_path / "ab", {**ASKED, name: "c {out}"}, "today", fresh=False),
    ):
        pass
    assert f"{name} was {ASKED[name]!r} and is now 'c {{out}}'" in str(refused.value)


def test_other_command_before_the_first_run(tmp_path):
    for command in ("pythno {out}", "python {out}"):
        with open_workspace(tmp_path / "ab", {"CMD": command}, "today", fresh=False) as workspace:
            assert workspace.plan.asked == {"CMD": command}
    assert listed(tmp_path / "ab") == ["plan.json"]


def test_finished_experiment_stays(tmp_path):
    """Where the caller wants it, until a run is lost."""
    with opened(tmp_path / "ab") as workspace:
        keep(workspace, "one", "two")
        workspace.finish()
    for is_finished in (True, False):
        with open_workspace(tmp_path / "ab", ASKED, "today", fresh=False, keeps_finished=True) as workspace:
            assert workspace.plan.finished is is_finished
            assert len(workspace.runs) == 1 + is_finished
        (tmp_path / "ab" / "one.json").unlink(missing_ok=True)
    with open_workspace(tmp_path / "ab", ASKED, "today", fresh=True, keeps_finished=True) as workspace:
        assert workspace.runs == {}


def test_finished_experiment_moves_to_previous(tmp_path):
    """Only the latest one is kept there."""
    for number in range(3):
        with open_workspace(tmp_path / "ab", ASKED, f"day {number}", fresh=False) as workspace:
            assert workspace.runs == {}
            assert len(workspace.messages) == (number > 0)
            keep(workspace, f"run-{number}")
            workspace.finish()
    assert listed(tmp_path / "ab") == ["plan.json", "previous", "run-2.json", "run-2.log"]
    assert listed(tmp_path / "ab" / "previous") == ["plan.json", "run-1.json", "run-1.log"]


def test_fresh(tmp_path):
    with opened(tmp_path / "ab") as workspace:
        keep(workspace, "one")
    with open_workspace(tmp_path / "ab", {"CMD": "c {out}"}, "today", fresh=True) as workspace:
        assert workspace.runs == {}
        (message,) = workspace.messages
        assert message.endswith(f"{tmp_path / 'ab'}/previous")
    assert (tmp_path / "ab" / "previous" / "one.json").exists()


@pytest.mark.parametrize("fresh", [False, True])
def test_unrelated_directory(tmp_path, fresh):
    write(tmp_path / "thesis.tex", "\\begin")
    with (
        pytest.raises(UsageError, match=r"thesis\.tex.*plan\.json"),
        open_workspace(tmp_path, ASKED, "today", fresh=fresh),
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
        {"schema": 1, "asked": ASKED, "runs": {"a": {"seconds": 1e999, "said": []}}},
        {"schema": 1, "asked": ASKED, "runs": {"a": {"seconds": True, "said": []}}},
        {"schema": 1, "asked": ASKED, "runs": {"a": {"seconds": 1}}},
        {"schema": 1, "asked": ASKED, "runs": {"a": None}},
        {"schema": 1, "asked": [], "runs": {}},
        {"asked": ASKED, "runs": {}},
    ],
)
def test_bad_plan(tmp_path, content):
    write(tmp_path / "plan.json", json.dumps(content))
    with pytest.raises(UsageError, match=r"plan\.json is damaged"), opened(tmp_path):
        pass


def test_locked(tmp_path):
    with (
        opened(tmp_path),
        pytest.raises(UsageError, match="another breakeven"),
        opened(tmp_path),
    ):
        pass
    with opened(tmp_path):
        pass


def test_unwritable(tmp_path):
    write(tmp_path / "file", "")
    with pytest.raises(UsageError, match="Not a directory"), opened(tmp_path / "file" / "ab"):
        pass


def test_plan_of_version_1_resumes(tmp_path):
    """An experiment that the first version interrupted goes on; what is written then is the same format."""
    with opened(tmp_path) as workspace:
        keep(workspace, "one", "two")
    plan = {
        "schema": 1,
        "asked": ASKED,
        "started": "2026-01-01 12:00:00+01:00",
        "runs": {
            "one": {"seconds": 2, "exit": 0, "said": []},
            "two": {"seconds": 3.5, "exit": 1, "said": ["a case failed"]},
        },
        "pairs_of_all": 3,
        "suspects": ["mlp train cpu batch=64"],
    }
    write(tmp_path / "plan.json", json.dumps(plan))
    with opened(tmp_path) as workspace:
        assert workspace.spent_s == 5.5
        assert workspace.warnings == ("a case failed",)
        workspace.finish()
    del plan["pairs_of_all"], plan["suspects"]
    assert json.loads((tmp_path / "plan.json").read_text()) == {**plan, "finished": True}


def test_command_that_is_not_utf_8(tmp_path):
    """Its bytes, as lone surrogates, are written to the plan and read again."""
    asked = {"CMD": "measure \udcff {out}"}
    for _ in range(2):
        with open_workspace(tmp_path, asked, "today", fresh=False) as workspace:
            if not workspace.runs:
                keep(workspace, "one")
            assert workspace.plan.asked == asked


@pytest.mark.parametrize(
    ("names", "used"), [(["one"], "1 run since today is"), (["one", "two"], "2 runs since today are")]
)
def test_a_finished_experiment_says_how_its_runs_are_used(tmp_path, names, used):
    with opened(tmp_path) as workspace:
        keep(workspace, *names)
        workspace.finish()
        assert (
            workspace.resume_message
            == f"finished in {tmp_path}: {used} compared again (--fresh measures again)"
        )
        assert workspace.finished_message("reported").endswith(
            f"{used} reported again (--fresh measures again)"
        )


def test_command_of_a_killed_call_is_waited_for(tmp_path):
    """It would disturb what is measured now; those of completed runs may have left something running."""
    with opened(tmp_path) as workspace:
        keep(workspace, "one")
        log = workspace.log_path("two")
    with (tmp_path / "one.log").open() as left, log.open("w") as running:
        fcntl.flock(left, fcntl.LOCK_EX)
        fcntl.flock(running, fcntl.LOCK_EX)
        ending = threading.Timer(0.1, fcntl.flock, (running, fcntl.LOCK_UN))
        ending.start()
        with opened(tmp_path) as workspace:
            ending.join(0)
            assert not ending.is_alive()
            assert workspace.messages == [
                "waited for the command of an earlier call, which was killed, to end"
            ]


@pytest.mark.parametrize("fresh", [False, True])
def test_command_of_a_killed_call_that_does_not_end(tmp_path, monkeypatch, fresh):
    monkeypatch.setattr("breakeven.experiment.workspace.WAIT_S", 0)
    with opened(tmp_path) as workspace:
        keep(workspace, "one")
        log = workspace.log_path("two")
    with log.open("w") as running:
        fcntl.flock(running, fcntl.LOCK_EX)
        expected = rf"still runs \(`lsof {log}` lists it\); end it, or choose another directory"
        with (
            pytest.raises(UsageError, match=expected),
            open_workspace(tmp_path, ASKED, "today", fresh=fresh),
        ):
            pass
    assert (tmp_path / "one.json").exists()


def test_names_with_lone_surrogates(tmp_path):
    """The list of cases to time again has them, and so does breakeven's plugin that reads it."""
    names = ("a\ud800 train cpu batch=1", "b\udc80 train cpu batch=1", "é train cpu batch=1")
    with opened(tmp_path / "ab") as workspace:
        path = workspace.write("retest.txt", "".join(f"{name}\n" for name in names))
    selection = read_selection({VARIABLE: str(path)})
    assert selection is not None
    assert selection.names == names


@pytest.mark.parametrize(
    "plan",
    [
        {"asked": {"--base": DEEP}},
        {"asked": 1e308},
        {"runs": {"one": {"seconds": 1e308, "said": []}}},
        {"runs": {"one": {"seconds": 1.0, "said": [], "exit": 1e308}}},
        {"runs": {"one": {"seconds": -1.0, "said": []}}},
        {"runs": {"../one": {"seconds": 1.0, "said": []}}},
        {"runs": {"/one": {"seconds": 1.0, "said": []}}},
        {"finished": "yes"},
        {"started": None},
        {"schema": 10**400},
    ],
)
def test_wrong_types_in_a_plan(tmp_path, plan):
    """One line; nothing is measured."""
    with opened(tmp_path / "ab") as workspace:
        keep(workspace, "one")
    file = tmp_path / "ab" / "plan.json"
    content = json.dumps({**json.loads(file.read_text()), **plan})
    file.write_text(content.replace(f'"{DEEP}"', "[" * 900 + "]" * 900))
    with pytest.raises(UsageError, match=r"plan\.json is damaged, or not a plan"), opened(tmp_path / "ab"):
        pass


@pytest.mark.parametrize(
    ("name", "is_ours"), [(".breakeven-0123456789ab.part", True), ("a.part", False), (".a", False)]
)
def test_the_part_of_a_first_plan(name, is_ours, tmp_path):
    """A call that was killed while it wrote the first plan can be repeated."""
    (tmp_path / name).touch()
    if is_ours:
        assert load_plan(tmp_path) is None
    else:
        with pytest.raises(UsageError, match="is not empty"):
            load_plan(tmp_path)
