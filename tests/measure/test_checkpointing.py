"""Activation checkpointing of submodules: which ones, what it saves, and that training stays the same."""

import copy
import dataclasses
from functools import partial

import pytest
import torch
from torch import nn

from breakeven.errors import UsageError
from breakeven.measure import checkpointing
from breakeven.measure.checkpointing import checkpoint_submodules, submodules
from breakeven.measure.flops import count_flops
from breakeven.measure.trainer import Trainer
from breakeven.measure.workload import Workload
from breakeven.phases import Phase
from support.small_workloads import ready


class Block(nn.Module):
    calls = 0

    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, 8))

    def forward(self, inputs, *, scale=1.0):
        type(self).calls += 1
        return inputs + scale * self.inner(inputs)


class Blocks(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(Block() for _ in range(3))
        self.head = nn.Linear(8, 1)

    def forward(self, inputs):
        for layer in self.layers:
            inputs = layer(inputs, scale=0.5)
        return self.head(inputs)


def workload(checkpoint=(), **fields):
    torch.manual_seed(0)
    return Workload(
        Blocks(),
        nn.MSELoss(),
        partial(torch.optim.Adam, lr=0.01),
        torch.randn(16, 8),
        torch.randn(16, 1),
        checkpoint=checkpoint,
        **fields,
    )


def chosen(checkpoint):
    model = workload().model
    names = {id(module): name for name, module in model.named_modules()}
    return [names[id(module)] for module in submodules(model, checkpoint)]


def is_block(module):
    return isinstance(module, Block)


@pytest.mark.parametrize(
    ("checkpoint", "names"),
    [
        ((), []),
        (("head",), ["head"]),
        (["layers.*"], ["layers.0", "layers.1", "layers.2"]),
        (("layers.[01]", "layers.1", "head"), ["layers.0", "layers.1", "head"]),
        (("layers.*.inner",), ["layers.0.inner", "layers.1.inner", "layers.2.inner"]),
        (is_block, ["layers.0", "layers.1", "layers.2"]),
        (lambda module: isinstance(module, Blocks), [""]),
    ],
)
def test_chosen_submodules(checkpoint, names):
    """A pattern stands for one part of a name, so that no chosen one is inside of another by accident."""
    assert chosen(checkpoint) == names


@pytest.mark.parametrize(
    ("checkpoint", "message"),
    [
        (
            ("blocks.*",),
            r"'blocks\.\*' is none of the submodules layers, head, layers\.0, .* and 12 more; a \* ",
        ),
        (("head", ""), "'' is none of the submodules"),
        (lambda _: False, "chooses none of the submodules layers, head"),
        ("layers.*", r"checkpoint=...\) must be a tuple of names of submodules, .* got a str"),
    ],
)
def test_nothing_chosen(checkpoint, message):
    with pytest.raises(UsageError, match=message):
        workload(checkpoint)


@pytest.mark.filterwarnings("ignore")  # torch.jit
def test_scripted():
    with pytest.raises(UsageError, match="a RecursiveScriptModule cannot be checkpointed"):
        submodules(nn.Sequential(torch.jit.script(nn.Linear(2, 2))), ("0",))


def saved_bytes(trainer):
    """The bytes that the forward pass keeps for the backward pass."""
    sizes = []

    def pack(tensor):
        sizes.append(tensor.nbytes)
        return tensor

    trainer.transfer()
    trainer.zero_grad()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        trainer.forward()
    trainer.backward()
    return sum(sizes)


def test_keeps_less_and_trains_alike():
    """The same weights after 4 steps, bit by bit, with the same random numbers drawn in dropout."""
    plain, checkpointed = ready(workload()), ready(workload(("layers.*",)))
    assert saved_bytes(checkpointed) < saved_bytes(plain) / 4
    for trainer in (plain, checkpointed):
        trainer.start()
        for _ in range(4):
            trainer.prepare(Phase.TRAIN)
            trainer.run(Phase.TRAIN)
        trainer.prepare(Phase.TRAIN)
    for one, other in zip(plain.trained(), checkpointed.trained(), strict=True):
        assert torch.equal(one, other)


def test_computed_twice(monkeypatch):
    """In training alone; the recipe's own model stays as it is."""
    monkeypatch.setattr(Block, "calls", 0)
    trainer = ready(workload(is_block))
    trainer.run(Phase.TRAIN)
    assert Block.calls == 2 * 3
    with torch.inference_mode():
        trainer.model.eval()(trainer.workload.inputs)
    assert Block.calls == 2 * 3 + 3
    trainer.workload.model(trainer.workload.inputs).sum().backward()
    assert Block.calls == 2 * 3 + 3 + 3


def test_inference_is_not_touched(monkeypatch):
    """Not even by reading the state of the generators."""
    trainer = ready(workload(is_block))
    monkeypatch.setattr(checkpointing, "run_checkpointed", lambda *_, **__: pytest.fail("checkpointed"))
    with torch.inference_mode():
        trainer.model.eval()(trainer.workload.inputs)


def test_copied():
    """A copy of a checkpointed model computes with its own weights."""
    model = workload().model.eval()
    checkpoint_submodules(model, is_block)
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert model(torch.ones(1, 8)).item() != 0
    assert other(torch.ones(1, 8)).item() == 0


def test_names_stay():
    trainer = Trainer(workload(is_block), ready(workload()).device)
    assert list(trainer.model.state_dict()) == list(workload().model.state_dict())


def test_operations_are_those_of_the_model():
    """What is computed again is not work that was asked for."""
    assert count_flops(workload(is_block)) == count_flops(workload())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler
def test_compiled():
    """It trains alike, where nothing is random."""
    losses = []
    for checkpoint in ((), ("layers.*",)):
        model = workload().model
        model.layers = model.layers[:1]
        model.layers[0].inner[2].p = 0.0
        trainer = ready(dataclasses.replace(workload(), model=model, checkpoint=checkpoint, compile=True))
        for _ in range(3):
            trainer.prepare(Phase.TRAIN)
            trainer.run(Phase.TRAIN)
        losses.append(trainer.loss_value())
    assert losses[0] == pytest.approx(losses[1])
