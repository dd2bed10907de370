"""The output, files and exit codes of `breakeven calibrate`."""

import json
from functools import partial
from pathlib import Path

import jsonschema
import pytest

from breakeven import cli
from breakeven.compare.noise_floor import read_floor
from breakeven.render.calibrate import CalibrationJson
from breakeven.render.json_output import json_schema
from breakeven.runs.machine import machine_of
from support.fake_commands import CASES, Machine, install
from support.reports import box
from support.run_files import benchmark, run, write


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Let `calibrate` run its command on a fake machine, in a new working directory."""
    monkeypatch.chdir(tmp_path)

    return partial(install, monkeypatch)


def test_stores_and_prints_the_noise_floor(fake, tmp_path, capsys):
    machine = fake(Machine())
    assert cli.main(["calibrate", "base {out}", "--runs", "4"]) == 0
    assert [dict(job.environment) for job in machine.jobs] == [
        {"BREAKEVEN_PROCESSES": "1", "BREAKEVEN_SEED": str(seed)} for seed in (1, 2, 3, 4)
    ]
    floor = read_floor(tmp_path / ".breakeven" / "noise", machine_of(box("here")))
    assert (floor.runs, floor.command, list(floor.medians_s)) == (4, "base {out}", list(CASES))
    shown = capsys.readouterr()
    visible = [line for line in shown.out.splitlines() if line.startswith("  ")]
    assert [line.split("with ")[1] for line in visible] == [
        "1 run per side", "3 runs per side", "5 runs per side", "10 runs per side",
    ]  # fmt: skip
    assert ".breakeven/noise/id-here.json" in shown.out
    assert "\\n" not in shown.out
    assert max(map(len, shown.out.splitlines())) <= 100
    progress = [line.split(": ")[1:] for line in shown.err.splitlines()[1:]]
    assert progress == [[f"run {n} of 4", left] for n, left in zip(range(1, 5), LEFT, strict=True)]


LEFT = ("40 s; about 2 min left", "40 s; about 80 s left", "40 s; about 40 s left", "40 s")


def test_json(fake, capsys):
    fake(Machine())
    assert cli.main(["calibrate", "base {out}", "--runs", "5", "--noise", "n", "--format", "json"]) == 0
    content = json.loads(capsys.readouterr().out)
    jsonschema.validate(content, json_schema(CalibrationJson))
    assert (content["class_id"], content["runs"], content["cases"], content["path"]) == (
        "id-here", 5, 20, "n/id-here.json",
    )  # fmt: skip
    assert [row["runs"] for row in content["visible"]] == [1, 3, 5, 10]
    changes = [row["typical"] for row in content["visible"]]
    assert changes == sorted(changes, reverse=True)


def test_compare_uses_the_noise_floor(fake, tmp_path, capsys):
    fake(Machine(noise=0.01))
    assert cli.main(["calibrate", "base {out}", "--runs", "6"]) == 0
    sides = [
        write(
            tmp_path / f"{i}.json",
            run([benchmark([0.01 * factor] * 6, f"model{n:02}") for n in range(20)], machine=box("here")),
        )
        for i, factor in enumerate((1.0, 1.2))
    ]
    assert cli.main(["compare", *sides]) == 1
    (tmp_path / "elsewhere").mkdir()
    assert cli.main(["compare", *sides, "--noise", "elsewhere"]) == 3


def test_interrupt_and_resume(fake):
    machine = fake(Machine(events={3: KeyboardInterrupt()}))
    assert cli.main(["calibrate", "base {out}", "--runs", "4"]) == 130
    assert cli.main(["calibrate", "base {out}", "--runs", "4"]) == 0
    assert len(machine.jobs) == 5


def test_different_machine_classes(fake, tmp_path, capsys):
    """Nothing is stored."""

    class Moving(Machine):
        def measure(self, job, name, wanted=None):
            self.machine = box("here", class_id=name, torch=name)
            super().measure(job, name, wanted)

    machine = fake(Moving())
    assert cli.main(["calibrate", "base {out}", "--runs", "4"]) == 3
    assert len(machine.jobs) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "torch (run-01 and run-02)" in last
    assert "--fresh" in last
    assert not (tmp_path / ".breakeven").exists()


def test_unknown_machine_class(fake, capsys):
    fake(Machine(machine={"node": "box"}))
    assert cli.main(["calibrate", "base {out}", "--runs", "2"]) == 0
    assert len(list(Path(".breakeven/noise").iterdir())) == 1
    assert "Warnings" in capsys.readouterr().out
