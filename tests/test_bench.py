"""The workloads of `bench/`: they train, always the same way, and are those of the recorded runs."""

import pytest
import torch
from torch import nn

from breakeven.errors import RecipeError
from breakeven.hardware.devices import default_devices
from breakeven.measure.flops import Flops, count_flops
from breakeven.measure.workload import build
from support.small_workloads import BENCH, SIZES, bench_file, losses, ready, shipped, train

TRAINED = [
    *(pytest.param(name, {}, id=name) for name in SIZES),
    *(
        pytest.param("transformer", {"optimizer": name}, id=name)
        for name in bench_file("transformer").OPTIMIZERS
    ),
    pytest.param("mlp", {"dtype": "bfloat16"}, id="bfloat16"),
]


def test_every_workload_has_sizes():
    """The small sizes cover every bench function."""
    files = [bench_file(path.stem.removeprefix("bench_")) for path in BENCH.glob("bench_*.py")]
    names = {
        name.removeprefix("bench_") for file in files for name in vars(file) if name.startswith("bench_")
    }
    assert names == SIZES.keys()


@pytest.mark.parametrize(("name", "axes"), TRAINED)
def test_training(name, axes):
    """It lowers the loss, in the same way in every build."""
    seen = losses(build(shipped(name, 4, **axes)), steps=20)
    assert seen[-1] < seen[0]
    assert losses(build(shipped(name, 4, **axes)), steps=2) == seen[:2]


@pytest.mark.parametrize(
    ("name", "axes", "parameters"),
    [
        ("seed_net", {}, 67),
        ("mlp", {"width": 64, "depth": 2}, 2 * (64 * 64 + 64) + 64 * 10 + 10),
        ("cnn", {"channels": 16}, (27 * 16 + 16) + (9 * 16 * 32 + 32) + (32 * 10 + 10)),
        ("transformer", {"d_model": 64}, 100_618),
        ("lstm", {"hidden": 64}, 4 * (2 * 64 * 64 + 2 * 64) + 64 * 10 + 10),
        ("tf32", {"width": 64}, 2 * (64 * 64 + 64) + 64 * 10 + 10),
        ("launches", {"width": 64}, 2 * (64 * 64 + 64) + 64 * 10 + 10),
    ],
)
def test_parameters_of_recorded_runs(name, axes, parameters):
    """Recorded runs with other parameters would be of another model."""
    assert build(shipped(name, 2, **axes)).parameters == parameters


@pytest.mark.parametrize("device", default_devices(), ids=lambda device: device.name)
def test_hundred_epochs_of_the_seed_net(device):
    device.initialize()  # otherwise torch warns of the missing context in autograd's thread
    with device.active():
        seen = losses(build(shipped("seed_net", 1)), 100, device)
    assert seen[-1] < 0.1 * seen[0]


def test_seed_net_at_batch_one():
    """It trains on the one example of the article it comes from."""
    workload = build(shipped("seed_net", 1))
    assert workload.inputs.tolist() == [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]
    assert workload.targets.tolist() == [[0, 1]]
    assert workload.inputs.dtype == workload.targets.dtype == torch.float32
    (group,) = workload.optimizer(workload.model.parameters()).param_groups
    assert group["lr"] == 0.01


def test_bfloat16_keeps_float32_weights():
    trainer = ready(build(shipped("mlp", 2, dtype="bfloat16")))
    trainer.transfer()
    outputs = []
    trainer.model.register_forward_hook(lambda _module, _args, out: outputs.append(out.dtype))
    trainer.forward()
    assert outputs == [torch.bfloat16]
    assert {parameter.dtype for parameter in trainer.model.parameters()} == {torch.float32}


@pytest.mark.parametrize(("name", "axis"), [("transformer", "optimizer"), ("mlp", "dtype")])
def test_unknown_axis_value(name, axis):
    with pytest.raises(RecipeError, match=rf"bench_{name}\.py:\d+: the recipe raised KeyError: 'other'"):
        build(shipped(name, 2, **{axis: "other"}))


def test_three_forms_of_adam_are_one_algorithm():
    weights = {}
    for name in ("adam", "adam_loop", "adam_foreach", "adam_fused"):
        trainer = ready(build(shipped("transformer", 4, optimizer=name)))
        train(trainer, 3)
        weights[name] = [parameter.detach() for parameter in trainer.model.parameters()]
    for name, found in weights.items():
        same = zip(found, weights["adam"], strict=True)
        assert all(torch.allclose(one, other, rtol=1e-5, atol=1e-7) for one, other in same), name


def test_forms_of_adam():
    forms = {}
    for name, make in bench_file("transformer").OPTIMIZERS.items():
        (group,) = make([nn.Parameter(torch.ones(1))]).param_groups
        forms[name] = (group["foreach"], group["fused"])
    assert forms["adam"] == (None, None)
    assert forms["adam_loop"] == (False, False)
    assert forms["adam_foreach"][0] is True
    assert forms["adam_fused"][1] is True


# ---------------------------------------------------------------------------------------------------
# Operations worked by hand. A product of (m, k) and (k, n) is 2 m k n.


def flops_of(name, batch_size, **axes):
    return count_flops(build(shipped(name, batch_size, **axes)))


def test_flops_of_the_seed_net():
    first, second = 2 * 10 * 5, 2 * 5 * 2
    assert flops_of("seed_net", 1) == Flops(first + second, first + 2 * second)


def test_flops_of_the_cnn():
    """A convolution is a product at every pixel of its output."""
    at_32 = 2 * (32 * 32) * (3 * 3) * 3 * 16
    at_16 = 2 * (16 * 16) * (3 * 3) * 16 * 32
    head = 2 * 32 * 10
    for batch_size in (1, 4):
        flops = flops_of("cnn", batch_size, channels=16, side=32)
        assert flops.forward == batch_size * (at_32 + at_16 + head)
        # To its inputs a strided convolution propagates from the pixels of its output, as many as forward.
        assert flops.backward == batch_size * (at_32 + 2 * at_16 + 2 * head)


def test_flops_of_the_transformer():
    """They are those of its projections, its attention and its feed-forward layers."""
    batch_size, length, d_model, heads = 4, 32, 64, 4
    tokens = batch_size * length
    projections = 2 * tokens * d_model * (3 * d_model) + 2 * tokens * d_model * d_model
    feed_forward = 2 * (2 * tokens * d_model * 4 * d_model)
    attention = 2 * (2 * batch_size * heads * length * length * (d_model // heads))
    layer = projections + feed_forward + attention
    head = 2 * batch_size * d_model * 10
    into_first = 2 * tokens * d_model * (3 * d_model)  # the batch itself needs no gradient
    assert flops_of("transformer", batch_size, d_model=d_model, length=length) == Flops(
        2 * layer + head, 2 * (2 * layer + head) - into_first
    )


def test_flops_of_the_lstm():
    """On the CPU it is one fused operation that counts as none."""
    batch_size, hidden, length = 3, 8, 5
    one_step = 2 * batch_size * hidden * (4 * hidden)  # of the input alone, or of the hidden state alone
    head = 2 * batch_size * hidden * 10
    flops = flops_of("lstm", batch_size, hidden=hidden, length=length)
    assert flops.forward == 2 * length * one_step + head
    # Both weights at every step; to the hidden state of every step but the first, which is given.
    assert flops.backward == (2 * length + (length - 1)) * one_step + 2 * head
