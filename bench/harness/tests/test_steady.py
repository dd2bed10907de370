"""Whether a step stays as fast as it was: the ratio, the two ways of timing, and the files."""

import json

import pytest
import steady

from breakeven.measure import trainer
from breakeven.measure.workload import build


def test_ratio_of_the_fifths():
    found = steady.last_over_first([1.0] * 200 + [5.0] * 600 + [1.5] * 200)
    assert (found["ratio"], found["low"], found["high"]) == (1.5, 1.5, 1.5)


@pytest.mark.parametrize(("max_steps", "returns"), [(10, 2), (float("inf"), 0)])
def test_returning_is_counted(max_steps, returns, monkeypatch):
    """By a clock that moves a second at each reading, a return takes one."""
    monkeypatch.setattr(trainer, "MAX_STEPS", trainer.MAX_STEPS)
    ticks = iter(range(10**6))
    found = steady.timed(build(steady.hinge), 25, max_steps, lambda: float(next(ticks)))
    assert len(found["seconds"]) == 25
    assert found["returning"] == pytest.approx(returns / (1 + 5 * 25 - 25 + 2 * returns), rel=0.02)


def test_results(tmp_path, monkeypatch):
    monkeypatch.setattr(steady, "WORKLOADS", {"hinge": steady.hinge})
    assert steady.main(["--rounds", "30", "-q", "-o", str(tmp_path)]) == 0
    [cell] = json.loads((tmp_path / "steady.json").read_text())["cells"]
    assert cell["name"] == "hinge"
    assert cell["without"]["share_of_time"] == 0.0
    assert "| hinge |" in (tmp_path / "steady.md").read_text()
    assert trainer.MAX_STEPS == 300
