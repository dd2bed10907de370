"""Workloads: which are refused, and how a recipe is called."""

import dataclasses
import threading
from functools import partial

import pytest
import torch
from torch import nn

from breakeven.errors import RecipeError, UsageError
from breakeven.hardware.devices import Cpu
from breakeven.measure.trainer import Trainer
from breakeven.measure.workload import Workload, build, error_line, map_tensors, mlp, tensors_in
from support.small_workloads import losses


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "net"}, "model=.* must be a torch.nn.Module, got a str"),
        ({"loss": 3}, "loss=.* must be a function or a loss module, got a int"),
        ({"optimizer": None}, "optimizer=.* must be callable, such as torch.optim.Adam, got None"),
        ({"inputs": 3}, "inputs=.* must hold a tensor"),
        ({"autocast": "bfloat16"}, r"autocast=.* must be torch\.bfloat16, torch\.float16 or None, got a str"),
        ({"model": nn.ReLU()}, "no parameter to train"),
        ({"inputs": torch.ones(2, 4, device="meta")}, "remove .to"),
    ],
)
def test_invalid_field(change, message):
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(mlp(2, width=4), **change)


def raising_recipe():
    numbers = {}
    return numbers["width"]


def test_recipe_raises():
    """Its file and line are in the message."""
    line = raising_recipe.__code__.co_firstlineno + 2
    with pytest.raises(RecipeError, match=rf"test_workload\.py:{line}: the recipe raised KeyError: 'width'"):
        build(raising_recipe)


def test_recipe_raises_in_a_library():
    """The line is the recipe's own."""
    line = test_recipe_raises_in_a_library.__code__.co_firstlineno + 3
    recipe = lambda: nn.Linear("wide", 3)  # noqa: E731
    with pytest.raises(RecipeError, match=rf"test_workload\.py:{line}: the recipe raised TypeError"):
        build(recipe)


@pytest.mark.parametrize("result", [None, nn.Linear(2, 2), "mlp"])
def test_recipe_returns_something_else(result):
    with pytest.raises(
        RecipeError, match=r"test_workload\.py:\d+: the recipe returned .*expected a breakeven.Workload"
    ):
        build(lambda: result)


def test_recipe_is_a_partial():
    assert isinstance(build(partial(mlp, 2, width=4)), Workload)
    with pytest.raises(RecipeError, match=r"workload\.py:\d+"):
        build(partial(mlp, 2, width="wide"))


def test_recipes_are_seeded():
    one, other = (build(lambda: mlp(2, width=4)).inputs for _ in range(2))
    assert torch.equal(one, other)


def test_error_line():
    assert error_line(ValueError("first\nsecond")) == "ValueError: first"
    assert len(error_line(ValueError("x" * 1000))) < 350
    assert error_line(ValueError()) == "ValueError"


def test_nested_batches():
    from collections import namedtuple

    Pair = namedtuple("Pair", "a b")
    value = {"x": torch.ones(1), "pair": Pair(torch.ones(2), [torch.ones(3), "text"])}
    assert [tensor.numel() for tensor in tensors_in(value)] == [1, 2, 3]
    doubled = map_tensors(lambda tensor: tensor * 2, value)
    assert doubled["pair"].b[0].tolist() == [2, 2, 2]
    assert doubled["pair"].b[1] == "text"
    assert isinstance(doubled["pair"], Pair)


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def forward(self, left, right):
        return self.linear(left + right)


@pytest.mark.parametrize(
    "inputs",
    [
        (torch.ones(3, 2), torch.ones(3, 2)),
        [torch.ones(3, 2), torch.ones(3, 2)],
        {"left": torch.ones(3, 2), "right": torch.ones(3, 2)},
    ],
    ids=["tuple", "list", "dict"],
)
def test_inputs_of_a_model(inputs):
    """A tuple or list by position, a dict by keywords."""
    workload = Workload(TwoInputs(), nn.MSELoss(), torch.optim.Adam, inputs, torch.zeros(3, 1))
    assert len(losses(workload, 2)) == 2


class OwnLoss(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def forward(self, x):
        from types import SimpleNamespace

        return SimpleNamespace(loss=self.linear(x).square().mean())


def test_model_makes_its_own_loss():
    workload = Workload(OwnLoss(), lambda out, _: out.loss, torch.optim.Adam, torch.ones(3, 2), None)
    seen = losses(workload, 3)
    assert seen[-1] < seen[0]


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (threading.Lock(), "cannot pickle '_thread.lock' object"),
        (torch.ones(1, requires_grad=True) * 2, "explicit"),
    ],
    ids=["a lock", "a computed tensor"],
)
@pytest.mark.parametrize("where", ["model", "loss"])
def test_model_cannot_be_copied(where, part, reason):
    modules = {"model": torch.nn.Linear(2, 1), "loss": torch.nn.MSELoss()}
    modules[where].part = part
    workload = Workload(
        modules["model"], modules["loss"], torch.optim.SGD, torch.ones(1, 2), torch.ones(1, 1)
    )
    with pytest.raises(RecipeError, match=f"the {where} cannot be copied .*{reason}.* copy.deepcopy "):
        Trainer(workload, Cpu())


def test_copy_runs_out_of_memory(monkeypatch):
    """That is not the recipe's fault."""

    def full(module):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("copy.deepcopy", full)
    workload = Workload(torch.nn.Linear(2, 1), torch.nn.MSELoss(), torch.optim.SGD, torch.ones(1, 2), None)
    with pytest.raises(RuntimeError, match="allocate"):
        Trainer(workload, Cpu())
