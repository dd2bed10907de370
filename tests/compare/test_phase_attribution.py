"""Which phase changed, and how much of the step's change it is."""

import pytest

from breakeven.compare.phase_attribution import attribute_changes
from breakeven.compare.text import describe
from support.comparisons import levels, two_sides


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


def test_cells_in_one_line(tmp_path):
    """Cells that changed alike share a line, with the range of their changes."""
    line = text(tmp_path, levels(), levels(slower=["backward"], by=1.4))
    assert line == "mlp on cpu: train +20% in 2 cells, all of it backward"


@pytest.mark.parametrize(
    ("before", "changed", "found"),
    [
        # A phase that became faster does not explain a slower step.
        (levels((1,)), {"backward": 0.0082, "forward": 0.002, "step": 0.004, "train": 0.018},
         [("train", ["backward", "step"])]),
        (levels((1,)), {"transfer": 0.002, "step": 0.0019, "forward": 0.0035, "train": 0.0122},
         [("train", ["transfer", "step", "forward"])]),
        (levels((1,)), {"train": 0.02}, [("train", [])]),
        (levels((1,)), {"transfer": 0.002, "step": 0.0001}, [("step", []), ("transfer", [])]),
        ({("train", 1): 0.01}, {"train": 0.02}, [("train", [])]),
        # A step that waits is not a part of the step.
        (levels((1,)) | {("train_sync", 1): 0.011}, {"train_sync": 0.021, "backward": 0.015, "train": 0.02},
         [("train", ["backward"])]),
        ({("train", 1): 0.01, ("train_sync", 1): 0.011}, {"train_sync": 0.022}, [("train_sync", [])]),
    ],
    ids=["opposite", "several phases", "no phase", "phases alone, largest first", "step alone",
         "a step that waits", "waiting alone"],
)  # fmt: skip
def test_phases(tmp_path, before, changed, found):
    after = before | {(phase, 1): seconds for phase, seconds in changed.items()}
    cases = two_sides(tmp_path, before, after, noise=0.001).cases
    assert [(c.key.phase, [phase for phase, _ in c.phases]) for c in attribute_changes(cases)] == found


def test_passes(tmp_path):
    """The parts of a pass count once for each pass of a step, and the optimizer's step once."""
    before = levels((1,)) | {("train", 1): 4 * 0.009 + 0.001}
    changed = {("backward", 1): 0.006, ("step", 1): 0.0018, ("train", 1): 0.037 + 4 * 0.001 + 0.0008}
    after = before | changed
    found = attribute_changes(two_sides(tmp_path, before, after, noise=0.0001, accumulate=4).cases)
    ((_, backward), (_, step)) = found[0].phases
    assert (backward, step) == (pytest.approx(4 / 4.8, abs=0.02), pytest.approx(0.8 / 4.8, abs=0.02))


def test_other_work(tmp_path):
    """Inference, loading and an epoch are not parts of a step: each has a line of its own."""
    before = levels((1,)) | {("infer", 1): 0.01, ("load", 1): 0.01, ("epoch", 1): 0.02}
    changed = {"train": 0.02, "backward": 0.015, "infer": 0.013, "load": 0.012, "epoch": 0.022}
    after = before | {(phase, 1): seconds for phase, seconds in changed.items()}
    found = attribute_changes(two_sides(tmp_path, before, after, noise=0.001).cases)
    assert {one.key.phase: [phase for phase, _ in one.phases] for one in found} == {
        "train": ["backward"], "infer": [], "load": [], "epoch": []
    }  # fmt: skip


def test_epoch_without_parts(tmp_path):
    """Beside other phases than the parts of a step, nothing is said about them."""
    before = {("train", 1): 0.01, ("epoch", 1): 0.01}
    lines = describe(
        two_sides(tmp_path, before, {key: 2 * s for key, s in before.items()}, noise=1e-9)
    ).changed_phases
    assert sorted(lines) == [
        f"mlp on cpu: {phase} +100% at batch 1 width=128" for phase in ("epoch", "train")
    ]


def test_no_phases_but_whole_steps(tmp_path):
    """Without phases, nothing is said about them."""
    before = {("train", 1): 0.01, ("train_sync", 1): 0.011}
    line = text(tmp_path, before, {key: 2 * seconds for key, seconds in before.items()})
    assert "in no single phase" not in line


def after(cases):
    """The phases of every attribution, and those that changed as one before them did."""
    return [(one.key.phase, [case.key.phase for case in one.after]) for one in attribute_changes(cases)]


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        # The optimizer's step runs colder after a slower forward pass, by 0.13 of 1 ms.
        ({"forward": 0.006, "step": 0.00113, "train": 0.01313}, [("train", ["step"])]),
        ({"forward": 0.006, "step": 0.00113}, [("forward", ["step"])]),
        ({"forward": 0.006, "step": 0.00113, "backward": 0.0045}, [("forward", ["step"]), ("backward", [])]),
        ({"forward": 0.006, "step": 0.0018}, [("forward", []), ("step", [])]),
        ({"step": 0.004, "forward": 0.0033}, [("step", []), ("forward", [])]),
        ({"forward": 0.0025, "step": 0.0008}, [("forward", []), ("step", [])]),
        ({"forward": 0.0015, "step": 0.0007}, [("forward", ["step"])]),
    ],
    ids=[
        "with the step",
        "alone",
        "another phase faster",
        "too much",
        "before",
        "faster, too much",
        "faster",
    ],
)
def test_colder_after_a_slower_phase(tmp_path, changed, found):
    """A small change is attributed to a larger one of a phase that runs before it."""
    before = levels((1,))
    sides = before, before | {(phase, 1): seconds for phase, seconds in changed.items()}
    compared = two_sides(tmp_path, *sides, noise=0.001)
    assert sorted(after(compared.cases)) == sorted(found)
    if found == [("train", ["step"])]:
        assert {case.key.phase: case.verdict for case in compared.cases}["step"] == "regressed"
        assert "largest change: mlp forward cpu" in describe(compared).verdict[0]
        (line,) = describe(compared).changed_phases
        assert line.startswith("mlp on cpu: train +31% at batch 1 width=128, all of it forward; step too")


def test_headline_names_the_phase_that_changed(tmp_path):
    """Not the one after it, though its ratio is larger; nor has that one a share of the step's change."""
    before = levels((1,))
    after = before | {("backward", 1): 0.007, ("step", 1): 0.00145, ("train", 1): 0.01245}
    found = two_sides(tmp_path, before, after, noise=0.001)
    assert "3 of 5 cases are slower; largest change: mlp backward" in describe(found).verdict[0]
    (one,) = attribute_changes(found.cases)
    assert [phase for phase, _ in one.phases] == ["backward"]
