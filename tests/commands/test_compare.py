"""`breakeven compare`: its arguments, its output and its exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from breakeven import cli
from breakeven.compare.noise_floor import floor_of, write_floor
from breakeven.render.compare import ComparisonJson
from breakeven.render.json_output import json_schema
from breakeven.runs.reader import read_side
from support.comparisons import PHASES, a_run, levels, machine, side
from support.run_files import outcome, run, write

SLOWER = levels(slower=PHASES, by=1.3)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    return tmp_path


@pytest.fixture
def sides(here):
    """A function of two levels that runs `compare` on five runs a side, and returns its exit code."""

    def compare(before, after, *options, **settings):
        a, b = side(here, "a", before), side(here, "b", after, first=1, **settings)
        return cli.main(["compare", "--baseline", *a, "--candidate", *b, *options])

    return compare


def without(levels):
    """The levels without one case."""
    return {key: value for key, value in levels.items() if key != ("train", 64)}


SAME = levels()
A_LITTLE = levels(slower=PHASES, by=1.05)
BROKEN = {"outcomes": [outcome("failed", "it broke")]}


@pytest.mark.parametrize(
    ("before", "after", "options", "settings", "code"),
    [
        (SAME, SAME, "", {}, 0),
        (SAME, SAME, "--fail-on unchanged", {}, 3),
        (SAME, SAME, "--resolution 0.1%", {}, 3),
        (SAME, SLOWER, "", {}, 1),
        (SAME, SLOWER, "--fail-on none", {}, 0),
        (SAME, A_LITTLE, "", {}, 1),
        (SAME, A_LITTLE, "--threshold 8%", {}, 0),
        (SLOWER, SAME, "", {}, 0),
        (SLOWER, SAME, "--fail-on improved", {}, 3),
        (without(SAME), SAME, "", {}, 0),
        (without(SAME), SAME, "--fail-on new", {}, 3),
        (SAME, without(SAME), "", {}, 3),
        (SAME, without(SAME), "--fail-on regressed,inconclusive", {}, 0),
        (SAME, without(SLOWER), "", {}, 1),
        (SAME, without(SLOWER), "--fail-on missing", {}, 3),
        (SAME, without(SAME), "", BROKEN, 3),  # its timing is missing
        (SAME, without(SAME), "--fail-on error", BROKEN, 3),
        (SAME, without(SAME), "--fail-on regressed", BROKEN, 0),
        (without(SAME), without(SAME), "--fail-on missing", BROKEN, 0),  # it was never timed
    ],
)
def test_exit_code(sides, before, after, options, settings, code):
    assert sides(before, after, *options.split(), **settings) == code


def test_counts(sides, capsys):
    """Standard output is JSON only."""
    assert sides(levels(), without(SLOWER), "--format", "json", **BROKEN) == 1
    shown = capsys.readouterr()
    content = json.loads(shown.out)
    jsonschema.validate(content, json_schema(ComparisonJson))
    assert (content["verdict"], shown.err) == ("regressed", "")
    assert (content["counts"]["regressed"], content["counts"]["error"]) == (9, 1)


def test_single_runs(here, capsys):
    """They are inconclusive, so the exit code is 3 unless --fail-on leaves that out."""
    (a,), (b,) = side(here, "a", levels(), runs=1), side(here, "b", levels(), runs=1, first=1)
    assert cli.main(["compare", a, b, "--format", "json"]) == 3
    assert json.loads(capsys.readouterr().out)["counts"]["inconclusive"] == 10
    assert cli.main(["compare", a, b, "--fail-on", "regressed"]) == 0


def test_newer_journal(here, capsys):
    """One line on standard error for each run beside which a newer one died."""
    (a,), (b,) = side(here, "a", levels(), runs=1), side(here, "b", levels(), runs=1, first=1)
    Path(f"{b}.journal").touch()
    os.utime(b, (0, 0))
    cli.main(["compare", a, b, "--format", "json"])
    shown = capsys.readouterr()
    json.loads(shown.out)
    assert [line.partition(" is newer")[0] for line in shown.err.splitlines()] == [
        f"breakeven: {Path(b).name}.journal"
    ]


def test_noise_floor(here):
    """Single runs are judged by the noise floor of their class."""
    write_floor(floor_of(read_side(side(here, "floor", levels(), runs=8, first=20))), here / "kept")
    (a,), (b,) = side(here, "a", levels(), runs=1), side(here, "b", SLOWER, runs=1, first=1)
    assert cli.main(["compare", a, b]) == 3
    assert cli.main(["compare", a, b, "--noise", "kept"]) == 1
    (here / ".breakeven").mkdir()
    (here / "kept").rename(here / ".breakeven" / "noise")
    assert cli.main(["compare", a, b]) == 1


def test_noise_floor_of_two_classes(here):
    """Runs of two classes have no noise floor in common."""
    one, other = machine(driver="570"), machine("c2", driver="580")
    for name, box in (("f", one), ("g", other)):
        calibrated = side(here, name, levels(), runs=8, first=20, machine_info=box)
        write_floor(floor_of(read_side(calibrated)), here / "kept")
    (a,) = side(here, "a", levels(), runs=1, machine_info=one)
    (b,) = side(here, "b", SLOWER, runs=1, first=1, machine_info=other)
    assert cli.main(["compare", a, b, "--noise", "kept", "--vary", "driver"]) == 3


@pytest.mark.parametrize("calibrated", [machine(), machine("c2", smt=True)])
def test_noise_floor_of_a_class_that_records_more(here, calibrated):
    """A noise floor of either id judges runs of both."""
    runs = read_side(side(here, "f", levels(), runs=8, first=20, machine_info=calibrated))
    write_floor(floor_of(runs), here / "kept")
    (a,) = side(here, "a", levels(), runs=1)
    (b,) = side(here, "b", SLOWER, runs=1, first=1, machine_info=machine("c2", smt=True))
    assert cli.main(["compare", a, b, "--noise", "kept"]) == 1


@pytest.mark.parametrize("outcomes", [None, [outcome("oom")]])
def test_nothing_timed_in_the_baseline(here, outcomes):
    """Nothing can be judged, whether the baseline has no case at all or none with a timing."""
    empty = write(here / "empty.json", run(outcomes=outcomes, machine=machine()))
    full = side(here, "b", levels())
    assert cli.main(["compare", "--baseline", empty, "--candidate", *full]) == 3
    assert cli.main(["compare", "--baseline", *full, "--candidate", empty]) == 3
    assert cli.main(["compare", empty, empty]) == 3


def test_nothing_judged(here):
    """If no case was timed on both sides, every --fail-on but none exits with 3."""
    empty = write(here / "empty.json", run(machine=machine()))
    other = {("step", 9999): 1.0}
    (a,), (b,) = side(here, "a", levels(), runs=1), side(here, "b", other, runs=1, first=1)
    for sides in ((a, b), (a, empty), (empty, empty), (empty, b)):
        assert cli.main(["compare", *sides, "--fail-on", "regressed"]) == 3
        assert cli.main(["compare", *sides, "--fail-on", "none"]) == 0


def test_different_classes(here, capsys):
    """They exit with 3 and one line that names the fields, unless they may vary."""
    a = write(here / "a.json", a_run(levels(), machine_info=machine(gpu="L4", driver="570")))
    b = write(here / "b.json", a_run(levels(), seed=1, machine_info=machine("c2", gpu="H100", driver="580")))
    assert cli.main(["compare", a, b, "--vary", "gpu"]) == 3
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    assert line.endswith("--vary driver")
    assert cli.main(["compare", a, b, "--vary", "gpu, driver", "--fail-on", "regressed"]) == 0


def test_summary(sides, here, monkeypatch, capsys):
    """Markdown, and nothing else, is appended to the summary of a GitHub job."""
    summary = here / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert sides(levels(), levels()) == 0
    assert summary.read_text() == "before\n"  # only where markdown is asked for
    capsys.readouterr()
    assert sides(levels(), levels(), "--format", "markdown") == 0
    shown = capsys.readouterr().out
    assert summary.read_text() == f"before\n{shown}\n"
    assert shown.startswith("**")


def test_unwritable_summary(sides, here, monkeypatch, capsys):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(here / "no" / "such"))
    assert sides(levels(), levels(), "--format", "markdown") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "GITHUB_STEP_SUMMARY=" in line


@pytest.mark.parametrize("path", ["x" * 5000, "a\0b"], ids=["long", "null"])
def test_impossible_directory(here, capsys, path):
    a, b = write(here / "a.json", a_run(levels())), write(here / "b.json", a_run(levels(), seed=1))
    assert cli.main(["compare", a, b, "--noise", path]) == 2
    shown = capsys.readouterr()
    assert (shown.out, len(shown.err.splitlines())) == ("", 1)


def test_imports(here):
    """Comparing loads no data frames, figures or torch."""
    a, b = write(here / "a.json", a_run(levels())), write(here / "b.json", a_run(levels(), seed=1))
    code = (
        "import sys\nfrom breakeven.cli import main\n"
        f"main(['compare', {a!r}, {b!r}])\n"
        "assert not {'pandas', 'matplotlib', 'torch', 'scipy.stats'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)
