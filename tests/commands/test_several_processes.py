"""`compare` and `history` judge devices of several processes as any other."""

import json

import pytest

from breakeven import cli
from breakeven.compare.noise_floor import read_floor
from breakeven.runs.machine import machine_of
from support.fake_commands import Machine, install
from support.histories import add, commit, when
from support.reports import box
from support.run_files import write
from support.several_processes import GPU_BOX, MODELS, several_run

DEVICES = ("cpu", "cuda", "2xcuda")
FEW = {"models": MODELS[3:], "phases": {"train": 1.0}, "batches": (64, 1024), "noise": 0.005}


def slowed(content, device, factor=1.3):
    """The same run, on one device slower."""
    for one in content["benchmarks"]:
        if one["extra_info"]["device"] == device:
            one["stats"]["data"] = [factor * time for time in one["stats"]["data"]]
    return content


@pytest.fixture
def paths(tmp_path):
    """Two sides of three runs; two GPUs became slower."""
    runs = [several_run(DEVICES, **FEW, seed=seed, when=when(seed)) for seed in range(6)]
    for content in runs[1::2]:
        slowed(content, "2xcuda")
    return [write(tmp_path / f"run{i}.json", content) for i, content in enumerate(runs)]


def test_compare(paths, capsys):
    """Only the cases of that device regressed, the one without communication among them."""
    code = cli.main(["compare", "--baseline", *paths[::2], "--candidate", *paths[1::2], "--format", "json"])
    cases = json.loads(capsys.readouterr().out)["cases"]
    assert code == 1
    assert {row["case"] for row in cases if row["verdict"] == "regressed"} == {
        f"mlp {phase} 2xcuda batch={batch} width=4096"
        for phase in ("train", "train_no_sync")
        for batch in (64, 1024)
    }
    assert {row["verdict"] for row in cases if "2xcuda" not in row["case"]} == {"unchanged"}


def test_history(tmp_path, capsys):
    """A change of a device of several processes is found, and of no other."""
    runs = [several_run(DEVICES, **FEW, seed=seed, when=when(seed)) for seed in range(24)]
    for number, content in enumerate(runs):
        content["commit_info"] = {"id": commit(number), "dirty": False, "branch": "main"}
    for content in runs[16:]:
        slowed(content, "2xcuda")
    store = add(tmp_path, runs)
    capsys.readouterr()
    assert cli.main(["history", "check", "--store", store, "--format", "json"]) == 1
    changes = json.loads(capsys.readouterr().out)["changes"]
    assert [row["case"].split()[1:3] for row in changes] == [
        ["train", "2xcuda"], ["train", "2xcuda"], ["train_no_sync", "2xcuda"], ["train_no_sync", "2xcuda"],
    ]  # fmt: skip
    assert {row["commit"] for row in changes} == {commit(16)}


def test_calibrate(tmp_path, monkeypatch, capsys):
    """The noise floor has each case of the group."""
    monkeypatch.chdir(tmp_path)

    class Several(Machine):
        def measure(self, job, name, wanted=None):
            write(job.out, several_run(DEVICES, **FEW, seed=len(self.jobs), when=when(len(self.jobs))))

    install(monkeypatch, Several())
    assert cli.main(["calibrate", "base {out}", "--runs", "4"]) == 0
    capsys.readouterr()
    floor = read_floor(tmp_path / ".breakeven" / "noise", machine_of(box("EPYC", **GPU_BOX)))
    assert len(floor.medians_s["mlp train 2xcuda batch=64 width=4096"]) == 4
