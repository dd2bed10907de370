"""The simulation of runs with several processes: its noise, a slice of its grid, and its files."""

import json

import intervals
import numpy as np
import pytest
from intervals import Noise


def test_noise_of_a_run():
    """It has the size, the shared part and the duration that were asked for."""
    rng = np.random.default_rng(0)
    drawn = np.stack([Noise(0.1, 0.5, 1).draw(rng, 2) for _ in range(4000)])
    assert drawn.std() == pytest.approx(0.1 * np.exp(intervals.UNEQUAL**2), rel=0.05)
    own = np.stack([Noise(0.1, 0.0, 1).draw(rng, 2) for _ in range(4000)])
    assert np.corrcoef(drawn[:, 0, 0], drawn[:, 1, 0])[0, 1] == pytest.approx(0.5, abs=0.07)
    assert abs(np.corrcoef(own[:, 0, 0], own[:, 1, 0])[0, 1]) < 0.05
    for lasting, same in ((1, 0.0), (2, 1 / 2), (3, 2 / 3)):
        drawn = Noise(0.1, 0.5, lasting).draw(rng, 6000)[:, 1:]
        own = Noise(0.1, 0.0, lasting).draw(rng, 6000)
        assert np.mean(np.diff(own) == 0) == pytest.approx(same, abs=0.02)
        assert drawn.shape == (6000, 4)


def test_grid():
    assert len(list(intervals.noises())) == 1 + 2 * 3 * 3


@pytest.mark.parametrize("lasting", [1, 3])
def test_slice(lasting):
    """The intervals hold, and those of independent processes are narrower than Student's alone."""
    cell = intervals.coverage(Noise(0.05, 0.5, lasting), 20, seed=1)
    assert 0.92 <= cell["speedups"]["share"] <= 0.99
    assert cell["medians"]["share"] >= 0.88
    assert cell["break-evens"]["share"] >= 0.88
    assert cell["speedups"]["n"] == 20 * intervals.MODELS * len(intervals.BATCHES)
    assert cell["medians"]["n"] == 2 * cell["speedups"]["n"]
    if lasting == 1:
        assert cell["students_coverage"] == pytest.approx(0.95, abs=0.03)
        assert cell["half_width_over_students"] <= 0.95
    else:
        assert cell["students_coverage"] < 0.85


def test_results(tmp_path, monkeypatch):
    monkeypatch.setattr(intervals, "SDS", (0.02,))
    monkeypatch.setattr(intervals, "SHARES", (0.5,))
    monkeypatch.setattr(intervals, "LASTINGS", (1,))
    assert intervals.main(["--runs", "2", "-o", str(tmp_path)]) == 0
    [cell] = json.loads((tmp_path / "intervals.json").read_text())["cells"]
    assert (cell["sd"], cell["shared"], cell["lasting"]) == (0.02, 0.5, 1)
    assert "| 2% | 50% | 1 |" in (tmp_path / "intervals.md").read_text()
