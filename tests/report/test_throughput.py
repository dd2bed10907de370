"""Work per second: samples, operations and bytes, each with the inverted interval of the median."""

import pytest

from support.reports import only, report
from support.run_files import benchmark, run

TIMES = [2.0, 1.0, 2.0, 3.0, 2.0, 1.0, 2.0, 3.0, 2.0]


def row_of(tmp_path, **case):
    """The only row of a report on that case."""
    return only(report(tmp_path, run([benchmark(**{"times": TIMES, **case})])).rows)


@pytest.mark.parametrize("phase", ["forward", "backward", "train"])
def test_flops(tmp_path, phase):
    row = row_of(tmp_path, phase=phase, flops=6_000)
    case, rate = row.estimate, row.rate
    assert (rate.value, rate.unit) == (3000.0, "FLOP/s")
    assert (rate.low, rate.high) == (6000 / case.high_s, 6000 / case.low_s)


@pytest.mark.parametrize(
    "case",
    [
        {"phase": "step", "flops": 6_000},
        {"phase": "forward", "moved_bytes": 6_000},
        {"phase": "own", "flops": 6_000, "moved_bytes": 6_000},
        {"phase": "transfer", "moved_bytes": 6_000, "device": "cpu@1"},
        {"phase": "train"},
        {"phase": "train", "flops": 0},
        {"phase": "train", "flops": "6000"},
        {"phase": "train", "flops": -1},
        {"phase": "train", "flops": True},
        {"phase": "train", "flops": 6_000, "times": [0.0] * 9},
    ],
    ids=str,
)
def test_no_rate(tmp_path, case):
    """Work that was not counted, or cannot be, has no rate."""
    assert row_of(tmp_path, **case).rate is None


def test_samples(tmp_path):
    """Parts of a step have no samples per second; a step may take several batches."""
    for phase, passes in (("train", 3), ("infer", 1), ("load", 1), ("epoch", 1)):
        row = row_of(tmp_path / phase, phase=phase, batch_size=64, accumulate=3)
        assert row.samples.value == 32.0 * passes
    samples = row_of(tmp_path, batch_size=64).samples
    assert (samples.value, samples.unit) == (32.0, "samples/s")
    assert row_of(tmp_path / "forward", phase="forward").samples is None
