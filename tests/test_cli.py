"""What the command prints, writes and exits with."""

import argparse
import csv
import io
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from breakeven import cli
from breakeven.commands import COMMANDS
from breakeven.compare.noise_floor import floor_of, write_floor
from breakeven.render.json_output import json_schema
from breakeven.render.report_data import ReportJson
from breakeven.runs.reader import read_side
from support.reports import box
from support.run_files import affine_run, benchmark, outcome, run, write

HELP = [
    *([command.name] for command in COMMANDS),
    *(["history", action] for action in ("add", "check", "show", "accept")),
]

FILES = ["index.html", "speedup.png", "speedup.svg", "summary.csv", "summary.md"]
"""What every report holds, whatever was measured."""


@pytest.fixture
def run_json(tmp_path, monkeypatch):
    """A run file with a break-even, in the working directory."""
    monkeypatch.chdir(tmp_path)
    return write(tmp_path / "run.json", affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}))


def names(directory):
    """The names in a directory."""
    return sorted(path.name for path in directory.iterdir())


def test_report(run_json, tmp_path, capsys):
    """It prints tables and the verdict, and writes beside the run."""
    assert cli.main(["report", run_json]) == 0
    shown = capsys.readouterr()
    assert set(FILES) <= set(names(tmp_path / "run.json.report"))
    written, page = shown.out.splitlines()[-2:]
    assert written.startswith(f"written to {run_json}.report/: summary.csv, ")
    assert page == f"the page: {run_json}.report/index.html"
    assert shown.err == ""


def test_noise_floor(run_json, tmp_path, capsys):
    """The floor of the run's class, in the default directory or another, widens its intervals."""
    floors = [affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, seed=seed, noise=0.2, n=1) for seed in range(5)]
    paths = [write(tmp_path / "floor" / f"{i}.json", content) for i, content in enumerate(floors)]
    write_floor(floor_of(read_side(paths)), tmp_path / "kept")

    def verdicts(*options):
        assert cli.main(["report", run_json, "--format", "json", *options]) == 0
        found = json.loads(capsys.readouterr().out)
        return "another run may differ" not in found["verdict"], [
            row["high"] / row["low"] for row in found["speedup"]
        ]

    (without, narrow), (with_floor, wide) = verdicts(), verdicts("--noise", "kept")
    assert (without, with_floor) == (False, True)
    assert all(one > 1.5 * other for one, other in zip(wide, narrow, strict=True))
    (tmp_path / ".breakeven").mkdir()
    (tmp_path / "kept").rename(tmp_path / ".breakeven" / "noise")
    assert verdicts() == (True, wide)


def test_width_in_a_pipe(tmp_path, capsys):
    """Lines have at most 100 columns."""
    content = affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, workload="w" * 150)
    assert cli.main(["report", write(tmp_path / "r.json", content), "-o", str(tmp_path / "out")]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines()[:-2])) <= 100


def test_newest_run(run_json, tmp_path, capsys):
    """Without an argument the newest run in results/ is reported."""
    for name, month in (("a/old", 1), ("b/new", 2)):
        content = affine_run({"cpu": (1, 1)}, when=f"2026-0{month}-01T00:00:00")
        write(tmp_path / "results" / f"{name}.json", content)
    assert cli.main(["report"]) == 0
    assert names(tmp_path / "results" / "b") == ["new.json", "new.json.report"]


def test_json(run_json, tmp_path, capsys):
    """It is all of standard output, and no file is written."""
    other = write(tmp_path / "other.json", affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, seed=1))
    assert cli.main(["report", run_json, other, "--baseline", "cuda", "--format", "json", "-o", "out"]) == 0
    shown = capsys.readouterr()
    content = json.loads(shown.out)
    jsonschema.validate(content, json_schema(ReportJson))
    assert {row["candidate"] for row in content["speedup"]} == {"cpu"}
    assert shown.err == ""
    assert names(tmp_path) == ["other.json", "run.json"]


def test_output_directory(run_json, tmp_path, capsys):
    assert cli.main(["report", run_json, "-o", str(tmp_path / "there" / "out")]) == 0
    assert set(FILES) <= set(names(tmp_path / "there" / "out"))
    assert not (tmp_path / "run.json.report").exists()


def test_other_formats(run_json, tmp_path, capsys):
    """They are all of standard output, and the files are written; several runs are one report."""
    other = write(tmp_path / "other.json", affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, seed=1))
    for form, name in (("csv", "summary.csv"), ("markdown", "summary.md"), ("html", "index.html")):
        assert cli.main(["report", run_json, other, "--format", form]) == 0
        shown = capsys.readouterr()
        assert shown.out == (tmp_path / "run.json.report" / name).read_text()
        assert "run.json.report" in shown.err
    rows = list(csv.DictReader(io.StringIO((tmp_path / "run.json.report" / "summary.csv").read_text())))
    assert {row["n"] for row in rows} == {"60"}


def test_unreadable_run(tmp_path, capsys):
    """It is one line, and a traceback where that is asked for."""
    path = write(tmp_path / "run.json", "")
    assert cli.main(["report", path]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert path in shown.err
    assert len(shown.err.splitlines()) == 1
    assert cli.main(["report", path, "--traceback"]) == 2
    assert "Traceback" in capsys.readouterr().err


def two_modes(tmp_path):
    """Two run files of machines in different numeric modes."""
    contents = [
        affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, machine=box(name, tf32=tf32), seed=tf32)
        for name, tf32 in (("one", False), ("two", True))
    ]
    return [write(tmp_path / f"{i}.json", content) for i, content in enumerate(contents)]


def test_incomparable_machines(tmp_path, capsys):
    """They are exit code 3, with a page that shows why."""
    paths = two_modes(tmp_path)
    assert cli.main(["report", *paths, "-o", str(tmp_path / "out")]) == 3
    assert "tf32" in capsys.readouterr().out
    assert "tf32" in (tmp_path / "out" / "index.html").read_text()
    assert cli.main(["report", *paths, "--format", "json"]) == 3
    assert json.loads(capsys.readouterr().out)["speedup"] == []


def test_force(tmp_path, capsys):
    """It is exit code 0, and marks the page."""
    paths = two_modes(tmp_path)
    assert cli.main(["report", *paths, "-o", str(tmp_path / "out"), "--force"]) == 0
    assert '<p class="watermark">' in (tmp_path / "out" / "index.html").read_text()


def test_newer_schema(run_json, tmp_path, capsys):
    """Such a file is left out of the report, and is exit code 2."""
    newer = affine_run({"cpu": (1, 1)}, seed=5)
    newer["benchmarks"][0]["extra_info"]["schema"] = 2
    path = write(tmp_path / "newer.json", newer)
    assert cli.main(["report", run_json, path, "-o", str(tmp_path / "out")]) == 2
    shown = capsys.readouterr()
    (line,) = shown.err.splitlines()
    assert f"{path}: benchmarks[0]" in line
    assert shown.out != ""
    assert "newer.json" in (tmp_path / "out" / "index.html").read_text()
    assert cli.main(["report", path]) == 2
    assert capsys.readouterr().out == ""


def test_nothing_timed(tmp_path, capsys):
    """It is exit code 3, and the page is written."""
    path = write(tmp_path / "run.json", run([], [outcome("skipped", "would take too long")]))
    assert cli.main(["report", path]) == 3
    assert "would take too long" in capsys.readouterr().out
    assert "would take too long" in (tmp_path / "run.json.report" / "index.html").read_text()
    assert cli.main(["report", path, "--format", "json"]) == 3
    assert json.loads(capsys.readouterr().out)["speedup"] == []


def test_undecided(tmp_path, capsys):
    """Undecided cells and a single device are exit code 0."""
    undecided = run([benchmark([1.0, 2.0] * 9), benchmark([1.1, 1.9] * 9, device="cuda")])
    for i, content in enumerate((undecided, affine_run({"cpu": (1, 1)}))):
        assert cli.main(["report", write(tmp_path / f"{i}.json", content)]) == 0


@pytest.mark.parametrize(
    "output", ["", "run.json", "run.json/out", "x" * 5000], ids=["empty", "a file", "below a file", "long"]
)
def test_unusable_output(run_json, tmp_path, output, capsys):
    """It is one line, and nothing is written."""
    assert cli.main(["report", "run.json", "-o", output]) == 2
    shown = capsys.readouterr()
    [line] = shown.err.splitlines()
    assert len(line) < 500
    assert shown.out == ""
    assert names(tmp_path) == ["run.json"]


def test_name_that_is_not_utf_8(run_json, tmp_path, capsys):
    Path(run_json).rename(tmp_path / "r\udcff.json")
    assert cli.main(["report", str(tmp_path / "r\udcff.json")]) == 0
    assert set(FILES) <= set(names(tmp_path / "r\udcff.json.report"))


@pytest.mark.parametrize("text", ["--a\nb", "a\nb", "\x1b[31mred", "a\udcff", "\u2028"])
def test_error_is_one_line(text, capsys):
    """Whatever was typed."""
    assert cli.main(["report", text]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f"breakeven: error: {'unknown option ' if text[0] == '-' else ''}")
    assert shown.removesuffix("\n").isprintable()


@pytest.mark.parametrize("option", ["--worth=--", "--price=--", "--baseline=--"])
def test_no_value(option, run_json, capsys):
    """argparse gives an option with this value an empty list."""
    assert cli.main(["report", str(run_json), option]) == 2
    assert capsys.readouterr().err.startswith(f"breakeven: error: {option!r}: '--' is not a value; see ")


def test_error_with_a_path_is_one_line(tmp_path, capsys):
    (tmp_path / "a\nfile").touch()
    assert cli.main(["calibrate", "pytest {out}", "--output", str(tmp_path / "a\nfile" / "out")]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert r"a\nfile/out cannot be written" in line


def test_no_command(capsys):
    """It is bad usage, and the help is printed as an error."""
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert cli.main([]) == 2
    assert tuple(capsys.readouterr()) == ("", text)


def options_of(parser):
    """The options of a parser and of the parsers in it."""
    for action in parser._actions:
        if action.option_strings:
            yield action
        elif isinstance(action.choices, dict):
            for inner in action.choices.values():
                yield from options_of(inner)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_defaults_in_help(command):
    """Every option that takes a value has its default."""
    parser = argparse.ArgumentParser()
    command.module.add_arguments(parser)
    for option in options_of(parser):
        if option.nargs != 0 and not option.required and "instead of" not in option.help:
            assert "(default: " in option.help


@pytest.mark.parametrize(("terminal", "widest"), [(80, 80), (100, 100), (200, 100)])
def test_width_of_help(terminal, widest, monkeypatch, capsys):
    """It fits the terminal, and has at most 100 columns."""
    monkeypatch.setenv("COLUMNS", str(terminal))
    for arguments in ([], *HELP):
        assert cli.main([*arguments, "--help"]) == 0
        assert max(map(len, capsys.readouterr().out.splitlines())) <= widest


def test_interrupt(monkeypatch, run_json, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("breakeven.runs.reader.read", interrupt)
    assert cli.main(["report", run_json]) == 130
    assert capsys.readouterr().err == "breakeven: interrupted\n"


def test_run_as_a_module(monkeypatch, capsys):
    """`python -m breakeven` is the command."""
    monkeypatch.setattr(sys, "argv", ["breakeven", "--version"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(Path(cli.__file__).with_name("__main__.py")), run_name="__main__")
    assert (ended.value.code, capsys.readouterr().out.split()[0]) == (0, "breakeven")


def command(*arguments, stdout=subprocess.PIPE, **settings):
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "breakeven.cli", *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
        **settings,
    )


def test_broken_pipe(run_json):
    read, written = os.pipe()
    os.close(read)
    for form in ("terminal", "json"):
        done = command("report", run_json, "--format", form, stdout=written)
        assert (done.returncode, done.stderr) == (141, b"")
    os.close(written)


@pytest.mark.parametrize("form", ["terminal", "json"])
def test_full_output(run_json, form):
    with Path("/dev/full").open("w") as full:
        done = command("report", run_json, "--format", form, stdout=full)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith(b"breakeven: error: the output cannot be written")


@pytest.mark.parametrize(("closed", "errors"), [(">&-", 1), ("2>&-", 0)])
def test_closed_output(closed, errors):
    """An error does not appear in the output instead."""
    line = f"'{sys.executable}' -m breakeven.cli report none.json {closed}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", errors)
    assert "standard output is closed;" in done.stderr or not errors


def test_ascii_pipe(run_json):
    """It gets plain text."""
    done = command("report", run_json, env={**os.environ, "PYTHONIOENCODING": "ascii", "FORCE_COLOR": ""})
    assert done.returncode == 0, done.stderr
    assert b"\x1b" not in done.stdout
    assert done.stdout.isascii()


def test_unread_standard_error(monkeypatch, tmp_path):
    """An error that nobody can read has its own exit code all the same, and not that of a regression."""

    class Unread(io.StringIO):
        def write(self, text):
            raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("sys.stderr", Unread())

    assert cli.main(["report", str(tmp_path / "absent.json")]) == 2
