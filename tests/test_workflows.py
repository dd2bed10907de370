"""The workflows pass an audit, have minimal permissions, and run only where allowed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from breakeven import cli
from breakeven.commands.ci import STEPS as COMMANDS
from support.workflow_files import FILES, JOBS, ROOT, STEPS, WORKFLOWS, load, step_that_runs

OURS = (
    "github.event_name != 'pull_request' || "
    "github.event.pull_request.head.repo.full_name == github.repository"
)
AFTER = "${{{{ !cancelled() && steps.{}.outcome != 'skipped' }}}}"


def tool(name, *arguments):
    """Run a tool that is installed with this Python and return its output, if it succeeds."""
    command = [Path(sys.executable).parent / name, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_schemas():
    tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *FILES)
    tool("check-jsonschema", "--builtin-schema", "vendor.dependabot", ROOT / ".github" / "dependabot.yml")


def test_audit():
    printed = tool("zizmor", "--offline", "--persona=auditor", "--collect=all", "--strict-collection", ".")
    assert all(path.name in printed for path in FILES)


def test_audit_exceptions():
    """Each has a reason."""
    lines = (ROOT / ".github" / "zizmor.yml").read_text().splitlines()
    excepted = [line for line in lines if re.match(r"    \w", line)]
    assert excepted
    assert all(" # " in line for line in excepted)
    assert not any("zizmor: ignore" in path.read_text() for path in FILES)


# Rights -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_actions_are_pinned(path):
    """Each is pinned to a commit, with its version in a comment."""
    for action in re.findall(r"uses: *(.*)", path.read_text()):
        if action.startswith("./.github/workflows/"):
            assert (ROOT / action).is_file()
        else:
            assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_permissions():
    reads, writes = {"contents": "read"}, {"contents": "write"}
    assert {name: job["permissions"] for name, job in JOBS.items()} == {
        "tests.yml tests": reads,
        "tests.yml slow": reads,
        "gpu.yml measure": reads,
        "measure.yml measure": reads,
        "gpu.yml history": writes,
        "history.yml history": writes,
    }
    assert all(flow["permissions"] == {} for flow in WORKFLOWS.values())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_triggers_and_secrets(path):
    """No event runs untrusted code with the permissions of the target, and no secret is read."""
    assert set(load(path)["on"]) <= {"push", "pull_request", "workflow_dispatch", "workflow_call"}
    assert not re.search("secrets|inherit", path.read_text())


def test_time_limits_and_shells():
    """Every job has both."""
    for name, job in JOBS.items():
        called = "uses" in job
        assert called or "timeout-minutes" in job
        assert called or WORKFLOWS[name.split()[0]]["defaults"]["run"]["shell"] == "bash"


def test_checkouts():
    """None persists its credentials, and the job that may write checks nothing out."""
    found = [(name, step) for name, step in STEPS if "checkout@" in step.get("uses", "")]
    assert [name for name, _ in found] == ["measure.yml measure"] * 2 + ["tests.yml tests", "tests.yml slow"]
    assert all(step["with"]["persist-credentials"] is False for _, step in found)


def test_only_the_push_has_the_token():
    assert [step for _, step in STEPS if "github.token" in str(step)] == [step_that_runs("ci push")]


def test_scripts_contain_no_expression():
    """An expression in a script would allow code injection: inputs are environment variables."""
    assert not any("${{" in step.get("run", "") for _, step in STEPS)


# Order and conditions ---------------------------------------------------------------------------------------


def test_concurrency():
    """Two measurements never share a GPU, and no push to main is dropped."""
    concurrency = JOBS["measure.yml measure"]["concurrency"]
    assert concurrency["group"] == "breakeven-measure-${{ inputs.runner }}"
    for called in ("measure.yml measure", "history.yml history"):
        assert JOBS[called]["concurrency"]["cancel-in-progress"] is False
        assert JOBS[called]["concurrency"]["queue"] == "max"
    outer = WORKFLOWS["gpu.yml"]["concurrency"]
    assert outer["cancel-in-progress"] == "${{ github.event_name == 'pull_request' }}"


def test_forks():
    """Both the caller and the called workflow reject forks, in case another caller does not."""
    assert JOBS["gpu.yml measure"]["if"] == JOBS["measure.yml measure"]["if"] == OURS


def test_history_condition():
    """Only a push to the default branch writes history, also after a regression."""
    assert JOBS["gpu.yml history"]["if"] == (
        "${{ !cancelled() && github.event_name == 'push' && github.ref == 'refs/heads/main' }}"
    )
    assert JOBS["gpu.yml history"]["needs"] == "measure"
    assert JOBS["history.yml history"]["if"] == (
        "github.event_name == 'push' && "
        "github.ref == format('refs/heads/{0}', github.event.repository.default_branch)"
    )
    assert JOBS["history.yml history"]["runs-on"] == "ubuntu-24.04"


def conditions(name):
    """The condition of each step of a job, by the end of its script or by its action."""
    steps = [step for job, step in STEPS if job == name]
    labels = [step.get("run", step.get("uses")).strip().partition("@")[0] for step in steps]
    return {label.rpartition(" ci ")[2]: step.get("if") for label, step in zip(labels, steps, strict=True)}


def test_failed_job_uploads_its_runs():
    """Only these steps run after a failure, and not if nothing was measured or stored."""
    measured, drawn = conditions("measure.yml measure"), conditions("history.yml history")
    assert {label for label, condition in measured.items() if condition} == {"actions/upload-artifact"}
    assert measured["actions/upload-artifact"] == AFTER.format("compare")
    assert {label for label, condition in drawn.items() if condition} == {"draw", "actions/upload-artifact"}
    assert drawn["draw"] == drawn["actions/upload-artifact"] == AFTER.format("push")
    assert step_that_runs("ci measure")["id"] == "compare"
    assert step_that_runs("ci push")["id"] == "push"


def test_artifacts():
    """Jobs upload from where `breakeven ci` writes, and download to where it reads."""
    moved = [
        (name.split()[0], step["with"]["name"], step["with"]["path"])
        for name, step in STEPS
        if re.search("(up|down)load-artifact", step.get("uses", ""))
    ]
    assert moved == [
        ("history.yml", "${{ inputs.artifact }}", "measured"),
        ("history.yml", "${{ inputs.artifact }}-history", "page"),
        ("measure.yml", "${{ inputs.artifact }}", "${{ runner.temp }}/measured"),
    ]


def test_the_steps_of_breakeven():
    """Each side is checked out and installed before it is used, and every step is run by one workflow."""
    scripts = [(name, step.get("run", "")) for name, step in STEPS]
    run = [(name.split()[0], text.rpartition(" ci ")[2]) for name, text in scripts if " ci " in text]
    history = [("history.yml", step) for step in ("push", "judge", "draw")]
    assert run == [*history, ("measure.yml", "base"), ("measure.yml", "measure")]
    assert {step for _, step in run} == set(COMMANDS) - {"workflow"}
    steps = [step for name, step in STEPS if name == "measure.yml measure"]
    order = [step.get("with", {}).get("path") or step.get("working-directory") for step in steps]
    assert order[:6] == ["head", None, "head", "head", "base", "base"]
    head, base = (step["with"] for step in steps if "checkout@" in step.get("uses", ""))
    assert head["ref"] == "${{ github.event.pull_request.head.sha || github.sha }}"
    assert head["fetch-depth"] == 0  # for the merge base
    assert base["ref"] == "${{ steps.base.outputs.sha }}"


def test_inputs_reach_the_measurement():
    environment = step_that_runs("ci measure")["env"]
    inputs = ("options", "benchmarks", "pairs", "budget", "threshold", "resolution", "fail-on")
    names = ("PYTEST_ADDOPTS", *(name.upper().replace("-", "_") for name in inputs[1:]))
    assert environment == {name: f"${{{{ inputs.{key} }}}}" for name, key in zip(names, inputs, strict=True)}
    assert step_that_runs("ci base")["env"] == {
        "ASKED": "${{ inputs.base }}",
        "TARGET": "${{ github.base_ref }}",
        "BEFORE": "${{ github.event.before }}",
    }
    assert step_that_runs("ci push")["env"] == {
        "BRANCH": "${{ inputs.branch }}",
        "TOKEN": "${{ github.token }}",
    }


# The example -----------------------------------------------------------------------------------------------


@pytest.fixture
def example(tmp_path, capsys):
    """The workflow that `breakeven ci workflow` prints, as a file in a repository."""
    assert cli.main(["ci", "workflow"]) == 0
    text = capsys.readouterr().out
    path = tmp_path / ".github" / "workflows" / "example.yml"
    path.parent.mkdir(parents=True)
    path.write_text(text.replace("@COMMIT", f"@{'a' * 40}"), encoding="utf-8")
    return path


def test_example_audit(example):
    """It passes the same audit."""
    tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", example)
    tool("zizmor", "--offline", "--persona=auditor", "--strict-collection", example)


def test_example_inputs_and_permissions(example):
    """It sets the required inputs, no unknown ones, and the permissions that the called jobs need."""
    for job in load(example)["jobs"].values():
        called = WORKFLOWS[re.fullmatch(r"OWNER/breakeven/.github/workflows/(.*)@a+", job["uses"])[1]]
        inputs = called["on"]["workflow_call"]["inputs"]
        required = {name for name, words in inputs.items() if words.get("required")}
        assert required <= job["with"].keys() <= inputs.keys()
        [inner] = called["jobs"].values()
        assert job["permissions"] == inner["permissions"]


def test_example_history_condition(example):
    """Only pushes write history."""
    measure, history = load(example)["jobs"].values()
    assert "if" not in measure  # measure.yml has the condition
    assert history["if"] == "${{ !cancelled() && github.event_name == 'push' }}"
    assert load(example)["concurrency"] == WORKFLOWS["gpu.yml"]["concurrency"]
