"""The GPU's timers, on a simulated device whose steps are known exactly."""

import json
import os
import signal
import subprocess
import types

import gpu
import pytest
from gpu import BARE_S, PEERS, Stage, by_bare_loop, main, present, readings_of
from gpu_tables import gpu_section

from breakeven.doctor.selftests.simulated_device import COSTS, LAUNCH_S
from breakeven.measure.simulated import SimulatedClock, SimulatedDevice, simulated_workload
from breakeven.measure.trainer import Trainer
from breakeven.phases import Phase
from compare import render

LAUNCHES = len(Phase.TRAIN.parts)


@pytest.fixture
def device():
    return SimulatedDevice(SimulatedClock(), LAUNCH_S)


@pytest.fixture
def triton(monkeypatch, device):
    """A triton whose do_bench returns the time between two marks, in milliseconds."""
    asked = []

    def do_bench(function, return_mode):
        asked.append(return_mode)
        events = device.event_api()
        device.synchronize()
        start, end = events.make(), events.make()
        events.record(start)
        function()
        events.record(end)
        return 1e3 * events.seconds(start, end)

    testing = types.SimpleNamespace(do_bench=do_bench, __version__="9.9")
    monkeypatch.setattr(gpu, "load", lambda _: testing)
    return asked


@pytest.fixture
def no_triton(monkeypatch):
    def absent(name):
        raise ModuleNotFoundError("No module named 'triton'")

    monkeypatch.setattr(gpu, "load", absent)


def test_each_timer_reads_what_it_waits_for(device, triton):
    peers, missing = present(PEERS)
    found = readings_of(simulated_workload(device), device, peers, 2, device.clock)
    assert missing == {}
    assert found["truth_s"] == LAUNCH_S + COSTS.train
    readings = found["readings"]
    assert list(readings) == list(PEERS)
    assert readings["breakeven"] == LAUNCH_S + COSTS.train
    assert readings["triton do_bench"] == LAUNCH_S + COSTS.train
    assert readings["bare loop"] == LAUNCHES * LAUNCH_S  # without waiting: launches alone
    # It waits once per block, so only the first launch of a block is timed.
    assert COSTS.train <= readings["torch.utils.benchmark"] <= LAUNCH_S + COSTS.train
    assert set(triton) == {"median"}  # one call tries whether it works
    assert {name: len(seconds) for name, seconds in found["all"].items()} == dict.fromkeys(
        ("truth", *PEERS), 2
    )


def test_missing_timer(no_triton):
    peers, missing = present(PEERS)
    assert list(peers) == ["breakeven", "torch.utils.benchmark", "bare loop"]
    assert missing == {"triton do_bench": "ModuleNotFoundError: No module named 'triton'"}


@pytest.mark.parametrize(
    "error",
    [RuntimeError("Failed to find C compiler."), subprocess.CalledProcessError(1, ["/usr/bin/gcc", "x.c"])],
    ids=["no compiler", "no headers"],
)
def test_triton_without_a_compiler(monkeypatch, error):
    def do_bench(function, return_mode):
        raise error

    monkeypatch.setattr(gpu, "load", lambda _: types.SimpleNamespace(do_bench=do_bench))
    peers, missing = present(PEERS)
    assert "triton do_bench" not in peers
    assert type(error).__name__ in missing["triton do_bench"]


@pytest.mark.parametrize(("repetitions", "has_interval"), [(5, False), (6, True)])
def test_six_repetitions(device, triton, repetitions, has_interval):
    """Every reading has an interval."""
    peers = {"breakeven": PEERS["breakeven"]}
    found = readings_of(simulated_workload(device), device, peers, repetitions, device.clock)
    exact = [LAUNCH_S + COSTS.train] * 2
    assert found["intervals"] == dict.fromkeys(("truth", "breakeven"), exact if has_interval else None)


def result(**changes):
    cell = {
        "name": "64 x 16",
        "truth_s": 2e-3,
        "readings": {"breakeven": 2.2e-3, "bare loop": 0.1e-3},
        "intervals": {"truth": [1.9e-3, 2.1e-3], "breakeven": [2.1e-3, 2.3e-3], "bare loop": None},
    }
    return {
        "device": "cuda",
        "device_name": "A GPU",
        "date": "2026-01-02",
        "versions": {"torch": "2.11"},
        "repetitions": 5,
        "missing": {"triton do_bench": "No module named 'triton'"},
        "cells": [cell, {**cell, "name": "512 x 64", "readings": {"breakeven": 2e-3}}],
        **changes,
    }


def test_table():
    """Each reading is compared with that of the events."""
    lines = gpu_section(result()).splitlines()
    assert "| width x batch | device events | breakeven | bare loop |" in lines
    assert "| 64 x 16 | 2 ms [1.9–2.1] | 2.2 ms [2.1–2.3] (1.10x) | 0.1 ms (0.05x) |" in lines
    assert "| 512 x 64 | 2 ms [1.9–2.1] | 2 ms [2.1–2.3] (1.00x) | - |" in lines
    assert "- triton do_bench is missing: No module named 'triton'." in lines
    assert "A GPU; torch 2.11; 2026-01-02." in lines
    assert "is missing" not in gpu_section(result(missing={}))


def test_the_page_of_all_peers_gains_the_table(tmp_path):
    from pathlib import Path

    committed = Path(__file__).parents[3] / "results" / "harness" / "synthetic.json"
    (tmp_path / "synthetic.json").write_text(committed.read_text(encoding="utf-8"), encoding="utf-8")
    render(tmp_path)
    before = (tmp_path / "README.md").read_text(encoding="utf-8")
    (tmp_path / "gpu.json").write_text(json.dumps(result()), encoding="utf-8")
    render(tmp_path)
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == f"{before}\n{gpu_section(result())}"


def test_the_command_writes_both_files(tmp_path, monkeypatch, device, no_triton):
    monkeypatch.setattr(gpu, "parse_device", lambda _: device)
    monkeypatch.setattr(gpu, "PEERS", {"bare loop": lambda _: 1.0})
    monkeypatch.setattr(gpu, "by_events", lambda _: 2.0)
    assert main(["--shapes", "4x1", "--repetitions", "2", "-q", "-o", str(tmp_path / "new")]) == 0
    written = json.loads((tmp_path / "new" / "gpu.json").read_text(encoding="utf-8"))
    assert written["machine"]["cpu"]
    assert written["missing"] == {"triton do_bench": "ModuleNotFoundError: No module named 'triton'"}
    assert "triton" not in written["versions"]
    assert [cell["readings"] for cell in written["cells"]] == [{"bare loop": 1.0}]
    assert (tmp_path / "new" / "gpu.md").read_text(encoding="utf-8") == gpu_section(written)


def test_interrupted_run_keeps_its_shapes(tmp_path, monkeypatch, device, no_triton, capsys):
    """It ends by SIGTERM, as a canceled job does, and the files say that they are incomplete."""
    asked = []

    def ends_in_the_second_shape(_):
        asked.append(1)
        if len(asked) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return 1.0

    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(gpu, "parse_device", lambda _: device)
    monkeypatch.setattr(gpu, "PEERS", {"bare loop": ends_in_the_second_shape})
    monkeypatch.setattr(gpu, "by_events", lambda _: 2.0)
    arguments = ("--shapes", "4x1", "4x2", "4x3", "--repetitions", "2", "-q", "-o", str(tmp_path))

    assert main(arguments) == 130
    written = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    assert [cell["name"] for cell in written["cells"]] == ["4 x 1"]
    assert written["complete"] is False
    assert "- Incomplete: the run was interrupted after these shapes." in gpu_section(written).splitlines()
    assert (tmp_path / "gpu.md").read_text(encoding="utf-8") == gpu_section(written)
    assert capsys.readouterr().err == "gpu.py: interrupted; 1 of 3 shapes were written\n"
    assert signal.getsignal(signal.SIGTERM) is handler

    assert main(arguments) == 0
    written = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    assert [cell["name"] for cell in written["cells"]] == ["4 x 1", "4 x 2", "4 x 3"]
    assert written["complete"] is True
    assert "Incomplete" not in gpu_section(written)


def test_interrupted_before_the_first_shape(tmp_path, monkeypatch, device):
    monkeypatch.setattr(gpu, "parse_device", lambda _: device)
    monkeypatch.setattr(gpu, "present", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    assert main(["-q", "-o", str(tmp_path / "new")]) == 130
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("launch_s", "rounds"),
    [(BARE_S / LAUNCHES / 64, 64), (BARE_S / LAUNCHES / 512, 512), (BARE_S, 20)],
    ids=["half a second", "fast steps", "slow steps"],
)
def test_bare_rounds(monkeypatch, launch_s, rounds):
    """As many as fit into half a second, but at least 20."""
    device = SimulatedDevice(SimulatedClock(), launch_s)
    trainer = Trainer(simulated_workload(device), device)
    trainer.move_model()
    trainer.start()
    stage = Stage(trainer, device.clock)
    steps = []
    monkeypatch.setattr(Stage, "step", lambda self: steps.append(1) or self.trainer.run(Phase.TRAIN))
    assert by_bare_loop(stage) == pytest.approx(LAUNCHES * launch_s)
    assert rounds <= len(steps) <= rounds + 1  # the launches' seconds are not exact


@pytest.mark.parametrize(
    ("name", "message"),
    [("cpu", "'cpu' is not an accelerator"), ("gpu", "unknown device 'gpu'"), ("mps:9", "mps")],
)
def test_without_a_gpu(tmp_path, capsys, name, message):
    assert main(["--device", name, "-o", str(tmp_path / "new")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert not (tmp_path / "new").exists()
