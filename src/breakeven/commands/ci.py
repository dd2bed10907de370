"""`breakeven ci`: the steps of the GitHub workflows `measure.yml` and `history.yml`.

These steps are a subcommand because a called workflow does not check out its own repository, but its
`install` input installs breakeven. Settings are environment variables, so that no input becomes part of a
script.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from importlib import resources
from pathlib import Path

from breakeven.commands.base import NOT_JUDGED, OK, REGRESSED, print_line
from breakeven.errors import BreakevenError, UsageError
from breakeven.format import one_line
from breakeven.hardware.orphans import end_with_parent

ATTEMPTS = 5
CLONE = "history"
"""The clone of the history's branch."""

INCONCLUSIVE = re.compile(r"[1-9]\d* inconclusive")
RUNS = "runs/stage1-*-candidate.json"
"""The head's runs that time all cases; later stages time only some."""

_CREDENTIALS = '!f() { echo username=x-access-token; echo "password=$TOKEN"; }; f'
_AUTHOR = (
    *("-c", "user.name=github-actions[bot]"),
    *("-c", "user.email=41898282+github-actions[bot]@users.noreply.github.com"),
)
_SIDE = 'cd {0} && "$RUNNER_TEMP/{0}/bin/python" -m pytest "$BENCHMARKS" --benchmark-json={{out}}'

EPILOG = """\
examples:
  breakeven ci base     write the baseline's commit to $GITHUB_OUTPUT:
                        $ASKED, else where HEAD left $TARGET, else $BEFORE if
                        HEAD descends from it, else HEAD^
  breakeven ci measure  doctor, ab and report of base/ and head/
  breakeven ci push     add the runs in measured/ to the history in $STORE, such
                        as s3://BUCKET/PREFIX, or else on the branch $BRANCH
  breakeven ci judge    check that history
  breakeven ci draw     write its page to page/
  breakeven ci workflow > .github/workflows/gpu.yml
                        print a workflow that calls them, to fill in and commit

breakeven's GitHub workflows run these and set the variables that they read. A
workflow of your own keeps the history in a bucket with these steps:

  - run: breakeven ci push
    env: &bucket
      STORE: s3://BUCKET/PREFIX
      AWS_DEFAULT_REGION: eu-central-1
      AWS_ACCESS_KEY_ID: ${{ secrets.AWS_ACCESS_KEY_ID }}
      AWS_SECRET_ACCESS_KEY: ${{ secrets.AWS_SECRET_ACCESS_KEY }}
  - run: breakeven ci judge
    env: *bucket

exit codes:
  0  done, or too few runs to judge
  1  a regression, or a history that could not be pushed
  2  bad usage, or a command that failed
  3  as for `breakeven ab`
"""


def find_base() -> int:
    """Write the full hash of the baseline's commit to the step's outputs."""
    base = _base(_setting("ASKED"), _setting("TARGET"), _setting("BEFORE"))
    sha = _git("rev-parse", "--verify", "--end-of-options", f"{base}^{{commit}}")
    with Path(_setting("GITHUB_OUTPUT")).open("a", encoding="utf-8") as outputs:
        outputs.write(f"sha={sha}\n")
    for line in _git("log", "--no-walk", "--format=%h %s", sha, "HEAD").splitlines():
        print_line(line)
    return OK


def _base(asked: str, target: str, before: str) -> str:
    if asked:
        remote = f"origin/{asked}^{{commit}}"
        return _try_git("rev-parse", "--verify", "--quiet", "--end-of-options", remote) or asked
    if target:
        return _git("merge-base", "HEAD", f"origin/{target}")
    known = before and _try_git("rev-parse", "--verify", "--quiet", f"{before}^{{commit}}")
    if known and _try_git("merge-base", "--is-ancestor", known, "HEAD") is not None:
        return known
    return "HEAD^"  # the first push of a branch, a forced one, or no push


def measure() -> int:
    """Measure and compare both sides, then report the head's runs; return what `breakeven ab` returned."""
    measured = Path(_setting("RUNNER_TEMP"), "measured")
    if measured.exists():
        raise UsageError(f"{measured} exists; remove it, so that earlier runs are not mistaken for new ones")
    measured.mkdir()
    if _breakeven("doctor").returncode:
        _annotate("warning", "doctor", "This runner is not fit for timing; the log shows why.")
    compared = _breakeven("ab", *_ab_options(measured / "runs"), stdout=subprocess.PIPE)
    print(compared.stdout, end="", flush=True)
    (measured / "comparison.md").write_text(compared.stdout, encoding="utf-8")
    if INCONCLUSIVE.search(compared.stdout):
        _annotate("warning", "ab", "Some cases are inconclusive; a longer budget may decide.")
    report = measured / "report"
    _draw("report", report, "report", *_runs(measured), "-o", str(report), stdout=subprocess.DEVNULL)
    return compared.returncode


def _ab_options(output: Path) -> list[str]:
    names = ["budget", "threshold", "resolution", "fail-on", *["pairs"] * bool(_setting("PAIRS"))]
    given = [f"--{name}={_setting(name.upper().replace('-', '_'))}" for name in names]
    sides = ["--base", _SIDE.format("base"), "--candidate", _SIDE.format("head")]
    return [*sides, *given, "--output", str(output), "--format", "markdown"]


def push_history() -> int:
    """Add the head's runs to the bucket $STORE, or else to the branch."""
    return _add_runs() if os.environ.get("STORE") else _push_branch()


def _add_runs() -> int:
    return _breakeven("history", "add", "--store", _store(), *_runs(Path("measured"))).returncode


def _store() -> str:
    return os.environ.get("STORE") or CLONE


def _push_branch() -> int:
    """Add the head's runs to the branch, again if another job pushed first; never force the push."""
    branch, token = _setting("BRANCH"), _setting("TOKEN")
    del os.environ["TOKEN"]  # only git gets it
    origin = f"{_setting('GITHUB_SERVER_URL')}/{_setting('GITHUB_REPOSITORY')}.git"
    git = partial(_git, "-C", CLONE, *_AUTHOR)
    remote = partial(_try_git, "-C", CLONE, "-c", f"credential.helper={_CREDENTIALS}", TOKEN=token)
    _git("init", "--quiet", CLONE)
    for attempt in range(1, ATTEMPTS + 1):
        # Without the branch, or without the network, the history begins empty.
        fetched = remote("fetch", "--quiet", "--depth=1", origin, f"refs/heads/{branch}") is not None
        if fetched:
            git("reset", "--quiet", "--hard", "FETCH_HEAD")
        if code := _add_runs():
            return code
        git("add", "--all")
        if git("status", "--porcelain"):
            git("commit", "--quiet", "--message", f"Measure {_setting('GITHUB_SHA')}")
        elif fetched:
            return OK  # the branch has these runs already
        if remote("push", "--quiet", origin, f"HEAD:refs/heads/{branch}") is not None:
            return OK
        time.sleep(attempt)
    _annotate("error", "history", f"The history could not be pushed to {branch} in {ATTEMPTS} attempts.")
    return REGRESSED


def judge_history() -> int:
    """Check the history; too few runs are a notice, not a failure."""
    code = _breakeven("history", "check", "--store", _store(), "--format", "markdown").returncode
    if code != NOT_JUDGED:
        return code
    _annotate("notice", "history", "There are too few runs yet to judge.")
    return OK


def draw_history() -> int:
    """Draw the history; if that fails, warn and go on."""
    _draw("history", Path("page"), "history", "show", "--store", _store(), "-o", "page")
    return OK


def print_workflow() -> int:
    """Print a workflow that calls breakeven's workflows."""
    print(resources.files("breakeven.commands").joinpath("gpu-workflow.yml").read_text("utf-8"), end="")
    return OK


STEPS = {
    "base": find_base,
    "measure": measure,
    "push": push_history,
    "judge": judge_history,
    "draw": draw_history,
    "workflow": print_workflow,
}


def _setting(name: str) -> str:
    try:
        return os.environ[name]
    except KeyError:
        raise UsageError(f"{name} is not set; call breakeven's GitHub workflows, which set it") from None


def _runs(measured: Path) -> list[str]:
    """Return the head's runs, or the pattern if there are none: `report` must not pick another run."""
    return sorted(map(str, measured.glob(RUNS))) or [str(measured / RUNS)]


def _draw(title: str, page: Path, *command: str, stdout: int | None = None) -> None:
    if _breakeven(*command, stdout=stdout).returncode and not (page / "index.html").exists():
        _annotate("warning", title, f"There is no page of `breakeven {title}`; the log shows why.")


def _annotate(level: str, title: str, text: str) -> None:
    print(f"::{level} title=breakeven {title}::{one_line(text, 500).replace('%', '%25')}", flush=True)


def _breakeven(*arguments: str, stdout: int | None = None) -> subprocess.CompletedProcess[str]:
    # -P: do not import from the working directory, which is a checkout.
    command = [sys.executable, "-P", "-m", "breakeven.cli", *arguments]
    end = partial(end_with_parent, signal.SIGTERM)  # what measures ends with us, and keeps what it has
    return subprocess.run(
        command, stdout=stdout, encoding="utf-8", errors="replace", check=False, preexec_fn=end
    )


def _git(*words: str) -> str:
    printed = _try_git(*words)
    if printed is None:
        raise BreakevenError(f"`git {' '.join(words)}` failed; see its message above")
    return printed


def _try_git(*words: str, **variables: str) -> str | None:
    """Return git's output, None if it fails."""
    environment = {**os.environ, **variables}
    done = subprocess.run(["git", *words], stdout=subprocess.PIPE, env=environment, check=False)
    return None if done.returncode else done.stdout.decode("utf-8", "replace").strip()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("step", choices=tuple(STEPS), help="which step of the workflows to run")


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    return STEPS[arguments.step]()
