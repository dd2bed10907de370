"""The parts of each phase, and which phases are compared."""

import pytest

from breakeven.phases import BYTES, COMPARED, FLOPS, HEADLINE, STEP_PARTS, Phase, find_phase, parse_phases


@pytest.mark.parametrize(
    ("name", "parts", "rate", "is_compared", "passes"),
    [
        ("transfer", ("transfer",), BYTES, False, ()),
        ("forward", ("forward",), FLOPS, True, ("forward",)),
        ("backward", ("backward",), FLOPS, True, ("backward",)),
        ("step", ("step",), BYTES, True, ()),
        ("train", STEP_PARTS, FLOPS, True, ("forward", "backward")),
        ("train_sync", STEP_PARTS, FLOPS, True, ("forward", "backward")),
        ("train_no_sync", STEP_PARTS, FLOPS, False, ("forward", "backward")),
        ("infer", ("infer",), FLOPS, True, ("infer",)),
        ("load", ("load",), BYTES, False, ()),
        ("epoch", ("load", *STEP_PARTS), FLOPS, True, ("forward", "backward")),
    ],
)
def test_properties(name, parts, rate, is_compared, passes):
    phase = Phase(name)
    assert (phase.parts, phase.rate, phase.is_compared, phase.passes) == (parts, rate, is_compared, passes)


def test_compared():
    """The headline comes first, then those with an answer of their own; `transfer` and `load` never."""
    assert HEADLINE is Phase.TRAIN
    assert COMPARED == ("train", "infer", "epoch", "forward", "backward", "step", "train_sync")


def test_defaults():
    """The loop is timed where no phase is named, and the synchronized step only where it is."""
    assert parse_phases(()) == ("transfer", "forward", "backward", "step", "train")
    assert parse_phases(("train_sync", "train")) == ("train", "train_sync")
    assert [phase.value for phase in Phase if phase.is_loop] == [
        "train",
        "train_no_sync",
        "infer",
        "load",
        "epoch",
    ]


def test_processes():
    """All of them time what has an answer or is compared with it, and never skip it; two time the rest."""
    takes_all = [phase for phase in Phase if phase.processes(5) == 5]
    assert takes_all == ["train", "train_no_sync", "infer", "load", "epoch"]
    assert {phase.processes(5) for phase in Phase if phase not in takes_all} == {2}
    assert [phase for phase in Phase if phase.is_always_timed] == ["train", "infer", "load", "epoch"]
    assert Phase.FORWARD.processes(1) == 1


def test_find_phase():
    assert find_phase("step") is Phase.STEP
    assert find_phase("validate") is find_phase("") is None
