"""The parts of each phase, and which phases are compared."""

import pytest

from breakeven.phases import BYTES, COMPARED, FLOPS, HEADLINE, STEP, Phase, find_phase

PHASES = {
    "transfer": (("transfer",), BYTES, False),
    "forward": (("forward",), FLOPS, True),
    "backward": (("backward",), FLOPS, True),
    "step": (("step",), BYTES, True),
    "train": (STEP, FLOPS, True),
}


def test_every_phase_in_order():
    assert [str(phase) for phase in Phase] == list(PHASES)


@pytest.mark.parametrize("name", PHASES)
def test_properties(name):
    phase = Phase(name)
    assert (phase.parts, phase.rate, phase.is_compared) == PHASES[name]


@pytest.mark.parametrize("phase", Phase)
def test_parts_of_a_step(phase):
    assert (*phase.before, *phase.parts, *phase.after) == STEP


def test_before_and_after():
    assert (Phase.TRANSFER.before, Phase.BACKWARD.before) == ((), ("transfer", "zero_grad", "forward"))
    assert (Phase.BACKWARD.after, Phase.TRAIN.before, Phase.TRAIN.after) == (("step",), (), ())


@pytest.mark.parametrize(
    ("name", "passes"),
    [
        ("transfer", ()),
        ("forward", ("forward",)),
        ("backward", ("backward",)),
        ("step", ()),
        ("train", ("forward", "backward")),
    ],
)
def test_passes(name, passes):
    """The passes whose operations are counted."""
    assert Phase(name).passes == passes


def test_compared():
    """The headline comes first, and `transfer` never."""
    assert HEADLINE is Phase.TRAIN
    assert COMPARED == ("train", "forward", "backward", "step")


def test_find_phase():
    assert find_phase("step") is Phase.OPTIMIZER
    assert find_phase("infer") is find_phase("") is None
