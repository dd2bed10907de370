"""The parts of a step against the step as a whole."""

from support.reports import only, report
from support.run_files import benchmark, run


def sums(tmp_path, times, device="cpu", **facts):
    """The phase sums of one cell with these medians."""
    content = run([benchmark([t] * 9, phase=p, device=device, **facts) for p, t in times.items()])
    return report(tmp_path, content).phase_sums


def test_the_parts_stand_in_the_order_of_the_step(tmp_path):
    times = {"train": 10.0, "step": 1.0, "backward": 4.0, "forward": 2.0, "transfer": 1.0}
    row = only(sums(tmp_path, times, parts_s={"zero_grad": 1.5}))
    assert list(row.parts.items()) == [
        ("transfer", 1.0), ("zero_grad", 1.5), ("forward", 2.0), ("backward", 4.0), ("step", 1.0)
    ]  # fmt: skip
    assert (row.train_s, row.low_s, row.high_s) == (10.0, 10.0, 10.0)
    assert row.excess == 9.5 / 10 - 1
    assert row.whole


def test_a_sum_that_lacks_a_phase_means_nothing(tmp_path):
    parts = {"forward": 2.0, "backward": 4.0, "train": 7.0}
    assert not only(sums(tmp_path / "a", parts)).whole
    assert only(sums(tmp_path / "b", {**parts, "step": 1.0})).whole
    assert not only(sums(tmp_path / "c", {**parts, "step": 1.0}, device="cuda")).whole, "transfer is missing"


def test_without_a_whole_step_there_is_nothing_to_hold_parts_against(tmp_path):
    assert sums(tmp_path, {"forward": 2.0, "backward": 4.0}) == ()


def test_a_step_that_takes_no_time_has_no_sum(tmp_path):
    assert not only(sums(tmp_path, {"forward": 0.0, "backward": 0.0, "step": 0.0, "train": 0.0})).whole
