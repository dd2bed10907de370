"""Cells: their band, their verdict, and why some are not predicted."""

import math
from dataclasses import replace

import pytest

from breakeven.errors import UsageError
from breakeven.report.report import analyze
from breakeven.report.speedup import DeviceVerdict
from breakeven.stats.crossing import CrossingStatus
from support.predictions import FACTS, L4, card, cpu_run, planted, prediction, read
from support.reports import only
from support.run_files import affine_run, outcome

__all__ = ["planted"]


def by_batch(found):
    """The predicted cells by batch size."""
    return {one.batch_size: one for one in found.cells}


def test_cell(planted, tmp_path):
    """The speedup is measured over predicted, and its band that of the step."""
    planted(h100_16core=(2e-3, 0.0, 2.0))
    one = by_batch(prediction(tmp_path, cpu_run()))[512]
    assert one.baseline == "cpu"
    assert one.machine == "h100-16core"
    assert (one.predicted_s, one.low_s, one.high_s) == (2e-3, 1e-3, 4e-3)
    assert one.baseline_s == pytest.approx(0.0512, rel=1e-3)
    assert one.speedup == pytest.approx(25.6, rel=1e-3)
    assert (one.low, one.high) == (pytest.approx(12.8, rel=1e-3), pytest.approx(51.2, rel=1e-3))


def test_band_has_both_errors(planted, tmp_path):
    """The interval of a noisy CPU widens the band, as independent errors do."""
    planted(h100_16core=(2e-3, 0.0, 1.1))
    one = by_batch(prediction(tmp_path, cpu_run(noise=0.3)))[64]
    assert one.baseline_low_s < one.baseline_s < one.baseline_high_s
    of_cpu = math.log(one.baseline_high_s / one.baseline_s)
    assert math.log(one.high / one.speedup) == pytest.approx(math.hypot(math.log(1.1), of_cpu))
    of_cpu = math.log(one.baseline_s / one.baseline_low_s)
    assert math.log(one.speedup / one.low) == pytest.approx(math.hypot(math.log(1.1), of_cpu))


def test_interval_of_the_cpu_is_of_90_percent(planted, tmp_path):
    """That of the run is of 95%."""
    planted(h100_16core=(2e-3, 0.0, 1.1))
    content = cpu_run(batches=(64,), noise=0.3)
    one = only(prediction(tmp_path, content).cells)
    base = only(analyze(read(tmp_path, content)).rows).estimate
    for end_s, wide_s in ((one.baseline_low_s, base.low_s), (one.baseline_high_s, base.high_s)):
        assert math.log(end_s / base.median_s) == pytest.approx(
            0.839 * math.log(wide_s / base.median_s), rel=1e-3
        )


@pytest.mark.parametrize(
    ("floor", "verdict"), [(1e-3, "faster"), (6.4e-3, "undecided"), (5e-3, "undecided"), (2e-2, "slower")]
)
def test_verdict(planted, tmp_path, floor, verdict):
    """A verdict needs a band clear of 1x."""
    planted(h100_16core=(floor, 0.0, 2.0))
    assert by_batch(prediction(tmp_path, cpu_run()))[64].verdict == verdict


def test_several_machines(planted, tmp_path):
    """Cells are by model, then machine in the given order, then batch size."""
    planted(h100_16core=(2e-3, 0.0, 2.0), l4=(1e-3, 1e-5, 2.0))
    found = prediction(tmp_path, cpu_run((64, 512), (1, 8)), card(), card("l4", L4))
    labels = [(one.cell.axes["width"], one.machine, one.batch_size) for one in found.cells]
    assert labels == [
        (width, machine, batch)
        for width in (64, 512)
        for machine in ("h100-16core", "l4")
        for batch in (1, 8)
    ]


def test_not_counted(planted, tmp_path):
    """Cells that could not be counted are listed once for each reason, and are holes of the break-even."""
    planted(h100_16core=(2e-3, 0.0, 1.01))
    found = prediction(tmp_path, cpu_run((64, 128)), unknown=(8,))
    assert sorted(by_batch(found)) == [1, 64, 512]
    (one,) = found.not_predicted
    assert (len(one.models), one.batches) == (2, (8,))
    assert one.reason == "custom op `mine` cannot be traced"
    assert [line.holes for line in found.break_evens] == [(8,), (8,)]


def test_step_without_operators(tmp_path, monkeypatch):
    """A file may claim it; no training step launches nothing."""
    monkeypatch.setattr("support.predictions.FACTS", replace(FACTS, operators=0.0, moved_bytes=0.0))
    found = prediction(tmp_path, cpu_run())
    assert found.verdict == "Nothing could be predicted: its training step was not counted"


def test_without_an_interval(planted, tmp_path):
    """Two rounds give none: the step is predicted, and its speedup may be anything."""
    planted(h100_16core=(2e-3, 0.0, 2.0))
    content = cpu_run()
    content["benchmarks"][0]["stats"]["data"] = [1e-4, 1.1e-4]
    found = prediction(tmp_path, content)
    one = by_batch(found)[1]
    assert one.verdict is DeviceVerdict.UNDECIDED
    assert one.high / one.low > 1000
    assert one.widened == ("cpu's own time has no interval",)


def test_untimed_cells(planted, tmp_path):
    """A batch size that the CPU could not run is a hole, and a warning."""
    planted(h100_16core=(2e-3, 0.0, 1.01))
    ended = outcome("timeout", "too long", workload="mlp", axes={"width": 64}, batch_size=4096)
    found = prediction(tmp_path, cpu_run(outcomes=[ended]))
    assert found.break_evens[0].holes == (4096,)
    assert "1 cell was not timed on cpu, and cannot be compared" in found.warnings


def test_disturbed_cells(planted, tmp_path):
    """Where only some are, the warning has their number and the flags."""
    planted(h100_16core=(2e-3, 0.0, 2.0))
    content = cpu_run()
    content["benchmarks"][0]["extra_info"]["flags"] = ["contended"]
    found = prediction(tmp_path, content)
    assert (
        "1 of 4 measured times was disturbed (contended), and so are their predicted speedups; `breakeven "
        "report` has the causes"
    ) in found.warnings


def test_warnings_of_the_reader(planted, tmp_path):
    planted(h100_16core=(2e-3, 0.0, 2.0))
    assert prediction(tmp_path, cpu_run(), warnings=["left out: x"]).warnings[0] == "left out: x"


def test_one_process(planted, tmp_path):
    """How much another process differs is then unknown."""
    planted(h100_16core=(2e-3, 0.0, 2.0))
    found = prediction(tmp_path, cpu_run())
    assert found.warnings == ("One process: --breakeven-processes=5 shows by how much another run differs.",)


def test_widened(planted, tmp_path):
    """Each reason for a wider band is a warning, with the number of its cells."""
    planted(widened=("batch 512 is far",), h100_16core=(2e-3, 0.0, 2.0))
    found = prediction(tmp_path, cpu_run())
    assert "the band of 4 cells is wider than usual: batch 512 is far" in found.warnings


def test_baseline_default(planted, tmp_path):
    """It is the CPU that an accelerator is compared with, not the one of a report without one."""
    planted(h100_16core=(2e-3, 0.0, 2.0))
    devices = {"cpu@1": (0.0, 2e-4), "cpu": (0.0, 1e-4)}
    content = affine_run(devices, (1, 8), axes={"width": 64}, noise=1e-4)
    found = prediction(tmp_path, content)
    assert {one.baseline for one in found.cells} == {"cpu"}
    other = prediction(tmp_path, content, baseline="cpu@1")
    assert {one.baseline for one in other.cells} == {"cpu@1"}
    assert other.cells[0].speedup == pytest.approx(2 * found.cells[0].speedup, rel=1e-3)


def test_baseline_that_was_not_measured(planted, tmp_path):
    planted(h100_16core=(2e-3, 0.0, 2.0))
    with pytest.raises(UsageError, match="--baseline cpu@2: no such device in these runs; present: cpu"):
        prediction(tmp_path, cpu_run(), baseline="cpu@2")


def test_accelerator_is_not_a_baseline(planted, tmp_path):
    """It was measured, and yet only a CPU is compared with a prediction."""
    planted(h100_16core=(2e-3, 0.0, 2.0))
    content = affine_run({"cpu": (0, 1e-4), "cuda": (1e-3, 1e-6)}, axes={"width": 64})
    with pytest.raises(UsageError, match="--baseline cuda: no such device"):
        prediction(tmp_path, content, baseline="cuda")


def test_run_without_a_cpu(tmp_path):
    content = affine_run({"cuda": (1e-3, 1e-6)}, axes={"width": 64})
    with pytest.raises(UsageError, match=r"no training step was timed on a CPU \(timed: train on cuda\)"):
        prediction(tmp_path, content)


def test_run_without_a_training_step(tmp_path):
    content = cpu_run(phases=("forward",))
    with pytest.raises(UsageError, match="timed: forward on cpu"):
        prediction(tmp_path, content)


def test_facts_are_used(tmp_path):
    """Without a planted step, the counts and the card's rates decide: here the launches."""
    found = prediction(tmp_path, cpu_run(batches=(1,)))
    assert found.cells[0].predicted_s >= FACTS.operators * 40e-6


def test_disturbed_run(planted, tmp_path):
    """Where the run cannot be trusted, that is the answer."""
    planted(h100_16core=(2e-3, 0.0, 2.0))
    content = cpu_run()
    for one in content["benchmarks"]:
        one["extra_info"]["flags"] = ["contended"]
    found = prediction(tmp_path, content)
    assert found.verdict.startswith("Predicted, but not to be relied on: this run cannot be trusted")
    assert found.rents == ()  # the CPU is to be measured again before anything is rented


def test_nothing_predicted(tmp_path):
    found = prediction(tmp_path, cpu_run(), unknown=(1, 8, 64, 512))
    assert found.cells == found.break_evens == ()
    assert found.verdict == "Nothing could be predicted: custom op `mine` cannot be traced"


def test_statuses(planted, tmp_path):
    """One of the status words of a report."""
    planted(h100_16core=(2e-3, 0.0, 1.5))
    (line,) = prediction(tmp_path, cpu_run()).break_evens
    assert line.status is CrossingStatus.CROSSES
