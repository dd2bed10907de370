"""The phases of a step, compared with the step as a whole."""

import pytest

from support.reports import only, report
from support.run_files import benchmark, run

TIMES = {"forward": 2.0, "backward": 1.5, "step": 0.5, "train": 5.0}


def reported(tmp_path, times, device="cpu", **facts):
    """The report on one cell with these medians."""
    return report(
        tmp_path, run([benchmark([t] * 9, phase=p, device=device, **facts) for p, t in times.items()])
    )


def test_parts(tmp_path):
    """The parts are in the order of the step."""
    times = {"train": 10.0, "step": 1.0, "backward": 4.0, "forward": 2.0, "transfer": 1.0}
    row = only(reported(tmp_path, times, parts_s={"zero_grad": 1.5}).phase_sums)
    assert list(row.parts.items()) == [
        ("transfer", 1.0), ("zero_grad", 1.5), ("forward", 2.0), ("backward", 4.0), ("step", 1.0)
    ]  # fmt: skip
    assert (row.train_s, row.low_s, row.high_s) == (10.0, 10.0, 10.0)
    assert (row.key.phase, row.key.device) == ("train", "cpu")
    assert row.residual == 9.5 / 10 - 1
    assert row.is_complete


@pytest.mark.parametrize(
    ("missing", "device", "is_complete"),
    [("transfer", "cpu", True), ("transfer", "cpu@1", True), ("transfer", "cuda", False),
     ("step", "cpu", False), ("forward", "cpu", False)],
)  # fmt: skip
def test_is_complete(tmp_path, missing, device, is_complete):
    """A sum without a phase is incomplete; a CPU needs no `transfer`."""
    times = {"transfer": 1.0, **TIMES}
    del times[missing]
    assert only(reported(tmp_path, times, device).phase_sums).is_complete == is_complete


def test_no_time_at_all(tmp_path):
    found = reported(tmp_path, dict.fromkeys(TIMES, 0.0))
    assert not only(found.phase_sums).is_complete
    assert found.residuals == ()


def test_residuals(tmp_path):
    """On a CPU a large residual is a warning; on an accelerator it is the cost of synchronizing."""
    times = {"transfer": 1.0, "forward": 2.0, "backward": 3.0, "step": 2.0, "train": 5.0}
    content = run([benchmark([t] * 9, phase=p, device=d) for p, t in times.items() for d in ("cpu", "cuda")])
    found = report(tmp_path, content)
    assert [(row.device, row.cells, row.beyond) for row in found.residuals] == [("cpu", 1, 1), ("cuda", 1, 1)]
    assert [row.median for row in found.residuals] == pytest.approx([0.6, 0.6])
    cell, worst = found.residuals[0].worst
    assert (cell.label(), worst) == ("mlp batch=64 width=128", pytest.approx(0.6))
    warning = only([warning for warning in found.warnings if "+60%" in warning])
    assert warning.startswith("cpu: ")


def test_worst_residual(tmp_path):
    """The median over cells, and the cell with the largest residual in either direction."""
    times = {1: 5.0, 8: 4.1, 64: 16.0}
    content = run(
        [
            benchmark([train if p == "train" else t] * 9, phase=p, batch_size=b)
            for b, train in times.items()
            for p, t in TIMES.items()
        ]
    )
    row = only(report(tmp_path, content).residuals)
    assert (row.cells, row.beyond, row.median) == (3, 2, pytest.approx(-0.2))
    assert (row.worst[0].batch_size, row.worst[1]) == (64, pytest.approx(-0.75))


def test_small_residual(tmp_path):
    found = reported(tmp_path, {"forward": 2.0, "backward": 2.0, "step": 0.9, "train": 5.0})
    assert only(found.residuals).median == pytest.approx(-0.02)
    assert found.warnings == ()


def test_zero_grad(tmp_path):
    """Zeroing the gradients is a part of the step but not a phase; the file records it with `train`."""
    parts = {"train": {"parts_s": {"zero_grad": 1.0}}}
    content = run([benchmark([t] * 9, phase=p, **parts.get(p, {})) for p, t in TIMES.items()])
    assert only(report(tmp_path, content).residuals).median == pytest.approx(0.0)


@pytest.mark.parametrize("parts", ["text", {}, {"zero_grad": -1.0}, {"zero_grad": "1"}, None])
def test_impossible_parts(tmp_path, parts):
    assert only(reported(tmp_path, TIMES, parts_s=parts).residuals).median == pytest.approx(-0.2)
