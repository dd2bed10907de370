"""Work a second: samples, operations and bytes, each with the median's interval turned around."""

import pytest

from support.reports import only, report
from support.run_files import benchmark, run

TIMES = [2.0, 1.0, 2.0, 3.0, 2.0, 1.0, 2.0, 3.0, 2.0]


def row_of(tmp_path, **case):
    """The one row of a record with that case."""
    return only(report(tmp_path, run([benchmark(**{"times": TIMES, **case})])).cases.to_dict("records"))


@pytest.mark.parametrize("phase", ["forward", "backward", "train"])
def test_arithmetic_phases_have_operations_a_second(tmp_path, phase):
    row = row_of(tmp_path, phase=phase, flops=6_000)
    rate = row["rate"]
    assert (rate.value, rate.unit) == (3000.0, "FLOP/s")
    assert (rate.low, rate.high) == (6000 / row["high_s"], 6000 / row["low_s"])


@pytest.mark.parametrize("phase", ["transfer", "step"])
def test_moving_phases_have_bytes_a_second(tmp_path, phase):
    rate = row_of(tmp_path, phase=phase, moved_bytes=6_000, device="cuda")["rate"]
    assert (rate.value, rate.unit) == (3000.0, "B/s")


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
def test_what_is_not_counted_or_cannot_be_has_no_rate(tmp_path, case):
    assert row_of(tmp_path, **case)["rate"] is None


def test_samples_a_second_are_those_of_the_whole_step(tmp_path):
    samples = row_of(tmp_path, batch_size=64)["samples"]
    assert (samples.value, samples.unit) == (32.0, "samples/s")
    assert row_of(tmp_path / "forward", phase="forward")["samples"] is None


def test_too_few_rounds_leave_a_rate_without_an_interval(tmp_path):
    rate = row_of(tmp_path, times=[2.0, 2.0], flops=6_000)["rate"]
    assert (rate.value, rate.low, rate.high) == (3000.0, None, None)


def test_replicates_give_the_median_of_what_they_recorded(tmp_path):
    contents = [
        run([benchmark([2.0 + i] * 9, peak_memory_bytes=peak)]) for i, peak in enumerate((100, 300, 200))
    ]
    row = only(report(tmp_path, *contents).cases.to_dict("records"))
    assert row["peak_memory_bytes"] == 200
    assert row["runs"] == 3


def test_memory_that_nobody_counted_is_unknown(tmp_path):
    assert row_of(tmp_path)["peak_memory_bytes"] is None


def test_a_model_whose_operations_could_not_be_counted_is_named_once_with_the_reason(tmp_path):
    content = run(
        [benchmark([1.0] * 9, phase=p, flops_unknown="needs numbers") for p in ("forward", "train")]
    )
    note = only([warning for warning in report(tmp_path, content).warnings if "counted" in warning])
    assert note.startswith(
        "mlp width=128: the floating point operations could not be counted (needs numbers)"
    )
