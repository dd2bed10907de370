"""The output, files and exit codes of `breakeven ab`."""

import json
import shlex
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import jsonschema
import pytest

from breakeven import cli
from breakeven.render.compare import ComparisonJson
from breakeven.render.json_output import json_schema
from support.fake_commands import CASES, Machine, install

COMMANDS = ("--base", "base {out}", "--candidate", "candidate {out}")
SLOW = {"candidate": {CASES[3]: 1.3}}
INTERRUPTED = "breakeven: interrupted; {} kept in breakeven-ab; run the same command to resume"


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Let `ab` run its commands on a fake machine, in a new working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)

    return partial(install, monkeypatch)


def test_same_output_as_compare(fake, capsys):
    fake(Machine(SLOW))
    assert cli.main(["ab", *COMMANDS]) == 1
    shown = capsys.readouterr()
    assert "Regressed: 1 of 20 cases" in " ".join(shown.out.split())
    assert shown.err.splitlines()[1].startswith("breakeven: run 1 of at most 20: base (pair 1), ")


def test_json(fake, capsys):
    fake(Machine(SLOW))
    assert cli.main(["ab", *COMMANDS, "--format", "json"]) == 1
    content = json.loads(capsys.readouterr().out)
    jsonschema.validate(content, json_schema(ComparisonJson))
    assert content["verdict"] == "regressed"
    assert content["counts"]["regressed"] == 1
    (row,) = [row for row in content["cases"] if row["case"] == CASES[3]]
    assert (row["n_baseline"], row["n_candidate"]) == (5, 5)


def test_options_of_compare(fake, capsys):
    fake(Machine(SLOW))
    assert cli.main(["ab", *COMMANDS, "--threshold", "50%"]) == 0
    assert cli.main(["ab", *COMMANDS, "--fail-on", "none", "-o", "b"]) == 0
    assert cli.main(["ab", *COMMANDS, "--resolution", "0.1%", "--fail-on", "inconclusive", "-o", "c"]) == 3


def test_pairs_and_budget(fake, capsys):
    machine = fake(Machine({"candidate": dict.fromkeys(CASES, 1.3)}))
    assert cli.main(["ab", *COMMANDS, "--pairs", "4", "--budget", "1h"]) == 3
    assert len(machine.jobs) == 8


def test_fail_on_decides_when_it_ends(fake, capsys):
    """A regression is enough, unless the exit code does not matter."""
    machine = fake(Machine(SLOW, noise=0.05))
    assert cli.main(["ab", *COMMANDS, "--pairs", "7"]) == 1
    assert len(machine.jobs) == 10
    assert cli.main(["ab", *COMMANDS, "--pairs", "7", "--fail-on", "none"]) == 0
    assert len(machine.jobs) == 14


def test_finished_experiment_is_shown_again(fake, capsys):
    """In any format, without measuring; --fresh measures again."""
    machine = fake(Machine(noise=0.001))
    assert cli.main(["ab", *COMMANDS]) == 0
    first = capsys.readouterr()
    assert cli.main(["ab", *COMMANDS]) == 0
    again = capsys.readouterr()
    assert again.out == first.out
    assert "10 runs since " in again.err
    assert cli.main(["ab", *COMMANDS, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["unchanged"] == 20
    assert len(machine.jobs) == 10
    assert cli.main(["ab", *COMMANDS, "--fresh"]) == 0
    assert len(machine.jobs) == 20
    assert "breakeven-ab/previous" in capsys.readouterr().err


def test_interrupt_and_resume(fake, capsys):
    machine = fake(Machine(SLOW, events={4: KeyboardInterrupt()}))
    assert cli.main(["ab", *COMMANDS]) == 130
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines()[-1] == INTERRUPTED.format("3 completed runs are")
    assert cli.main(["ab", *COMMANDS]) == 1
    assert len(machine.jobs) == 11
    assert "resuming in " in capsys.readouterr().err


def test_resume_in_another_working_directory(fake, tmp_path, monkeypatch, capsys):
    """It is refused, since the commands would run there."""
    machine = fake(Machine(SLOW, events={3: KeyboardInterrupt()}))
    output = ("--output", str(tmp_path / "ab"))
    assert cli.main(["ab", *COMMANDS, *output]) == 130
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert cli.main(["ab", *COMMANDS, *output]) == 2
    assert len(machine.jobs) == 3


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--threshold", "5%"), 2),
        (("--resolution", "5%"), 2),
        (("--base", "other {out}"), 2),
        (("--pairs", "5"), 1),
        (("--fail-on", "none"), 0),
    ],
)
def test_resume_with_other_options(fake, options, code, capsys):
    """It is refused where they decide what the runs are or which cases are timed again."""
    machine = fake(Machine(SLOW, events={3: KeyboardInterrupt()}))
    assert cli.main(["ab", *COMMANDS]) == 130
    assert cli.main(["ab", *COMMANDS, *options]) == code
    assert (len(machine.jobs) == 3) is (code == 2)


def test_result_that_could_not_be_printed(fake, monkeypatch, capsys):
    """The next call prints it without measuring."""

    def full(*_):
        raise OSError(28, "No space left on device")

    machine = fake(Machine(noise=0.001))
    with monkeypatch.context() as patch:
        patch.setattr("breakeven.commands.ab.present", full)
        patch.setattr("breakeven.cli._discard_output", lambda: None)
        assert cli.main(["ab", *COMMANDS]) == 2
    assert cli.main(["ab", *COMMANDS]) == 0
    assert len(machine.jobs) == 10


SCRIPT = """
import json, sys, pathlib, time
sys.path.insert(0, {tests!r})
import numpy as np
from support.run_files import benchmark, run
rng = np.random.default_rng()
slow = {slow}
pathlib.Path(sys.argv[1]).write_text(json.dumps(run([
    benchmark([0.01 * np.exp(0.01 * rng.standard_normal()) * (slow if i == 2 else 1)] * 6, f"m{{i}}")
    for i in range(6)
])))
"""


def script(tmp_path, name, slow=1.0):
    """A command that writes a run file without measuring."""
    path = tmp_path / name
    path.write_text(SCRIPT.format(tests=str(Path(__file__).parents[1]), slow=slow))
    return f"{shlex.quote(sys.executable)} {shlex.quote(str(path))} {{out}}"


def test_real_processes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    base, candidate = script(tmp_path, "base.py"), script(tmp_path, "candidate.py", 1.3)
    assert cli.main(["ab", "--base", base, "--candidate", candidate, "--pairs", "5", "--format", "json"]) == 1
    content = json.loads(capsys.readouterr().out)
    assert [row["case"] for row in content["cases"] if row["verdict"] == "regressed"] == [
        "m2 train cpu batch=64 width=128"
    ]


@pytest.mark.parametrize("verbose", [False, True])
def test_verbose(tmp_path, monkeypatch, capfd, verbose):
    """The output of the commands goes to standard error."""
    monkeypatch.chdir(tmp_path)
    command = f"echo measuring; {script(tmp_path, 'base.py')}"
    options = ["--verbose"] * verbose
    assert cli.main(["ab", "--base", command, "--candidate", command, "--pairs", "1", *options]) in (0, 1, 3)
    shown = capfd.readouterr()
    assert shown.err.splitlines().count("measuring") == 2 * verbose
    assert "measuring" not in shown.out


def started(tmp_path, candidate):
    """A real `breakeven ab` whose candidate is running, as the file `ready` shows."""
    sides = ("--base", script(tmp_path, "a.py"), "--candidate", candidate)
    command = [sys.executable, "-m", "breakeven.cli", "ab", *sides]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "ready").exists():
        time.sleep(0.01)
        assert process.poll() is None
    return process


@pytest.mark.slow
def test_command_that_ignores_signals(tmp_path):
    """A second signal kills it, and completed runs stay."""
    (tmp_path / "ignoring.py").write_text(
        "import os, pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "pathlib.Path(sys.argv[1]).write_text('{')\npathlib.Path('ready').touch()\ntime.sleep(60)\n"
    )
    ignoring = f"{shlex.quote(sys.executable)} ignoring.py {{out}}"
    process = started(tmp_path, ignoring)
    process.send_signal(signal.SIGTERM)
    waiting = next(line for line in process.stderr if "waiting up to" in line)
    assert waiting.startswith("breakeven: waiting up to 20 s for the command to end; ")
    process.send_signal(signal.SIGTERM)
    _, lines = process.communicate(timeout=15)
    assert (process.returncode, lines.splitlines()[-1]) == (130, INTERRUPTED.format("1 completed run is"))
    plan = json.loads((tmp_path / "breakeven-ab" / "plan.json").read_text())
    assert list(plan["runs"]) == ["stage1-01-base"]
    assert (tmp_path / "breakeven-ab" / "stage1-01-base.json").exists()


def test_stopped_process_keeps_completed_runs(tmp_path):
    (tmp_path / "slow.py").write_text(
        f"import pathlib, time\npathlib.Path({str(tmp_path / 'ready')!r}).touch()\ntime.sleep(60)\n"
    )
    slow = f"{shlex.quote(sys.executable)} {tmp_path}/slow.py {{out}}"
    process = started(tmp_path, slow)
    process.send_signal(signal.SIGINT)
    _, lines = process.communicate(timeout=30)
    assert process.returncode == 130
    assert lines.splitlines()[-1] == INTERRUPTED.format("1 completed run is")
    assert (tmp_path / "breakeven-ab" / "stage1-01-base.json").exists()
