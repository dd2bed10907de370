"""`breakeven merge`: what it writes, prints and refuses, and the recipes of its help."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml
from pytest_benchmark import cli as pytest_benchmark
from pytest_benchmark.stats import Stats

from breakeven import cli
from breakeven.commands.merge import EPILOG
from support.run_files import affine_run, benchmark, run, write
from support.workflow_files import load

BENCH = """
import pytest, torch
from breakeven import Workload

@pytest.mark.sweep(batch_size=[1, 2, 4, 8])
def bench_plain(train_benchmark, batch_size):
    train_benchmark(lambda: Workload(
        model=torch.nn.Linear(4, 2), loss=torch.nn.functional.mse_loss, optimizer=torch.optim.SGD,
        inputs=torch.ones(batch_size, 4), targets=torch.zeros(batch_size, 2),
    ))
"""
FAKE = """#!/bin/sh
echo "$*" >> "$CALLS"
exit "$CODE"
"""


def test_newer_journal(shards, capsys):
    """A run that died after a shard was measured is pointed out."""
    Path("run-2.json.journal").touch()
    os.utime("run-2.json", (0, 0))

    assert cli.main(["merge", "run-1.json", "run-2.json", "-o", "run.json"]) == 0

    assert capsys.readouterr().err.startswith("breakeven: run-2.json.journal is newer: a run that died left")


@pytest.fixture
def shards(tmp_path, monkeypatch):
    """The run files of two shards, in the working directory."""
    monkeypatch.chdir(tmp_path)
    for index, batches in ((1, (1, 64)), (2, (8, 512))):
        content = affine_run(
            {"cpu": (1, 1), "cuda": (33, 0.2)}, batches=batches, seed=index, when=f"2026-01-0{index}"
        )
        shard = {"index": index, "count": 3, "cells": 2, "sweep_cells": 4, "sweep_id": "x"}
        content["breakeven"] = {"schema": 1, "outcomes": [], "shard": shard}
        for item in content["benchmarks"]:
            item |= {"group": None, "options": {}, "params": None, "param": None}
            item["stats"] |= statistics_of(item["stats"]["data"])
        write(tmp_path / f"run-{index}.json", content)
    return tmp_path


def statistics_of(data):
    """The statistics that pytest-benchmark writes."""
    stats = Stats()
    for seconds in data:
        stats.update(seconds)
    return stats.as_dict()


def call(capsys, *arguments):
    """Run the command; return its exit code and its lines on standard output and standard error."""
    code = cli.main(["merge", *arguments])
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    return code, shown.out.splitlines(), shown.err.splitlines()


def test_merge(shards, capsys):
    assert call(capsys, "run-1.json", "run-2.json", "-o", "out/run.json") == (
        0, ["written to out/run.json: 8 timed cases, 0 without a timing, of 2 runs"], [],
    )  # fmt: skip
    assert len(json.loads((shards / "out" / "run.json").read_text())["benchmarks"]) == 8


def test_output_may_be_an_input(shards, capsys):
    assert call(capsys, "run-1.json", "run-2.json", "-o", "both.json")[0] == 0
    assert call(capsys, "run-2.json", "run-1.json", "-o", "run-1.json")[0] == 0
    assert (shards / "run-1.json").read_bytes() == (shards / "both.json").read_bytes()
    assert sorted(path.name for path in shards.iterdir()) == ["both.json", "run-1.json", "run-2.json"]


def test_missing_shards(shards, capsys):
    """They are named on standard error; a shard that is empty is not missing."""
    assert call(capsys, "run-1.json", "-o", "run.json") == (
        0,
        ["written to run.json: 4 timed cases, 0 without a timing, of 1 run"],
        ["breakeven: 2 shards are missing: 2/3, 3/3; merge again when measured"],
    )
    content = json.loads((shards / "run-1.json").read_text())
    content["breakeven"]["shard"]["count"] = 2
    write(shards / "run-1.json", content)
    assert call(capsys, "run-1.json", "-o", "run.json")[2] == [
        "breakeven: 1 shard is missing: 2/2; merge again when measured"
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "start"),
    [
        (("run-1.json",), 2, "the following arguments are required: -o/--output"),
        (("-o", "run.json"), 2, "the following arguments are required: RUN"),
        (("run-1.json", "absent.json", "-o", "run.json"), 2, "absent.json: does not exist; "),
        (("run-1.json", "cut.json", "-o", "run.json"), 2, "cut.json: is cut off in line 1; "),
        (("run-1.json", "other.json", "cut.json", "-o", "run.json"), 2, "cut.json: "),
        (("run-1.json", "other.json", "-o", "run.json"), 3, "mlp train cpu batch=1 width=128 has other "
         "rounds in run-1.json and other.json: "),
        (("run-1.json", "whole.json", "-o", "run.json"), 3, "run-1.json is a shard of a sweep, and "
         "whole.json is not; "),
        (("run-1.json", "-o", "folder"), 2, "folder cannot be written (Is a directory); name another file"),
        (("run-1.json", "-o", "/dev/full"), 2, "/dev/full cannot be written (No space left on device); "),
    ],
)  # fmt: skip
def test_refusals(shards, capsys, arguments, code, start):
    """One line with the exit code, and nothing is written."""
    (shards / "folder").mkdir()
    write(shards / "cut.json", '{"benchmarks": [')
    whole = run([benchmark([1.0] * 6, batch_size=1)], [])
    write(shards / "whole.json", whole)
    whole["breakeven"] |= json.loads((shards / "run-1.json").read_text())["breakeven"]
    write(shards / "other.json", whole)
    found, out, [line] = call(capsys, *arguments)
    assert (found, out) == (code, [])
    assert line.startswith(f"breakeven: error: {start}")
    assert not (shards / "run.json").exists()


def test_further_use(shards, capsys, monkeypatch):
    """`report`, `compare`, `history add` and pytest-benchmark read a merged file."""
    call(capsys, "run-1.json", "run-2.json", "-o", "run.json")
    assert cli.main(["report", "run.json", "--format", "json"]) == 0
    [row] = json.loads(capsys.readouterr().out)["break_even"]
    assert (row["status"], round(row["batch_size"])) == ("crosses", 40)
    assert cli.main(["compare", "run.json", "run-1.json", "--format", "json", "--fail-on", "none"]) == 0
    counts = json.loads(capsys.readouterr().out)["counts"]
    assert (counts["missing"], counts["inconclusive"]) == (4, 4)
    assert cli.main(["history", "add", "run.json", "--store", "store"]) == 0
    assert "20260102T000000Z" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["pytest-benchmark", "compare", "run.json"])
    pytest_benchmark.main()
    assert "benchmark: 8 tests" in capsys.readouterr().out


def recipe(start):
    """The lines of a recipe in the help, without their indentation."""
    after = EPILOG.split(f"\n{start}", 1)[1].split("\n\n", 1)[1]
    lines = []
    for line in after.splitlines():
        if line.startswith("  Then: ") or (line and not line.startswith("  ")):
            break
        lines.append(line)
    return textwrap.dedent("\n".join(lines)).strip() + "\n"


def in_shell(tmp_path, script, code, **environment):
    """Run a script with a pytest that notes its arguments; return its exit code and what was noted."""
    (tmp_path / "bin").mkdir(exist_ok=True)
    fake = tmp_path / "bin" / "pytest"
    fake.write_text(FAKE)
    fake.chmod(0o755)
    calls = tmp_path / "calls.txt"
    calls.unlink(missing_ok=True)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    environment |= {"PATH": path, "CALLS": str(calls), "CODE": str(code)}
    subprocess.run(["sh", "-n", "-c", script], check=True)
    done = subprocess.run(["sh", "-e", "-c", script], env=environment, cwd=tmp_path)
    return done.returncode, calls.read_text().splitlines()


def check_script(tmp_path, script, variable, value, shard, file):
    """A script measures its shard, and ends as pytest does; only an empty shard is not an error."""
    for code, expected in ((0, 0), (5, 0), (1, 1), (4, 1)):
        found = in_shell(tmp_path, script, code, **{variable: value})
        assert found == (expected, [f"bench --breakeven-shard={shard} --benchmark-json={file}"])


def test_slurm(tmp_path):
    script = recipe("A Slurm array")
    assert script.startswith("#!/bin/sh\n#SBATCH --array=1-8 --exclusive --partition=gpu\n")
    check_script(tmp_path, script, "SLURM_ARRAY_TASK_ID", "8", "8/8", "run-8.json")


def test_kubernetes(tmp_path):
    """Its index begins at 0, and its pods are as many as the shards."""
    job = yaml.safe_load(recipe("A Kubernetes Indexed Job"))
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    spec = job["spec"]
    assert (spec["completionMode"], spec["completions"]) == ("Indexed", 8)
    pod = spec["template"]["spec"]
    [container] = pod["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert [mount["name"] for mount in container["volumeMounts"]] == [one["name"] for one in pod["volumes"]]
    shell, option, script = container["command"]
    assert (shell, option) == ("sh", "-c")
    check_script(tmp_path, script, "JOB_COMPLETION_INDEX", "0", "1/8", "/results/run-1.json")
    check_script(tmp_path, script, "JOB_COMPLETION_INDEX", "7", "8/8", "/results/run-8.json")


def test_github(tmp_path):
    """Its matrix has every shard, and what the jobs upload is what the last one merges."""
    path = tmp_path / "bench.yml"
    path.write_text(recipe("A GitHub matrix"))
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", path]
    subprocess.run(check, check=True, capture_output=True)
    jobs = load(path)["jobs"]
    assert jobs["measure"]["strategy"]["matrix"]["shard"] == [1, 2, 3, 4]
    measuring = next(step for step in jobs["measure"]["steps"] if "env" in step)
    assert measuring["env"] == {"SHARD": "${{ matrix.shard }}"}
    check_script(tmp_path, measuring["run"], "SHARD", "3", "3/4", "run-3.json")
    assert jobs["merge"]["needs"] == "measure"
    assert "breakeven merge run-*.json -o run.json" in jobs["merge"]["steps"][1]["run"]


def test_submitit_is_python():
    compile(recipe("submitit"), "recipe", "exec")


def test_help_fits_a_terminal():
    assert max(map(len, EPILOG.splitlines())) <= 80


@pytest.mark.slow
def test_submitit(tmp_path, monkeypatch, capsys):
    """The recipe measures the shards of a sweep with the local executor, and the merge has every case."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "bench_plain.py").write_text(BENCH)
    for name, value in {
        "BREAKEVEN_PROCESSES": "0",
        "PYTEST_ADDOPTS": "--breakeven-devices=cpu@1 --breakeven-phases=train --benchmark-max-time=0.05",
    }.items():
        monkeypatch.setenv(name, value)
    script = recipe("submitit").replace('folder="log"', 'folder="log", cluster="local"')
    script = script.replace("/8", "/2").replace("range(1, 9)", "range(1, 3)")
    assert script.count("/2") == 1
    exec(compile(script, "recipe", "exec"), {"__name__": "recipe"})
    files = [path.name for path in sorted(Path().glob("run-*.json"))]
    assert files == ["run-1.json", "run-2.json"]
    code, out, err = call(capsys, *files, "-o", "run.json")
    assert (code, out, err) == (
        0, ["written to run.json: 4 timed cases, 0 without a timing, of 2 runs"], [],
    )  # fmt: skip
    benchmarks = json.loads(Path("run.json").read_text())["benchmarks"]
    counts = [item["extra_info"]["processes"] for item in benchmarks]
    assert {tuple(map(bool, one)) for one in counts} == {(True,), (False, True)}
