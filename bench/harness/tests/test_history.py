"""The harness of the history, with small inputs."""

import json

import numpy as np
import pytest

import history


def test_noise_of_the_series():
    for rho in (0.0, 0.5):
        values = history.noise_of(rho, 50, 400, 0.02, 1)
        assert values.std() == pytest.approx(0.02, rel=0.03)
        assert np.corrcoef(values[:, 1:].ravel(), values[:, :-1].ravel())[0, 1] == pytest.approx(
            rho, abs=0.02
        )
    assert np.median(history.noise_of("spikes", 10, 400, 0.02, 1)) == pytest.approx(0, abs=0.005)


def test_figures_and_bounds(tmp_path, monkeypatch, capsys):
    for name, value in {
        "CASES": 8,
        "ROUNDS": 6,
        "SUITES": (2,),
        "NOISES": (0.02,),
        "COMMITS": 20,
        "REPETITIONS": 2,
    }.items():
        monkeypatch.setattr(history, name, value)
    monkeypatch.setattr(history, "PLACES", (10,))
    history.main(["-o", str(tmp_path), "--series", "2", "--runs", "30"])
    figures = json.loads((tmp_path / "history.json").read_text())["figures"]
    assert {name: figure.get("bound", figure.get("bound_s")) for name, figure in figures.items()} == {
        "false changes per series and 100 commits": 0.2,
        "a step of 10% at 2% noise, found within 5 commits": 0.9,
        "false alarms of the newest run": 0.2,
        "a step of 10% in one of several series, at once": None,
        "history check, the whole process": 6.0,
    }
    whole = figures["history check, the whole process"]
    assert whole["changes"] >= 4
    assert whole["peak_memory_bytes"] < 400_000_000
    assert "found within 5 commits" in capsys.readouterr().out
