"""`breakeven ci` with real git repositories, and the environment that the workflows' steps set."""

import base64
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from breakeven import cli
from breakeven.commands import ci
from support.run_files import affine_run, write
from support.workflow_files import STEPS, step_that_runs

REPOSITORY, BRANCH, TOKEN = "somebody/tiny", "breakeven-history", "ghs_never_written_anywhere"
INCONCLUSIVE = "0 regressed, 2 inconclusive\n"


def git(*words, at="."):
    """Run git without user settings and return its output."""
    command = ["git", "-C", str(at), "-c", "user.name=x", "-c", "user.email=x", *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(autouse=True)
def runner(tmp_path, monkeypatch):
    """A runner's workspace as the working directory, its temporary directory, and its variables."""
    for name in ("temp", "work"):
        (tmp_path / name).mkdir()
    variables = {
        "RUNNER_TEMP": tmp_path / "temp",
        "GITHUB_OUTPUT": tmp_path / "outputs",
        "GITHUB_STEP_SUMMARY": tmp_path / "summary.md",
        "GITHUB_SERVER_URL": (tmp_path / "hub").as_uri(),
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_SHA": "1" * 40,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


@pytest.fixture
def step(monkeypatch):
    """Run a step as its workflow does, which sets exactly the given variables."""

    def run(name, **settings):
        assert step_that_runs(f'breakeven" ci {name}').get("env", {}).keys() == settings.keys()
        for variable, value in settings.items():
            monkeypatch.setenv(variable, value)
        return cli.main(["ci", name])

    return run


@dataclass
class Commands:
    """Records the commands of breakeven by their first word, each with a given exit code and output."""

    results: dict = field(default_factory=dict)
    ran: dict = field(default_factory=dict)
    meanwhile: Callable = lambda: None

    def __call__(self, *arguments, stdout=None):
        assert "TOKEN" not in os.environ
        self.ran[arguments[0]] = arguments
        if arguments[:4] == ("history", "add", "--store", ci.CLONE):
            write(Path(ci.CLONE, f"run-{os.environ['GITHUB_SHA']}"), "run")
            self.meanwhile()
        return subprocess.CompletedProcess(arguments, *self.results.get(arguments[0], (0, "")))


@pytest.fixture
def commands(monkeypatch):
    """Record commands of breakeven instead of running them."""
    fake = Commands()
    monkeypatch.setattr(ci, "_breakeven", fake)
    return fake


def annotations(capsys):
    """The annotations that were printed, each with its level and title."""
    return [line.split("::")[1] for line in capsys.readouterr().out.splitlines() if line.startswith("::")]


# base -------------------------------------------------------------------------------------------------------


@pytest.fixture
def commits(runner):
    """A clone at the third commit of main; the branch `slow` left main at the second."""
    bare, found = runner / "hub.git", {}
    git("init", "--quiet", "--bare", "--initial-branch=main", bare)
    git("init", "--quiet", "--initial-branch=main")
    git("remote", "add", "origin", bare)
    for name, start in (("first", None), ("second", None), ("slow", None), ("third", "second")):
        if start:
            git("checkout", "--quiet", found[start])
        git("commit", "--quiet", "--allow-empty", "--message", name)
        found[name] = git("rev-parse", "HEAD")
    git("push", "--quiet", "origin", f"{found['slow']}:refs/heads/slow", f"{found['third']}:refs/heads/main")
    git("fetch", "--quiet", "origin")
    return found


@pytest.mark.parametrize(
    ("asked", "target", "before", "base"),
    [
        ("", "", "second", "second"),
        ("", "", "first", "first"),  # several commits were pushed at once
        ("", "", "slow", "second"),  # forced: `slow` is no longer part of main
        ("", "", "0" * 40, "second"),  # the first push
        ("", "", "", "second"),  # no push
        ("", "slow", "", "second"),  # a pull request
        ("", "slow", "first", "second"),
        ("slow", "main", "first", "slow"),
        ("first", "", "second", "first"),
        ("--help", "", "second", None),
        ("nowhere; touch done", "", "second", None),
        ("", "nowhere", "second", None),
    ],
)
def test_base(commits, runner, step, asked, target, before, base):
    """The base is the requested one, else the merge base, else the commit before the push."""
    asked = commits[asked] if asked == "first" else asked  # a commit, or a branch
    code = step("base", ASKED=asked, TARGET=target, BEFORE=commits.get(before, before))
    assert code == (0 if base else 2)
    outputs = runner / "outputs"
    assert (outputs.read_text() if outputs.exists() else None) == (base and f"sha={commits[base]}\n")
    assert not Path("done").exists()


# measure ----------------------------------------------------------------------------------------------------

ASKED = {
    "PYTEST_ADDOPTS": "--breakeven-devices=cpu",
    "BENCHMARKS": "my bench",
    "PAIRS": "",
    "BUDGET": "1m",
    "THRESHOLD": "3%",
    "RESOLUTION": "20%",
    "FAIL_ON": "regressed,missing",
}

# Copies the next prepared file to the path of the run file, and records its other arguments.
FAKE_PYTHON = """#!/bin/sh
ready=$READY/$(basename "$PWD")
touch "$ready/$1 $2 $3"
set -- "$4" "$ready"/*.json
mv "$2" "${1#--benchmark-json=}"
"""


def without_doctor(breakeven):
    """Let the doctor find nothing, instead of reading the machine that runs the tests."""

    def run(*arguments, **settings):
        return breakeven(*(["--version"] if arguments == ("doctor",) else arguments), **settings)

    return run


@pytest.mark.slow
def test_measure_for_real(runner, step, monkeypatch, capfd):
    """A regression exits with 1, and the runs, the comparison and the report are still written."""
    for side, seconds in (("base", 0.01), ("head", 0.03)):
        for seed in range(5):
            write(runner / side / f"{seed}.json", affine_run({"cpu": (seconds, 0)}, [64], seed))
        python = runner / "temp" / side / "bin" / "python"
        write(python, FAKE_PYTHON)
        python.chmod(0o755)
        Path(side).mkdir()
    write(Path("breakeven/__init__.py"), "raise ImportError")  # the checkout is not imported
    monkeypatch.setenv("READY", str(runner))
    monkeypatch.setattr(ci, "_breakeven", without_doctor(ci._breakeven))
    assert step("measure", **ASKED | {"PAIRS": "5"}) == 1
    measured = runner / "temp" / "measured"
    runs = sorted((measured / "runs").glob("stage*.json"), key=lambda path: path.name.split("-")[1])
    turns = ["base", "candidate", "candidate", "base"] * 3
    assert [path.stem.rpartition("-")[2] for path in runs] == turns[:10]
    for side in ("base", "head"):
        assert [path.name for path in (runner / side).iterdir()] == ["-m pytest my bench"]
    summary = (runner / "summary.md").read_text().strip()
    assert "Regressed: 1 of 1 case" in summary
    assert (measured / "comparison.md").read_text().strip() == summary
    assert "<html" in (measured / "report" / "index.html").read_text()
    shown = capfd.readouterr().out
    assert summary in shown
    assert "::" not in shown
    assert "index.html" not in shown


@pytest.mark.parametrize(("pairs", "given"), [("", []), ("4", ["--pairs=4"])])
def test_measure_options(commands, step, pairs, given):
    """Each input reaches `breakeven ab`; without pairs only the budget limits it."""
    assert step("measure", **ASKED | {"PAIRS": pairs}) == 0
    given = ["--budget=1m", "--threshold=3%", "--resolution=20%", "--fail-on=regressed,missing", *given]
    assert [word for word in commands.ran["ab"] if re.match("--[a-z-]+=", word)] == given


@pytest.mark.parametrize("code", [0, 1, 2, 3, 130])
def test_measure_exit_code(commands, step, code):
    """The exit code is the comparison's, and the report is always written."""
    commands.results = {"doctor": (3, ""), "ab": (code, ""), "report": (2, "")}
    assert step("measure", **ASKED) == code
    assert "report" in commands.ran


@pytest.mark.parametrize(
    ("command", "code", "printed", "warned"),
    [
        ("doctor", 0, "", []),
        ("doctor", 3, "", ["doctor"]),
        ("ab", 0, INCONCLUSIVE, ["ab"]),
        ("ab", 1, "0 inconclusive", []),
        ("report", 2, "", ["report"]),
    ],
)
def test_measure_warns(commands, step, capsys, command, code, printed, warned):
    """A machine that is not fit, undecided cases and a missing report are annotations, not failures."""
    commands.results = {command: (code, printed)}
    step("measure", **ASKED)
    assert annotations(capsys) == [f"warning title=breakeven {name}" for name in warned]


def test_inconclusive_count(tmp_path, capsys):
    """The warning depends on a phrase in the output of `breakeven compare`."""
    sides = [write(tmp_path / f"{seed}.json", affine_run({"cpu": (1, 1)}, seed=seed)) for seed in range(2)]
    assert cli.main(["compare", *sides, "--format", "markdown", "--fail-on", "regressed"]) == 0
    assert ci.INCONCLUSIVE.search(capsys.readouterr().out)


def test_measure_reports_only_its_own_runs(commands, runner, step):
    """Without a run the report gets a pattern: an empty list would mean the newest run under results/."""
    step("measure", **ASKED)
    assert commands.ran["report"][1] == str(runner / "temp/measured/runs/stage1-*-candidate.json")


def test_measure_refuses_earlier_runs(commands, runner, step, capsys):
    """`breakeven ab` would resume them."""
    (runner / "temp" / "measured").mkdir()
    assert step("measure", **ASKED) == 2
    assert "/measured exists; " in capsys.readouterr().err
    assert commands.ran == {}


# push, judge, draw ------------------------------------------------------------------------------------------

TO = {"BRANCH": BRANCH, "TOKEN": TOKEN}


@pytest.fixture
def bare(runner):
    """The repository that gets the history; the runs of a measurement are in measured/."""
    path = runner / "hub" / f"{REPOSITORY}.git"
    git("init", "--quiet", "--bare", path, at=runner)
    for number, side in enumerate(("base", "candidate", "candidate")):
        write(Path(f"measured/runs/stage1-0{number}-{side}.json"), affine_run({"cpu": (1, 1)}, seed=number))
    write(Path("measured/runs/stage2-03-candidate.json"), affine_run({"cpu": (1, 1)}, seed=3))
    return path


@pytest.fixture(autouse=True)
def slept(monkeypatch):
    """The seconds between attempts, without waiting."""
    seconds = []
    monkeypatch.setattr(ci.time, "sleep", seconds.append)
    return seconds


def kept(bare):
    """The names of the files on the branch of the history."""
    return set(git("ls-tree", "-r", "--name-only", BRANCH, at=bare).splitlines())


@pytest.mark.slow
def test_push_for_real(bare, step, capsys):
    """The first push creates the branch, with a file for each run of the head that timed all cases."""
    assert step("push", **TO) == 0
    assert len(kept(bare)) == 2
    assert all(name.startswith("class=") and name.endswith(".parquet") for name in kept(bare))
    assert git("log", "--format=%an %s", BRANCH, at=bare) == f"github-actions[bot] Measure {'1' * 40}"
    assert step("push", **TO) == 0  # they are already stored
    assert git("rev-list", "--count", BRANCH, at=bare) == "1"
    assert step("judge") == 0  # too few to judge
    assert step("draw") == 0
    assert "<html" in Path("page/index.html").read_text()
    assert annotations(capsys) == ["notice title=breakeven history"]


def test_concurrent_push(bare, step, commands, slept, monkeypatch):
    """If another push came first, the runs are added to it."""
    assert step("push", **TO) == 0
    git("clone", "--quiet", "--branch", BRANCH, bare, "other")
    write(Path("other/other"), "run")
    git("add", "other", at="other")
    git("commit", "--quiet", "--message", "other", at="other")
    monkeypatch.setenv("GITHUB_SHA", "2" * 40)
    commands.meanwhile = lambda: git("push", "--quiet", "origin", BRANCH, at="other")
    assert step("push", **TO) == 0
    assert kept(bare) == {f"run-{'1' * 40}", f"run-{'2' * 40}", "other"}
    assert slept == [1]


def test_rejected_push(bare, step, commands, slept, capsys):
    """After five attempts, each later than the last, an error names the branch."""
    write(bare / "hooks" / "update", "#!/bin/sh\nexit 1\n")
    (bare / "hooks" / "update").chmod(0o755)
    assert step("push", **TO) == 1
    assert slept == [1, 2, 3, 4, 5]
    assert annotations(capsys) == ["error title=breakeven history"]


def test_push_of_unreadable_runs(bare, step, commands):
    """If a run cannot be added, nothing is pushed."""
    commands.results = {"history": (2, "")}
    assert step("push", **TO) == 2
    assert git("for-each-ref", at=bare) == ""


class Refusing(BaseHTTPRequestHandler):
    """A server that asks for credentials, records them, and has no repository."""

    def do_GET(self):
        answer = self.headers["Authorization"]
        self.server.answers.add(answer)
        self.send_response(404 if answer else 401)
        self.send_header("WWW-Authenticate", "Basic")
        self.end_headers()

    def log_message(self, *_):
        pass


def test_token(bare, step, commands, runner, monkeypatch):
    """Git answers a server with the token of the environment."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        server.answers = set()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("GITHUB_SERVER_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("no_proxy", "*")
        assert step("push", **TO) == 1
        server.shutdown()
    answer = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
    assert server.answers == {None, f"Basic {answer}"}
    written = [path.read_bytes() for path in runner.rglob("*") if path.is_file()]
    assert not any(text.encode() in content for content in written for text in (TOKEN, answer))


def test_store_in_a_bucket(runner, bare, commands, monkeypatch):
    """With $STORE, the runs are added there, and no branch is made."""
    monkeypatch.setenv("STORE", "s3://bucket/perf")
    for step, action in (("push", "add"), ("judge", "check"), ("draw", "show")):
        assert cli.main(["ci", step]) == 0
        assert commands.ran["history"][:4] == ("history", action, "--store", "s3://bucket/perf")
    assert git("for-each-ref", at=bare) == ""
    commands.results = {"history": (2, "")}
    assert cli.main(["ci", "push"]) == 2


@pytest.mark.parametrize(("code", "exits"), [(0, 0), (1, 1), (2, 2), (3, 0)])
def test_judge(commands, step, capsys, code, exits):
    """A regression fails; too few runs are a notice."""
    commands.results = {"history": (code, "")}
    assert step("judge") == exits
    assert commands.ran["history"] == ("history", "check", "--store", "history", "--format", "markdown")
    assert annotations(capsys) == ["notice title=breakeven history"] * (code == 3)


@pytest.mark.parametrize(("code", "page", "warns"), [(0, True, False), (3, True, False), (2, False, True)])
def test_draw(commands, step, capsys, code, page, warns):
    """A page that could not be drawn is a warning."""
    commands.results = {"history": (code, "")}
    if page:
        write(Path("page/index.html"), "<html>")
    assert step("draw") == 0
    assert annotations(capsys) == ["warning title=breakeven history"] * warns


def test_missing_variable(monkeypatch, capsys):
    """Outside of a workflow, the message names the missing variable."""
    monkeypatch.delenv("BRANCH", raising=False)
    assert cli.main(["ci", "push"]) == 2
    assert "BRANCH is not set" in capsys.readouterr().err


# Shell ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", [step["run"] for _, step in STEPS if "-m venv" in step.get("run", "")])
@pytest.mark.parametrize(
    ("install", "code"), [("echo $VIRTUAL_ENV > where", 0), ("false | true\ntouch where", 1)]
)
def test_install(runner, monkeypatch, script, install, code):
    """The input runs in the environment of its side, and stops at the first line that fails."""
    write(runner / "bin" / "python", f'#!/bin/sh\nexec "{sys.executable}" "$@" --without-pip\n')
    (runner / "bin" / "python").chmod(0o755)
    monkeypatch.setenv("PATH", f"{runner / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("INSTALL", install)
    done = subprocess.run(["bash", "-eo", "pipefail", "-c", script], check=False)
    assert done.returncode == code
    assert Path("where").exists() == (code == 0)
    [environment] = (runner / "temp").iterdir()
    assert code or Path("where").read_text().strip() == str(environment)


KILLED = """
import sys
from breakeven.commands import ci
sys.executable = sys.argv[1]
ci._breakeven("ab")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent is gone")
def test_commands_end_with_a_killed_step(tmp_path):
    """They are asked to end, so that a run that was measured is kept."""
    ended = tmp_path / "ended"
    os.mkfifo(ended)
    command = tmp_path / "python"
    command.write_text(f"#!/bin/sh\ntrap 'echo asked >{ended}; exit' TERM\necho ready\nsleep 60 & wait\n")
    command.chmod(0o755)
    with subprocess.Popen([sys.executable, "-c", KILLED, command], stdout=subprocess.PIPE) as killed:
        assert killed.stdout.readline() == b"ready\n"
        killed.kill()
        assert ended.read_text() == "asked\n"
