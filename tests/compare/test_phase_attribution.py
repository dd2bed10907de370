"""Which phase changed, and how much of the step's change it is."""

import pytest

from breakeven.compare.phase_attribution import attribute_changes
from breakeven.compare.text import describe
from support.comparisons import levels, two_sides


def attributed(tmp_path, before, after):
    """What changed: the phase of the case, its batch size and the phases that explain it."""
    found = two_sides(tmp_path, before, after, noise=0.001)
    return [
        (one.key.phase, one.key.batch_size, [phase for phase, _ in one.phases])
        for one in attribute_changes(found.cases)
    ]


def text(tmp_path, before, after):
    """The line on the only change."""
    (line,) = describe(two_sides(tmp_path, before, after, noise=0.001)).changed_phases
    return line


def test_step_with_its_phase(tmp_path):
    """The phase has all of the step's change, in seconds."""
    found = two_sides(tmp_path, levels(), levels(slower=["transfer"], by=2.0), noise=0.0001)
    for one in attribute_changes(found.cases):
        assert one.key.phase == "train"
        assert one.ratio == pytest.approx(1.1, abs=0.01)
        assert one.phases == (("transfer", pytest.approx(1.0, abs=0.05)),)


@pytest.mark.parametrize(
    ("slower", "cause"),
    [
        (("forward", "step"), "most of it forward"),  # 3 to 1
        (("forward", "backward", "transfer"), "most of it backward"),  # 5 of 9
        (("forward", "transfer", "step"), "most of it forward"),  # 3 of 5
        (("backward",), "all of it backward"),
    ],
)
def test_all_or_most(tmp_path, slower, cause):
    """By the phases' shares of the step's change in seconds."""
    after = levels(batches=(64,), slower=slower, by=1.5)
    assert text(tmp_path, levels(batches=(64,)), after).endswith(f" at batch 64 width=128, {cause}")


def test_several_phases(tmp_path):
    """If none has half of the change, all are named, the largest first."""
    after = levels(batches=(1,)) | {("transfer", 1): 0.002, ("step", 1): 0.0019, ("train", 1): 0.0122}
    line = text(tmp_path, levels(batches=(1,)), after | {("forward", 1): 0.0031})
    assert line.endswith(", in transfer, step and forward")


def test_opposite_change(tmp_path):
    """A phase that became faster does not explain a slower step."""
    after = levels(batches=(1,)) | {("backward", 1): 0.0082, ("forward", 1): 0.002, ("train", 1): 0.018}
    before = levels(batches=(1,))
    assert attributed(tmp_path, before, after | {("step", 1): 0.004}) == [("train", 1, ["backward", "step"])]


def test_no_phase(tmp_path):
    """A step may change although no phase does."""
    after = levels(batches=(1,)) | {("train", 1): 0.02}
    assert text(tmp_path, levels(batches=(1,)), after).endswith(", in no single phase")


def test_step_alone(tmp_path):
    """If no phase was timed, none is mentioned."""
    before, after = ({("train", 1): seconds} for seconds in (0.01, 0.02))
    assert text(tmp_path, before, after).endswith(" at batch 1 width=128")


def test_largest_first(tmp_path):
    """In either direction."""
    before = {("train", 1): 0.01, ("train", 64): 0.01}
    after = {("train", 1): 0.0115, ("train", 64): 0.002}
    assert attributed(tmp_path, before, after) == [("train", 64, []), ("train", 1, [])]


def test_phase_alone(tmp_path):
    """A changed phase is reported although its step did not change."""
    after = levels(batches=(1,)) | {("transfer", 1): 0.002}
    assert attributed(tmp_path, levels(batches=(1,)), after) == [("transfer", 1, [])]


def test_cells_in_one_line(tmp_path):
    """Cells that changed alike share a line, with the range of their changes."""
    line = text(tmp_path, levels(), levels(slower=["backward"], by=1.4))
    assert line == "mlp on cpu: train +20% in 2 cells, all of it backward"
