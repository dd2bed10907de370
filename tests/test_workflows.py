"""The workflows are linted, ask for no more than they need, and what they run is run here, on the CPU.

GitHub itself is not here: `workflow_runner` says what stands in for it. The benchmarks are tiny, the rest is
as on a runner: `breakeven` is installed from a wheel into the environments that the scripts make.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from breakeven import cli
from run_files import affine_run, write
from workflow_expressions import Expression, Payload, WorkflowError, interpolated, is_run
from workflow_runner import TOKEN, WORKFLOWS, Runner, git, load, stand_in_python

ROOT = Path(__file__).parent.parent
FILES = sorted(WORKFLOWS.glob("*.yml"))
REPOSITORY = "somebody/tiny"
HISTORY = "breakeven-history"

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def tool(name, *arguments):
    """Run a tool that is installed beside this Python and return what it says, with its exit code."""
    found = subprocess.run(
        [Path(sys.executable).parent / name, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.returncode, found.stdout + found.stderr


# Lint -------------------------------------------------------------------------------------------------------


def test_the_workflows_and_the_settings_of_dependabot_are_what_github_reads():
    schemas = {"vendor.github-workflows": FILES, "vendor.dependabot": [ROOT / ".github" / "dependabot.yml"]}
    for schema, paths in schemas.items():
        code, said = tool("check-jsonschema", "--builtin-schema", schema, *map(str, paths))
        assert code == 0, said


def test_the_strictest_audit_of_the_workflows_finds_nothing():
    code, said = tool("zizmor", "--offline", "--persona=auditor", "--collect=all", "--strict-collection", ".")
    assert code == 0, said
    assert all(path.name in said for path in FILES)


def test_every_exception_from_the_audit_has_its_reason():
    lines = (ROOT / ".github" / "zizmor.yml").read_text().splitlines()
    excepted = [line for line in lines if re.match(r"    \w", line)]
    assert excepted
    assert all(" # " in line for line in excepted)
    assert not any("zizmor: ignore" in path.read_text() for path in FILES)


# What they may ----------------------------------------------------------------------------------------------


@each_file
def test_actions_of_others_are_pinned_to_a_commit_and_say_its_version(path):
    used = re.findall(r"uses: *(.*)", path.read_text())
    assert used
    for action in used:
        if action.startswith("./.github/workflows/"):
            assert (ROOT / action).is_file()
        else:
            assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_jobs_have_exactly_the_rights_they_need():
    rights = {
        f"{path.name} {name}": job["permissions"]
        for path in FILES
        for name, job in load(path)["jobs"].items()
    }
    reads, writes = {"contents": "read"}, {"contents": "write"}
    assert rights == {
        "tests.yml tests": reads,
        "tests.yml slow": reads,
        "gpu.yml measure": reads,
        "measure.yml measure": reads,
        "gpu.yml history": writes,
        "history.yml history": writes,
    }
    assert all(load(path)["permissions"] == {} for path in FILES)


@each_file
def test_nothing_runs_with_the_rights_of_the_target_and_no_secret_is_read(path):
    workflow, text = load(path), path.read_text()
    assert set(workflow["on"]) <= {"push", "pull_request", "workflow_dispatch", "workflow_call"}
    assert "secrets" not in text
    assert "inherit" not in text


@each_file
def test_every_job_ends_in_time_and_speaks_bash(path):
    workflow = load(path)
    for job in workflow["jobs"].values():
        assert "uses" in job or "timeout-minutes" in job
        assert "uses" in job or workflow["defaults"]["run"]["shell"] == "bash"


def steps_of(name):
    return [step for job in load(WORKFLOWS / name)["jobs"].values() for step in job.get("steps", [])]


def test_no_checkout_leaves_its_credentials_and_what_writes_checks_nothing_out():
    checkouts = [
        step for path in FILES for step in steps_of(path.name) if "checkout@" in step.get("uses", "")
    ]
    assert len(checkouts) == 3
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
    assert not any("checkout@" in step.get("uses", "") for step in steps_of("history.yml"))


def test_only_the_step_that_pushes_has_the_token():
    with_token = [
        step.get("name") for path in FILES for step in steps_of(path.name) if "github.token" in str(step)
    ]
    assert with_token == ["Add the runs and push them"]


def test_no_push_is_forced():
    pushes = [
        line for path in FILES for line in path.read_text().splitlines() if re.search(r"\bpush --", line)
    ]
    assert len(pushes) == 1
    assert not re.search(r"--force|--mirror| -f|\+HEAD|--delete", pushes[0])


def test_two_measurements_never_share_a_gpu_and_none_of_main_is_dropped():
    measuring = load(WORKFLOWS / "measure.yml")["jobs"]["measure"]["concurrency"]
    assert measuring["cancel-in-progress"] is False
    assert measuring["queue"] == "max"
    around = load(WORKFLOWS / "gpu.yml")["concurrency"]
    for event in ("push", "pull_request"):
        cancelled = interpolated(around["cancel-in-progress"], {"github": {"event_name": event}})
        assert cancelled is (event == "pull_request")


# Others call them -------------------------------------------------------------------------------------------


@pytest.fixture
def example(tmp_path):
    """README's example of a calling workflow, as a file that is called as in a repository."""
    (text,) = re.findall(
        r"^```yaml\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    path = tmp_path / ".github" / "workflows" / "example.yml"
    path.parent.mkdir(parents=True)
    path.write_text(text.replace("@COMMIT", f"@{'a' * 40}"), encoding="utf-8")
    return path


def test_the_example_for_others_is_a_workflow_that_passes_the_same_audit(example):
    code, said = tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", str(example))
    assert code == 0, said
    code, said = tool("zizmor", "--offline", "--persona=auditor", "--strict-collection", str(example))
    assert code == 0, said


def test_the_example_for_others_gives_what_is_asked_for_and_the_rights_that_are_needed(example):
    for job in load(example)["jobs"].values():
        called = load(WORKFLOWS / re.fullmatch(r"OWNER/breakeven/.github/workflows/(.*)@a+", job["uses"])[1])
        inputs = called["on"]["workflow_call"]["inputs"]
        required = {name for name, words in inputs.items() if words.get("required")}
        assert required <= job["with"].keys() <= inputs.keys()
        [inner] = called["jobs"].values()
        assert job["permissions"] == inner["permissions"]


def test_the_example_for_others_writes_history_of_pushes_alone(example):
    measure, history = load(example)["jobs"].values()
    failed = {"success": False, "failure": True, "cancelled": False, "always": True}
    assert "if" not in measure  # measure.yml has the condition
    assert is_run(history["if"], {"github": push()}, failed)
    assert not is_run(history["if"], {"github": pull_request()}, failed)
    assert load(example)["concurrency"] == load(WORKFLOWS / "gpu.yml")["concurrency"]


# Whose code runs where --------------------------------------------------------------------------------------


def push(sha="1" * 40, before="2" * 40, branch="main", hub="https://github.example"):
    return {
        "event_name": "push",
        "event": Payload(before=before, repository={"default_branch": "main"}),
        "ref": f"refs/heads/{branch}",
        "base_ref": "",
        "sha": sha,
        "repository": REPOSITORY,
        "server_url": str(hub),
        "run_id": "1",
        "token": TOKEN,
    }


def pull_request(sha="1" * 40, source=REPOSITORY, hub="https://github.example"):
    """A pull request to main; what `github.sha` is then, the merge with main, is nothing that we measure."""
    head = {"sha": sha, "repo": source and {"full_name": source}}
    return push("f" * 40, hub=hub) | {
        "event_name": "pull_request",
        "event": Payload(pull_request={"number": 1, "head": head}, repository={"default_branch": "main"}),
        "ref": "refs/pull/1/merge",
        "base_ref": "main",
    }


def would_run(github):
    """The jobs of gpu.yml, and of what it calls, whose own conditions let them run for an event."""
    contexts = {"github": github}
    status = {"success": True, "failure": False, "cancelled": False, "always": True}
    return {
        f"{name} {job}"
        for name in ("gpu.yml", "measure.yml", "history.yml")
        for job, words in load(WORKFLOWS / name)["jobs"].items()
        if is_run(words.get("if"), contexts, status)
    }


def test_a_fork_runs_nothing_on_our_machine_and_writes_no_history():
    assert would_run(pull_request(source="stranger/tiny")) == set()
    assert would_run(pull_request(source=None)) == set()  # the fork is deleted by now


def test_a_pull_request_of_our_own_is_measured_and_writes_no_history():
    assert would_run(pull_request()) == {"gpu.yml measure", "measure.yml measure"}


def test_only_a_push_to_the_default_branch_writes_history():
    measured = {"gpu.yml measure", "measure.yml measure"}
    written = {"gpu.yml history", "history.yml history"}
    assert would_run(push()) == measured | written
    assert would_run(push(branch="main2")) == measured
    assert would_run(push() | {"event_name": "workflow_dispatch"}) == measured


def test_history_is_written_also_after_a_regression():
    condition = load(WORKFLOWS / "gpu.yml")["jobs"]["history"]["if"]
    failed = {"success": False, "failure": True, "cancelled": False, "always": True}
    assert is_run(condition, {"github": push()}, failed)
    assert not is_run(condition, {"github": push()}, failed | {"cancelled": True})


def test_whatever_runs_on_a_machine_of_ours_or_writes_has_a_condition_of_its_own():
    for path in FILES:
        for job in load(path)["jobs"].values():
            on_ours = not str(job.get("runs-on", "ubuntu-24.04")).startswith("ubuntu-")
            if on_ours or "uses" in job or "write" in job["permissions"].values():
                assert job["if"]


# The small runner -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("github.event.pull_request.head.sha || github.sha", "abc"),
        ("github.a == 'ONE' && !github.none", True),
        ("github.a != 'one' || (github.none && 'x')", None),
        ("format('refs/{0}', github.a)", "refs/One"),
        ("fromJSON('[1, 2]')", [1, 2]),
        ("'it''s' == 'it''s'", True),
        ("github.none == ''", True),
        ("github.none == 'x'", False),
    ],
)
def test_expressions_mean_what_github_says(text, value):
    github = {"event": Payload(), "sha": "abc", "a": "One", "none": None}
    assert Expression(text, {"github": github}).value() == value


@pytest.mark.parametrize(
    "text", ["github.b", "vars.a", "contains(github.a, 'O')", "github.a >= 1", "github.a 'x'", "(github.a"]
)
def test_what_the_runner_does_not_know_it_refuses(text):
    with pytest.raises(WorkflowError):
        Expression(text, {"github": {"a": "One"}}).value()


# The commands, run ------------------------------------------------------------------------------------------

# Most of a step is a sleep: that takes as long on a busy machine, and needs no second look at what was noise.
TINY = """
import time
import pytest, torch
from breakeven import Workload

class Tiny(torch.nn.Linear):
    def forward(self, x):
        time.sleep(0.002)
        return super().forward(x)

@pytest.mark.sweep(batch_size=[64])
def bench_tiny(train_benchmark, batch_size):
    train_benchmark(lambda: Workload(
        model=Tiny(4, 2), loss=torch.nn.functional.mse_loss, optimizer=torch.optim.SGD,
        inputs=torch.ones(batch_size, 4), targets=torch.zeros(batch_size, 2),
    ))
"""

PLAIN = """
import time

def test_plain(benchmark):
    benchmark.pedantic(time.sleep, (SECONDS,), rounds=8)
"""

# What the CPU is takes longer to find out than all these cases; what the commit is matters here.
QUICK_FACTS = 'def pytest_benchmark_generate_machine_info():\n    return {"node": "tiny"}\n'

QUICK = "--benchmark-max-time=0.05 --benchmark-precision=0.9 -p no:hypothesispytest"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """breakeven as a wheel, made by hand: building one would download the builder."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    points = {"console_scripts": project["scripts"], **project["entry-points"]}
    name = f"breakeven-{project['version']}"
    info = f"{name}.dist-info"
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: breakeven\nVersion: {project['version']}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "".join(
            f"[{group}]\n" + "".join(f"{key} = {target}\n" for key, target in named.items())
            for group, named in points.items()
        ),
    }
    path = tmp_path_factory.mktemp("wheel") / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in files.items():
            archive.writestr(inside, text)
        for source in sorted((ROOT / "src").rglob("*")):
            if source.is_file() and "__pycache__" not in source.parts:
                archive.write(source, source.relative_to(ROOT / "src"))
        inside = [*archive.namelist(), f"{info}/RECORD"]
        archive.writestr(f"{info}/RECORD", "".join(f"{one},,\n" for one in inside))
    return path


class Hub:
    """GitHub with one repository: three commits on main, and two branches that left it at the second.

    `slow` makes the plain benchmark three times as slow; main went on meanwhile.
    """

    def __init__(self, home, wheel):
        self.home, self.url = home, (home / "hub").as_uri()
        self.bare, clone = home / "hub" / f"{REPOSITORY}.git", home / "clone"
        git("init", "--quiet", "--bare", "--initial-branch=main", self.bare)
        git("config", "uploadpack.allowAnySHA1InWant", "true", at=self.bare)  # as GitHub has it
        git("clone", "--quiet", self.bare, clone)
        git("switch", "--quiet", "--orphan", "main", at=clone)
        self.first = self._commit(clone, "first")
        self.second = self._commit(clone, "second")
        git("switch", "--quiet", "--create", "slow", at=clone)
        self.slow = self._commit(clone, "slow", seconds=0.006)
        git("switch", "--quiet", "main", at=clone)
        self.third = self._commit(clone, "third")
        git("push", "--quiet", "--all", "origin", at=clone)
        install = (
            f"python -m pip install --quiet --no-compile --no-index --no-deps --ignore-installed '{wheel}'"
        )
        self.given = {"install": install, "pairs": "2", "options": QUICK}
        self.runner = Runner(
            home / "runner",
            environment={
                "PATH": f"{stand_in_python(home / 'python')}{os.pathsep}{os.environ['PATH']}",
                "HOME": os.environ.get("HOME", str(home)),  # matplotlib's list of fonts is there
                "GIT_CONFIG_GLOBAL": os.devnull,
                "OMP_WAIT_POLICY": "passive",  # as in .ci/run
            },
        )
        self.runner.inputs = {"measure.yml": self.given, "history.yml": {"install": install}}

    def _commit(self, clone, message, seconds=0.002):
        for name, text in {
            "bench/bench_tiny.py": TINY,
            "bench/conftest.py": QUICK_FACTS,
            "plain/test_plain.py": PLAIN.replace("SECONDS", str(seconds)),
            "plain/conftest.py": QUICK_FACTS,
            "pytest.ini": "[pytest]\n",
            "message": message,
        }.items():
            (clone / name).parent.mkdir(exist_ok=True)
            (clone / name).write_text(text)
        git("add", "--all", at=clone)
        git("commit", "--quiet", "--message", message, at=clone)
        return git("rev-parse", "HEAD", at=clone)

    def run(self, github, **inputs):
        """Run gpu.yml for an event; return its jobs and the artifacts it left."""
        self.runner.inputs["measure.yml"] = self.given | inputs
        jobs = self.runner.run("gpu.yml", github)
        return jobs, self.runner.artifacts

    def history(self):
        """The files on the branch of the history, by name, with the hash of their content."""
        listed = git("ls-tree", "-r", f"refs/heads/{HISTORY}", at=self.bare).splitlines()
        return {line.split("\t")[1]: line.split()[2] for line in listed}


def logs(job):
    """What all steps of a job said, for who reads a failed test."""
    return "\n".join(f"== {step.name}: {step.outcome}\n{step.log}" for step in job.steps)


def runs_of(artifacts, pattern="stage*.json"):
    """The run files in the artifact of a measurement, in the order of their making."""
    return sorted((artifacts / "breakeven" / "runs").glob(pattern), key=lambda path: path.name.split("-")[1])


def commits_of(artifacts):
    """Which commits each side was measured in, by the run files themselves."""
    sides = {"base": set(), "candidate": set()}
    for path in runs_of(artifacts):
        sides[path.stem.rpartition("-")[2]].add(json.loads(path.read_text())["commit_info"]["id"])
    return sides


@pytest.fixture(scope="module")
def hub(tmp_path_factory, wheel):
    return Hub(tmp_path_factory.mktemp("github"), wheel)


@pytest.fixture(scope="module")
def merged(hub):
    """The run of gpu.yml for a push to main that changed no speed, whatever a busy machine makes of it."""
    options = f"--breakeven-devices=cpu@1 --breakeven-phases=train --breakeven-sweep='batch_size=64' {QUICK}"
    github = push(hub.third, hub.second, hub=hub.url)
    quiet = {"threshold": "90%", "resolution": "99%", "pairs": "1"}
    return hub.run(github, options=options, benchmarks="bench", **quiet)


@pytest.fixture(scope="module")
def slower(hub, merged):
    """The run of gpu.yml for a pull request that makes a plain benchmark three times as slow."""
    return hub.run(pull_request(hub.slow, hub=hub.url), benchmarks="plain")


def test_a_push_to_main_is_measured_against_what_was_there_before(hub, merged):
    jobs, artifacts = merged
    assert jobs["measure/measure"].result == "success", logs(jobs["measure/measure"])
    assert jobs["measure/measure"].runs_on == ["self-hosted", "gpu"]
    assert commits_of(artifacts) == {"base": {hub.second}, "candidate": {hub.third}}
    sides = [path.stem.rpartition("-")[2] for path in runs_of(artifacts)]
    assert sides == ["base", "candidate"]
    assert "tiny train cpu@1 batch=64" in jobs["measure/measure"].summary
    assert "<html" in (artifacts / "breakeven" / "report" / "index.html").read_text()


def test_the_history_gets_a_file_for_each_run_of_the_head_and_a_page(hub, merged):
    jobs, artifacts = merged
    assert jobs["history/history"].result == "success", logs(jobs["history/history"])
    assert jobs["history/history"].runs_on == "ubuntu-24.04"
    assert len(hub.history()) == len(runs_of(artifacts, "stage1-*-candidate.json")) == 1
    assert all(re.fullmatch(r"class=[^/]+/[^/]+\.parquet", name) for name in hub.history())
    assert "breakeven history" in jobs["history/history"].summary
    assert "<html" in (artifacts / "breakeven-history" / "index.html").read_text()
    assert "::warning" not in logs(jobs["history/history"])


def test_a_pull_request_that_makes_something_slower_fails_by_the_exit_code_1(hub, slower):
    job = slower[0]["measure/measure"]
    ran = job.step("Measure base and head by turns, and compare")
    assert ran.code == 1, logs(job)
    assert job.result == "failure"
    assert {step.name for step in job.steps if step.outcome != "success"} == {ran.name}


def test_summary_and_artifact_are_there_though_the_job_failed(slower):
    jobs, artifacts = slower
    summary = jobs["measure/measure"].summary
    assert "Regressed: 1 of 1 case" in summary
    assert summary.strip() == (artifacts / "breakeven" / "comparison.md").read_text().strip()
    sides = [path.stem.rpartition("-")[2] for path in runs_of(artifacts)]
    assert sides == ["base", "candidate", "candidate", "base"]


def test_a_pull_request_is_measured_against_where_it_left_main_and_writes_no_history(hub, merged, slower):
    jobs, artifacts = slower
    assert commits_of(artifacts) == {"base": {hub.second}, "candidate": {hub.slow}}
    assert jobs["history"].result == "skipped"
    assert len(hub.history()) == 1


def test_a_fork_runs_no_job_at_all(hub):
    jobs, _ = hub.run(pull_request(hub.slow, source="stranger/tiny", hub=hub.url))
    assert {name: job.result for name, job in jobs.items()} == {"measure": "skipped", "history": "skipped"}


CROSSING = """#!/usr/bin/env bash
set -e
if [ -e crossed ]; then exit 0; fi
touch crossed
blob=$(echo other | git hash-object -w --stdin)
tree=$({ git ls-tree "$1"; printf '100644 blob %s\\tother\\n' "$blob"; } | git mktree)
git update-ref "$1" "$(git -c user.name=x -c user.email=x commit-tree "$tree" -p "$1" -m other)"
exit 1
"""


def test_a_second_push_adds_its_runs_to_those_that_cross_it_and_loses_none(hub, merged, slower):
    before, runs = hub.history(), hub.home / "second" / "breakeven" / "runs"
    runs.mkdir(parents=True)
    for number, path in enumerate([*runs_of(merged[1]), *runs_of(slower[1])], start=1):
        shutil.copy(path, runs / f"stage1-{number:02}-candidate.json")  # what stands in it is what counts
    hook = hub.bare / "hooks" / "update"
    hook.write_text(CROSSING)
    hook.chmod(0o755)  # while our job adds its runs another one pushes, and ours is refused once
    job = hub.runner.call("history.yml", push(hub.third, hub.second, hub=hub.url), runs.parents[1])["history"]
    assert job.result == "success", logs(job)
    assert (hub.bare / "crossed").exists()
    after = hub.history()
    assert before.items() <= after.items()
    assert after.keys() - before.keys() >= {"other"}
    assert len(after) == 1 + len(
        list(runs.iterdir())
    )  # those of `before` were among them, and are there once
    written = [path.read_text("utf-8", "replace") for path in job.home.rglob("*") if path.is_file()]
    assert not any(TOKEN in text for text in written)


def test_git_gets_the_token_from_the_environment_of_the_step_alone(tmp_path):
    script = next(step["run"] for step in steps_of("history.yml") if "TOKEN" in step.get("env", {}))
    (helper,) = re.findall(r"config credential.helper '(.*)'", script)
    asked = subprocess.run(
        ["git", "-c", f"credential.helper={helper}", "credential", "fill"],
        input="protocol=https\nhost=github.com\n\n",
        env={"PATH": os.environ["PATH"], "TOKEN": TOKEN, "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"username=x-access-token", f"password={TOKEN}"} <= set(asked.stdout.splitlines())


@pytest.mark.parametrize(
    ("asked", "before", "base"),
    [
        ("", "second", "second"),
        ("", "first", "first"),  # several commits were pushed at once
        ("", "slow", "second"),  # forced: what was there before is no part of main any more
        ("", "0" * 40, "second"),  # the first push
        ("", "", "second"),  # no push at all
        ("slow", "first", "slow"),
        ("first", "second", "first"),
        ("--help", "second", None),
        ("nowhere; touch done", "second", None),
    ],
)
def test_the_base_is_what_was_there_before_unless_somebody_says_otherwise(hub, tmp_path, asked, before, base):
    commit = {name: getattr(hub, name, name) for name in (asked, before, base) if name}
    asked = commit[asked] if asked == "first" else asked  # a commit or a branch
    github = push(hub.third, commit.get(before, ""), hub=hub.url)
    job = hub.runner.only("measure.yml", ["Check out the head", "Find the base"], github, {"base": asked})
    assert job.result == ("failure" if base is None else "success"), logs(job)
    if base:
        assert job.steps[-1].outputs == {"sha": commit[base]}
    assert not list(job.home.rglob("done"))


def test_what_could_not_be_decided_warns(hub, tmp_path, capsys):
    sides = [write(tmp_path / f"{seed}.json", affine_run({"cpu": (1, 1)}, seed=seed)) for seed in range(2)]
    for fail_on, warned in (("regressed,missing", True), ("none", False)):
        assert cli.main(["compare", *sides, "--format", "markdown", "--fail-on", fail_on]) == 0
        said = capsys.readouterr().out
        text = said if warned else said.replace("inconclusive", "unchanged")
        job = hub.runner.only(
            "measure.yml",
            ["Warn of what could not be decided"],
            push(hub=hub.url),
            files={"temp/measured/comparison.md": text},
            outcomes={"compare": "success"},
        )
        assert ("::warning" in logs(job)) == warned
