"""TF32 is set for one workload, and all of torch's switches are restored."""

import types

import pytest
import torch

from breakeven.hardware.float32 import GPU_SWITCHES, SWITCHES, precision, read_silently, tf32_set
from breakeven.hardware.machine import machine_facts


def everything():
    """The value of every switch, old and new; None where torch refuses to read it."""
    return {
        "matmul": read_silently(torch.get_float32_matmul_precision),
        "allow_matmul": read_silently(lambda: torch.backends.cuda.matmul.allow_tf32),
        "allow_cudnn": read_silently(lambda: torch.backends.cudnn.allow_tf32),
        **{switch: precision(switch) for switch in SWITCHES},
    }


def nothing():
    """Leave the switches as a fresh process has them."""


def high():
    torch.set_float32_matmul_precision("high")


def medium():
    torch.set_float32_matmul_precision("medium")


def old_cudnn_off():
    torch.backends.cudnn.allow_tf32 = False


def new_matmul_alone():
    torch.backends.cuda.matmul.fp32_precision = "tf32"


def new_cudnn_apart():
    torch.backends.cudnn.conv.fp32_precision = "ieee"


def new_for_all():
    torch.backends.fp32_precision = "tf32"


@pytest.fixture(params=[nothing, high, medium, old_cudnn_off, new_matmul_alone, new_cudnn_apart, new_for_all])
def found(request):
    """A process in which the switches were set before, by their old or their new names."""
    if request.param.__name__.startswith("new") and precision("cuda.matmul") is None:
        pytest.skip("this torch has only the old switches")
    request.param()
    yield everything()
    if precision("cuda.matmul") is not None:
        torch.backends.fp32_precision = "none"
        for switch in ("cuda.matmul", "mkldnn.matmul"):
            kind, operation = switch.split(".")
            getattr(getattr(torch.backends, kind), operation).fp32_precision = "none"
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = True


@pytest.mark.parametrize("wanted", [True, False])
def test_tf32_set(found, wanted):
    """Both libraries round as asked inside, and no switch has changed afterwards."""
    before = machine_facts()["class_id"]
    with tf32_set(wanted):
        inside = everything()
        assert inside["allow_matmul"] is wanted  # torch.compile must be able to read it
        assert inside["allow_cudnn"] is wanted
        if inside["cuda.matmul"] is not None:
            assert [inside[switch] == "tf32" for switch in GPU_SWITCHES] == [wanted] * 3
            # A CPU's rounding does not change with a GPU's mode.
            assert all(inside[switch] == found[switch] for switch in SWITCHES if switch not in GPU_SWITCHES)
    assert everything() == found
    assert machine_facts()["class_id"] == before


def test_tf32_set_restores_after_an_error(found):
    with pytest.raises(RuntimeError, match="mine"), tf32_set(True):
        raise RuntimeError("mine")
    assert everything() == found


def test_none_changes_nothing(monkeypatch):
    monkeypatch.setattr("breakeven.hardware.float32.Switches", lambda: pytest.fail("looked at the switches"))
    with tf32_set(None):
        pass


def test_module_hides_a_switch(monkeypatch):
    """Torch 2.9 after an LSTM's first move to a GPU: the machine's class must not change."""

    class Switch:
        fp32_precision = "tf32"

    class Cudnn(types.ModuleType):
        rnn = Switch()

    played = Cudnn("cudnn")
    monkeypatch.setitem(torch.backends.__dict__, "cudnn", played)
    assert precision("cudnn.rnn") == "tf32"
    played.rnn = types.ModuleType("rnn")
    assert precision("cudnn.rnn") == "tf32"
    assert precision("cudnn.sparse") is None
