"""What README shows is true: its two commands are one line each, and its example runs and reports."""

import importlib.util
import json
import re
import shlex
from pathlib import Path

import pytest

from breakeven import cli
from breakeven.analysing.record import analyse
from breakeven.analysing.runs import read
from reports import box
from run_files import affine_run, write

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_two_commands_are_one_line_each_and_ci_reads_the_same():
    spec = importlib.util.spec_from_file_location("readme_command", ROOT / ".ci" / "readme_command.py")
    readme_command = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(readme_command)
    main_job, tests = readme_command.sh_blocks(README)
    assert "\n" not in main_job
    assert "\n" not in tests
    assert "pytest bench --benchmark-json=" in main_job
    assert "breakeven report" in main_job
    assert "'.[test]'" in tests


def test_the_pictures_and_files_that_are_named_are_there():
    named = [
        *re.findall(r"\]\(([^)]+)\)", README),
        *re.findall(r"breakeven report (results/\S+?\.json)", README),
    ]
    assert named
    for name in named:
        assert (ROOT / name).is_file(), name


def test_the_machines_of_the_other_example_are_held_against_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (command,) = [block for block in blocks("console") if "--baseline" in block]
    words = shlex.split(command)
    names = [word for word in words if word.endswith(".json")]
    for seed, name in enumerate(names):
        write(tmp_path / name, affine_run({"cpu": (1, 1)}, machine=box(Path(name).stem), seed=seed))
    assert words[0] == "breakeven"
    assert cli.main(words[1:]) == 0
    shown = capsys.readouterr().out
    assert "of laptop" in shown
    assert all(f"On {Path(name).stem}" in shown for name in names[1:])


def test_the_example_runs_and_reports_with_the_commands_below_it(torch_is_loaded, pytester, capsys):
    (example,) = blocks("python")
    commands = blocks("console")[0]
    measure, report = (shlex.split(line) for line in commands.strip().splitlines())
    pytester.makepyfile(bench_mine=example)
    assert measure[0] == "pytest"
    result = pytester.runpytest_inprocess(*measure[1:], "--benchmark-max-time=0.02")
    assert result.ret == 0
    names = [item["name"] for item in json.loads(Path("mine.json").read_text())["benchmarks"]]
    assert any(re.fullmatch(r"bench_mine\[256-1024-\S+-train\]", name) for name in names)
    assert report[0] == "breakeven"
    capsys.readouterr()
    assert cli.main(report[1:]) == 0
    assert "the page: mine.json.report/index.html" in capsys.readouterr().out


def test_the_verdict_that_is_quoted_is_that_of_the_committed_run():
    run = ROOT / "results" / "cpu-2core" / "run.json"
    verdict = analyse(read([run])).verdict
    (quote,) = re.findall(r"((?:^> .*\n)+)", README, re.MULTILINE)
    numbers = re.findall(r"\d[\d.]*(?:x| \[[\d.]+–[\d.]+\])", quote)
    assert len(numbers) >= 3
    for number in numbers:
        assert number in verdict
    rounds = sum(item["stats"]["rounds"] for item in json.loads(run.read_text())["benchmarks"])
    assert f"{rounds:,} rounds" in README


@pytest.mark.parametrize("option", sorted(set(re.findall(r"`(--breakeven-\w+)=", README))))
def test_the_options_that_are_named_exist(option, pytestconfig):
    assert pytestconfig.getoption(option.lstrip("-").replace("-", "_"), "absent") != "absent"
