"""A small runner for the workflows in `.github/workflows`: their jobs, the workflows they call, their steps.

Owns as much of GitHub's language as those files use, and refuses the rest, so that nothing is passed over.
The scripts run as they stand, in the shell and with the variables that a runner gives them. What a test
cannot have is stood in for: the four actions of `ACTIONS` (git clone, copying folders), GitHub itself (a
folder of bare repositories), and the `python` that setup-python would install (`stand_in_python`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from workflow_expressions import WorkflowError, as_text, interpolated, is_run

WORKFLOWS = Path(__file__).parent.parent / ".github" / "workflows"
RIGHTS = {"none": 0, "read": 1, "write": 2}
TOKEN = "the-token-of-the-job"


def load(path: Path) -> dict[str, Any]:
    """Return a workflow; YAML 1.1 reads the key `on` as true."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["on"] = content.pop(True)
    return content


# Jobs -------------------------------------------------------------------------------------------------------


@dataclass
class Step:
    """What became of a step: `outcome` is success, failure or skipped."""

    name: str
    outcome: str
    log: str = ""
    code: int = 0
    outputs: dict[str, str] = field(default_factory=dict)


@dataclass
class Job:
    """What became of a job: `path` is its name and those of the jobs that called it."""

    path: str
    result: str
    runs_on: Any = None
    steps: list[Step] = field(default_factory=list)
    summary: str = ""
    home: Path = Path()

    def step(self, name: str) -> Step:
        """Return the step of that name."""
        [found] = [step for step in self.steps if step.name == name]
        return found


@dataclass
class Runner:
    """Runs whole workflows under `home`.

    `inputs` replaces what callers give to called workflows (by the name of the workflow), `environment` is
    what every script has beside a runner's variables.
    """

    home: Path
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    artifacts: Path = Path()
    jobs: dict[str, Job] = field(default_factory=dict)
    number: int = 0

    def run(self, name: str, github: dict[str, Any]) -> dict[str, Job]:
        """Run a workflow that was started by an event, and return its jobs by their paths.

        Artifacts are a run's own, so each begins with none.
        """
        self.number += 1
        self.jobs, self.artifacts = {}, self.home / f"artifacts-{self.number}"
        self._run_jobs(load(WORKFLOWS / name), "", github, self._dispatched(load(WORKFLOWS / name)))
        return self.jobs

    def call(self, name: str, github: dict[str, Any], artifacts: Path) -> dict[str, Job]:
        """Run a reusable workflow by itself, with an earlier run's artifacts at hand."""
        self.jobs, self.artifacts = {}, artifacts
        workflow = load(WORKFLOWS / name)
        self._run_jobs(workflow, "", github, self._given(workflow, name, {}))
        return self.jobs

    def only(
        self,
        name: str,
        steps: list[str],
        github: dict[str, Any],
        inputs: dict[str, Any] | None = None,
        files: dict[str, str] | None = None,
        outcomes: dict[str, str] | None = None,
    ) -> Job:
        """Run some steps of a workflow's only job.

        Args:
            name: the workflow, one that is called.
            steps: their names.
            github: the event.
            inputs: what a caller gives.
            files: what is there already, such as "temp/measured/comparison.md".
            outcomes: of earlier steps, by their ids.
        """
        workflow = load(WORKFLOWS / name)
        [job] = workflow["jobs"].values()
        job = {**job, "steps": [step for step in job["steps"] if step.get("name") in steps]}
        contexts = {"github": github, "inputs": self._given(workflow, name, inputs or {}), "needs": {}}
        self._run_job(workflow, job, "only", contexts, files or {}, outcomes or {})
        return self.jobs["only"]

    def _dispatched(self, workflow: dict[str, Any]) -> dict[str, Any]:
        """Return the inputs of a run that nobody started by hand: all are null."""
        return dict.fromkeys((workflow["on"].get("workflow_dispatch") or {}).get("inputs") or {})

    def _given(self, workflow: dict[str, Any], name: str, given: dict[str, Any]) -> dict[str, Any]:
        declared = workflow["on"]["workflow_call"]["inputs"]
        given = {
            **given,
            **self.inputs.get(name, {}),
        }  # ours win: gpu.yml's would take a GPU and half an hour
        for key in given:
            if key not in declared:
                raise WorkflowError(f"{name} has no input {key!r}")
        values = {}
        for key, words in declared.items():
            if words.get("required") and key not in given:
                raise WorkflowError(f"{name} needs the input {key!r}")
            values[key] = given.get(key, words.get("default"))
            kind = {"string": str, "number": (int, float), "boolean": bool}[words["type"]]
            if not isinstance(values[key], kind):
                raise WorkflowError(f"{name}: {key} is {values[key]!r}, no {words['type']}")
        return values

    def _run_jobs(
        self, workflow: dict[str, Any], path: str, github: dict[str, Any], inputs: dict[str, Any]
    ) -> str:
        results: dict[str, str] = {}
        for name, job in workflow["jobs"].items():
            before = [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", [])
            contexts = {
                "github": github,
                "inputs": inputs,
                "needs": {n: {"result": results[n]} for n in before},
            }
            success = all(results[n] == "success" for n in before)
            if not is_run(job.get("if"), contexts, _status(success)):
                results[name] = "skipped"
                self.jobs[f"{path}{name}"] = Job(f"{path}{name}", "skipped")
            elif "uses" in job:
                results[name] = self._call(job, f"{path}{name}/", contexts)
            else:
                results[name] = self._run_job(workflow, job, f"{path}{name}", contexts)
        return "failure" if "failure" in results.values() else "success"

    def _call(self, job: dict[str, Any], path: str, contexts: dict[str, Any]) -> str:
        name = job["uses"].removeprefix("./.github/workflows/")
        workflow = load(WORKFLOWS / name)
        for called in workflow["jobs"].values():
            for right, asked in called["permissions"].items():
                if RIGHTS[asked] > RIGHTS[job["permissions"].get(right, "none")]:
                    raise WorkflowError(f"{name} asks for {right}: {asked}, which {path} does not give")
        given = {key: interpolated(value, contexts) for key, value in job.get("with", {}).items()}
        return self._run_jobs(workflow, path, contexts["github"], self._given(workflow, name, given))

    def _run_job(
        self,
        workflow: dict[str, Any],
        job: dict[str, Any],
        path: str,
        contexts: dict[str, Any],
        files: dict[str, str] | None = None,
        outcomes: dict[str, str] | None = None,
    ) -> str:
        home = self.home / "jobs" / path.replace("/", "-")
        shutil.rmtree(home, ignore_errors=True)
        for part in ("work", "temp"):
            (home / part).mkdir(parents=True)
        for name, text in (files or {}).items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(text, encoding="utf-8")
        if workflow["defaults"]["run"]["shell"] != "bash":
            raise WorkflowError("the only shell here is bash")
        earlier = {step: {"outcome": outcome} for step, outcome in (outcomes or {}).items()}
        contexts = {**contexts, "steps": earlier, "runner": {"temp": str(home / "temp")}}
        done = self.jobs[path] = Job(path, "success", interpolated(job["runs-on"], contexts), home=home)
        for step in job["steps"]:
            name = step.get("name") or step["uses"].partition("@")[0]
            if not is_run(step.get("if"), contexts, _status(done.result == "success")):
                ran = Step(name, "skipped")
            else:
                ran = self._run_step(step, name, home, contexts)
            done.steps.append(ran)
            if "id" in step:
                contexts["steps"][step["id"]] = {"outcome": ran.outcome, "outputs": ran.outputs}
            if ran.outcome == "failure":
                done.result = "failure"
        summary = home / "summary.md"
        done.summary = summary.read_text(encoding="utf-8") if summary.exists() else ""
        return done.result

    def _run_step(self, step: dict[str, Any], name: str, home: Path, contexts: dict[str, Any]) -> Step:
        if "uses" in step:
            given = {key: interpolated(value, contexts) for key, value in step.get("with", {}).items()}
            ACTIONS[step["uses"].partition("@")[0]](self, home, contexts["github"], **_as_arguments(given))
            return Step(name, "success")
        script, output = home / "script.sh", home / "output.txt"
        if "${{" in step["run"]:
            raise WorkflowError(f"{name}: an expression in a script is code that others can write")
        script.write_text(step["run"], encoding="utf-8")
        output.write_text("")
        github = contexts["github"]
        environment = {
            **self.environment,
            **{f"GITHUB_{key.upper()}": as_text(github[key]) for key in _VARIABLES},
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(home / "work"),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(home / "summary.md"),
            "RUNNER_TEMP": str(home / "temp"),
            **{key: as_text(interpolated(value, contexts)) for key, value in step.get("env", {}).items()},
        }
        ran = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=home / "work" / step.get("working-directory", "."),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        outputs = dict(line.split("=", 1) for line in output.read_text().splitlines())
        return Step(name, "failure" if ran.returncode else "success", ran.stdout, ran.returncode, outputs)


_VARIABLES = ("sha", "ref", "repository", "server_url", "event_name", "base_ref")


def _status(success: bool) -> dict[str, bool]:
    return {"success": success, "failure": not success, "canceled": False, "always": True}


def _as_arguments(given: dict[str, Any]) -> dict[str, Any]:
    return {key.replace("-", "_"): value for key, value in given.items()}


# Stand-ins --------------------------------------------------------------------------------------------------
# Each takes only what it can do: any other key under `with` is a TypeError.


def _checkout(
    runner: Runner,
    home: Path,
    github: dict[str, Any],
    *,
    ref: str,
    path: str,
    persist_credentials: bool,
    fetch_depth: int = 1,
) -> None:
    """Clone as actions/checkout does: a detached head, and every branch as `origin/...` only when asked."""
    assert persist_credentials is False
    source, target = f"{github['server_url']}/{github['repository']}.git", home / "work" / path
    git("init", "--quiet", target)
    git("remote", "add", "origin", source, at=target)
    what = ["+refs/heads/*:refs/remotes/origin/*"] if fetch_depth == 0 else ["--depth=1", ref]
    git("fetch", "--quiet", "origin", *what, at=target)
    git("checkout", "--quiet", "--detach", ref, at=target)


def _setup_python(runner: Runner, home: Path, github: dict[str, Any], *, python_version: str) -> None:
    """Do nothing: `stand_in_python` stands in the PATH from the beginning."""
    assert re.fullmatch(r"3\.\d+", python_version)


def _upload(runner: Runner, home: Path, github: dict[str, Any], *, name: str, path: str) -> None:
    target = runner.artifacts / name
    assert not target.exists(), f"two artifacts are called {name}"
    if (home / "work" / path).exists():  # what is not there is a warning on GitHub, no failure
        shutil.copytree(home / "work" / path, target, ignore=shutil.ignore_patterns(".*"))


def _download(runner: Runner, home: Path, github: dict[str, Any], *, name: str, path: str) -> None:
    shutil.copytree(runner.artifacts / name, home / "work" / path)


ACTIONS = {
    "actions/checkout": _checkout,
    "actions/setup-python": _setup_python,
    "actions/upload-artifact": _upload,
    "actions/download-artifact": _download,
}


def git(*words: Any, at: Path | None = None) -> str:
    """Run git without anybody's settings and return what it prints."""
    command = ["git", *(["-C", str(at)] if at else []), *map(str, words)]
    who = {f"GIT_{role}_{what}": "someone" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def stand_in_python(directory: Path) -> Path:
    """Make a directory for the PATH whose `python` makes environments that already hold what we run with.

    An environment's own packages come first, so that what a script installs is what it gets. Only the
    download of torch and its like is passed over, and pip is this Python's.
    """
    directory.mkdir(parents=True)
    found = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (directory / "packages.pth").write_text("".join(f"{path}\n" for path in found))
    python = directory / "python"
    python.write_text(f"""#!/usr/bin/env bash
set -e
if [ "$1 $2 $3" != "-m venv --clear" ]; then exec "{sys.executable}" "$@"; fi
"{sys.executable}" -m venv --clear --without-pip "$4"
cp "{directory}/packages.pth" "$4"/lib/python*/site-packages/
""")
    python.chmod(0o755)
    return directory
