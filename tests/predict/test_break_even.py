"""Break-evens as ranges of batch sizes, from steps whose crossings are known."""

import pytest

from breakeven.stats.crossing import CrossingStatus, CrossingWarning
from support.predictions import cpu_run, planted, prediction
from support.reports import only
from support.run_files import outcome

__all__ = ["planted"]

BATCHES = (1, 16, 256, 4096)


def line_of(tmp_path, **options):
    return only(prediction(tmp_path, cpu_run(batches=BATCHES), **options).break_evens)


def test_range(planted, tmp_path):
    """It is between the crossings of the shortest and of the longest steps: 1e-4 s for each of 20 or 80."""
    planted(h100_16core=(4e-3, 0.0, 2.0))
    line = line_of(tmp_path)
    assert line.status is CrossingStatus.CROSSES
    assert line.low == pytest.approx(20, rel=0.01)
    assert line.high == pytest.approx(80, rel=0.01)


def test_ends_are_rounded_outward(planted, tmp_path):
    planted(h100_16core=(4.14e-3, 0.0, 2.0))  # between 20.7 and 82.8
    line = only(prediction(tmp_path, cpu_run(batches=BATCHES, noise=0.0)).break_evens)
    assert line.describe_briefly() == "20–83"
    assert line.describe() == "from a batch size between 20 and 83"


@pytest.mark.parametrize(
    ("planted_line", "status", "low", "high", "brief"),
    [
        ((1e-5, 0.0, 2.0), "always", None, None, "always (1–4,096)"),
        ((1.0, 1e-4, 1.1), "never", None, None, "never (1–4,096)"),
        ((0.6, 0.0, 1.1), "beyond_range", None, None, "beyond 4,096"),
        ((1.5e-4, 0.0, 2.0), "undecided", None, 3.0, "3 at the latest"),
        ((0.3, 0.0, 2.0), "undecided", 1500.0, None, "above 1,500, if at all"),
        ((0.0, 1e-4, 2.0), "undecided", None, None, "measure (1–4,096)"),
    ],
)
def test_status(planted, tmp_path, planted_line, status, low, high, brief):
    planted(h100_16core=planted_line)
    line = line_of(tmp_path)
    assert line.status == status
    assert line.low == (None if low is None else pytest.approx(low, rel=0.01))
    assert line.high == (None if high is None else pytest.approx(high, rel=0.01))
    text = line.describe_briefly()
    assert text == brief or status == "undecided"
    assert text.split(" ")[-1] == brief.split(" ")[-1]
    assert line.wins == (status == "always" or high is not None)


def test_hole(planted, tmp_path):
    """In a hole the break-even may be anywhere between its edges."""
    planted(h100_16core=(4e-3, 0.0, 2.0))
    line = only(
        prediction(tmp_path, cpu_run(batches=(*BATCHES[:2], 64, *BATCHES[2:])), unknown=(64,)).break_evens
    )
    assert (line.low, line.high) == (16, 256)


def test_crossing_beside_a_hole(planted, tmp_path):
    """A hole elsewhere changes nothing."""
    planted(h100_16core=(4e-3, 0.0, 2.0))
    line = only(prediction(tmp_path, cpu_run(batches=(*BATCHES, 1024)), unknown=(1024,)).break_evens)
    assert line.low == pytest.approx(20, rel=0.01)
    assert line.high == pytest.approx(80, rel=0.01)


def test_larger_not_predicted(planted, tmp_path):
    """A larger batch that was not timed, or timed and not counted."""
    planted(h100_16core=(1e-5, 0.0, 2.0))
    ended = outcome("timeout", "too long", workload="mlp", axes={"width": 64}, batch_size=65536)
    not_timed = prediction(tmp_path, cpu_run(batches=BATCHES, outcomes=[ended]))
    not_counted = prediction(tmp_path, cpu_run(batches=(*BATCHES, 65536)), unknown=(65536,))
    for line in map(only, (not_timed.break_evens, not_counted.break_evens)):
        assert line.warnings == (CrossingWarning.CUT_SHORT,)
        assert line.describe_briefly() == "always (1–4,096; larger not predicted)"


def test_loses_large(planted, tmp_path):
    """Faster at small batch sizes only: below the largest, and never from some batch size on."""
    planted(h100_16core=(-4e-5, 1.2e-4, 1.01))
    line = line_of(tmp_path)
    assert line.status is CrossingStatus.NEVER
    assert CrossingWarning.LOSES_LARGE in line.warnings
    assert line.describe() == "only below batch 4,096"


def test_trend_after_a_win(planted, tmp_path):
    """A machine that wins at a small batch size is not only faster beyond the largest one."""
    planted(h100_16core=(5e-3, 0.0, 1.1))
    content = cpu_run(batches=BATCHES)
    for one, step_s in zip(content["benchmarks"], (1e-2, 1e-3, 2e-3, 4e-3), strict=True):
        one["stats"]["data"] = [step_s] * 30
    line = only(prediction(tmp_path, content).break_evens)
    assert line.status is CrossingStatus.NEVER
    assert CrossingWarning.LOSES_LARGE in line.warnings


def test_one_batch(planted, tmp_path):
    planted(h100_16core=(1e-3, 0.0, 1.5))
    line = only(prediction(tmp_path, cpu_run(batches=(64,))).break_evens)
    assert line.warnings == (CrossingWarning.ONE_BATCH,)
    assert line.describe_briefly() == "always (64)"
