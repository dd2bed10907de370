"""Workloads: which are refused, and how a recipe is called."""

import dataclasses
import functools
import random
import threading
import warnings
from collections import UserDict
from collections.abc import Mapping
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from breakeven.errors import MeasurementError, RecipeError, UsageError
from breakeven.hardware.device import Device
from breakeven.hardware.devices import Accelerator, Cpu
from breakeven.measure.flops import count_flops
from breakeven.measure.optimizers import check_optimizer
from breakeven.measure.outcomes import UnsupportedError
from breakeven.measure.tensors import map_tensors, moved_to, tensors_in
from breakeven.measure.trainer import Trainer
from breakeven.measure.workload import Workload, build, error_line, mlp
from breakeven.phases import Phase
from support.small_workloads import losses, ready, train


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "net"}, "model=.* must be a torch.nn.Module, got a str"),
        ({"loss": 3}, "loss=.* must be a function, a loss module, or None .*, got 3"),
        ({"optimizer": None}, "optimizer=.* must be callable, such as torch.optim.Adam, .*, got None"),
        ({"inputs": 3}, "inputs=.* must hold a tensor"),
        ({"inputs": nn.Linear(4, 4)}, "inputs=.* must hold a tensor"),
        ({"inputs": [torch.Tensor]}, "inputs=.* must hold a tensor"),
        ({"accumulate": 0}, r"accumulate=\.\.\.\) must be a whole number from 1, got 0$"),
        ({"clip_grad_norm": -1.0}, r"must be a number above 0, or None, got -1\.0$"),
        ({"clip_grad_norm": float("nan")}, r"must be a number above 0, or None, got nan$"),
        ({"checkpoint": (0,)}, r"must be a tuple of names .*, but checkpoint\[0\] is 0$"),
        ({"batches": [torch.ones(2)]}, r"must be a list of pairs .*, but batches\[0\] is a tensor$"),
        ({"model": slice(3), "loss": iter}, r"must be a torch\.nn\.Module, got a slice$"),
        ({"model": OSError()}, r"must be a torch\.nn\.Module, got an OSError$"),
        (
            {"optimizer": torch.optim.SGD([torch.zeros(1)])},
            r"got one that is made already; pass the class or partial\(torch.optim.SGD, lr=0.1\)$",
        ),
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


# ---------------------------------------------------------------------------------------------------
# Modules and batches as people have them.


class Stubborn(nn.Module):
    """Overrides `train` and `to` without returning the model."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def train(self, mode=True):
        super().train(mode)

    def to(self, *args, **kwargs):
        super().to(*args, **kwargs)

    def forward(self, x):
        return self.linear(x)


def batch_normed():
    return nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))


@pytest.mark.parametrize(
    "model",
    [
        Stubborn,
        lambda: torch.jit.script(batch_normed()),
        lambda: torch.jit.trace(batch_normed(), torch.randn(4, 2)),
        lambda: torch.compile(batch_normed(), backend="eager"),
        lambda: nn.Sequential(nn.LazyLinear(3), nn.ReLU(), nn.LazyLinear(1)),
        lambda: nn.utils.parametrizations.weight_norm(nn.Linear(2, 1)),
        lambda: torch.nn.utils.parametrizations.spectral_norm(nn.Linear(2, 1)),
    ],
    ids=["stubborn", "scripted", "traced", "compiled", "lazy", "weight norm", "spectral norm"],
)
@pytest.mark.filterwarnings("ignore")  # of torch.jit and lazy modules
def test_models_as_people_have_them(model):
    """Each trains, starts every case alike, and returns to its first step; its operations are counted."""
    workload = build(
        lambda: Workload(
            model(), nn.MSELoss(), partial(torch.optim.SGD, lr=0.1), torch.randn(4, 2), torch.randn(4, 1)
        )
    )
    trainer = ready(workload)
    first = train(trainer, 4)
    trainer.start()
    assert train(trainer, 4) == first
    assert first[3] < first[0]


class Packed(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.GRU(3, 4, batch_first=True), nn.Linear(4, 1)

    def forward(self, sequence, lengths=None):
        if lengths is not None:
            assert lengths.device.type == "cpu"
            sequence = nn.utils.rnn.pack_padded_sequence(sequence, lengths, True, enforce_sorted=False)
        return self.head(self.rnn(sequence)[1][-1])


def packed():
    return nn.utils.rnn.pack_padded_sequence(torch.randn(2, 5, 3), torch.tensor([5, 2]), batch_first=True)


class GraphBatch:
    """Moves in place and returns itself, as batches of graphs do."""

    def __init__(self):
        self.nodes, self.device = torch.randn(2, 5, 3), "cpu"

    def to(self, device):
        self.nodes, self.device = self.nodes.to(device), str(device)
        return self


class OnGraphs(Packed):
    def forward(self, graphs):
        return super().forward(graphs.nodes)


class Encoding(UserDict):
    """A mapping with its own `to`, as tokenizers return."""

    def to(self, device):
        self.data = {key: value.to(device) for key, value in self.data.items()}
        return self


BATCHES = {
    "packed": (Packed, packed, ()),
    "packed in a tuple": (Packed, lambda: (packed(),), ()),
    "packed in a dict": (Packed, lambda: {"sequence": packed()}, ()),
    "lengths at a position": (Packed, lambda: (torch.randn(2, 5, 3), torch.tensor([5, 2])), (1,)),
    "lengths by name": (
        Packed, lambda: {"sequence": torch.randn(2, 5, 3), "lengths": torch.tensor([5, 2])}, ("lengths",)
    ),
    "a batch of graphs": (OnGraphs, GraphBatch, ()),
    "an encoding": (Packed, lambda: Encoding(sequence=torch.randn(2, 5, 3)), ()),
}  # fmt: skip


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("pinned", [False, True])
def test_inputs_with_their_own_to(name, pinned, monkeypatch):
    """They move by it; the host's batch stays where it is, and lengths stay on the host."""
    model, inputs, on_host = BATCHES[name]
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor, *_: tensor.clone())
    workload = Workload(
        model(), nn.MSELoss(), torch.optim.Adam, inputs(), torch.zeros(2, 1), host_inputs=on_host,
        pin_memory=pinned,
    )  # fmt: skip
    assert len(losses(workload, 2)) == 2
    trainer = Trainer(workload, Meta())
    trainer.transfer()
    moved = trainer.batch[0]
    values = moved.values() if isinstance(moved, Mapping) else moved if isinstance(moved, list) else [moved]
    names = list(moved) if isinstance(moved, Mapping) else range(5)
    for key, value in zip(names, values, strict=False):
        places = {tensor.device.type for tensor in tensors_in(value)}
        assert places <= {"cpu"} if key in on_host else "meta" in places
    assert {tensor.device.type for tensor in tensors_in(workload.inputs)} == {"cpu"}


class Meta(Accelerator):
    def __init__(self):
        Device.__init__(self, "meta", torch.device("meta"))

    def synchronize(self):
        pass


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batches": []}, r"^Workload\(batches=\[\]\) is empty; give at least one pair \(inputs, targets\)$"),
        ({"batches": [], "inputs": torch.ones(1)}, r"^Workload\(batches=\[\]\) is empty"),
        (
            {"unpack": tuple, "inputs": torch.ones(1)},
            r"^Workload\(unpack=...\) has no effect without a loader",
        ),
    ],
)
def test_useless_batches_and_unpack(fields, message):
    with pytest.raises(UsageError, match=message):
        Workload(nn.Linear(1, 1), nn.MSELoss(), torch.optim.Adam, **fields)


@pytest.mark.parametrize(
    ("host_inputs", "inputs", "message"),
    [
        ("lengths", {"lengths": torch.ones(1)}, r"must be a tuple .* such as \('lengths',\)"),
        ((2,), (torch.ones(1), torch.ones(1)), "2 is not one of the inputs, which are 0, 1"),
        (("x",), {"y": torch.ones(1)}, "'x' is not one of the inputs, which are 'y'"),
        ((0,), torch.ones(1), "0 is not one of the inputs, which are a single one"),
        (3, torch.ones(1), "must be a tuple"),
    ],
)
def test_invalid_host_inputs(host_inputs, inputs, message):
    with pytest.raises(UsageError, match=message):
        Workload(
            nn.Linear(1, 1), nn.MSELoss(), torch.optim.Adam, inputs, torch.zeros(1), host_inputs=host_inputs
        )


class InPlace(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def forward(self, x):
        return self.linear(x.mul_(3.0))


def in_place_loss(outputs, targets):
    return (outputs - targets.add_(1.0)).square().mean()


@pytest.mark.parametrize(
    ("model", "loss", "is_copied"),
    [
        (InPlace, nn.MSELoss(), True),
        (lambda: nn.Linear(2, 1), in_place_loss, True),
        (lambda: nn.Linear(2, 1), nn.MSELoss(), False),
    ],
)
def test_batch_changed_in_place(model, loss, is_copied):
    """Every step gets the same batch, on a CPU too; a CPU copies only a batch that is changed."""
    workload = Workload(model(), loss, partial(torch.optim.SGD, lr=0.0), torch.ones(3, 2), torch.zeros(3, 1))
    trainer = ready(workload)
    seen = []
    for _ in range(3):
        trainer.prepare(Phase.TRAIN)
        trainer.run(Phase.TRAIN)
        seen.append(trainer.loss_value())
    assert len(set(seen)) == 1
    assert (trainer.batch[0] is workload.inputs) is not is_copied
    assert workload.inputs.eq(1).all()
    assert workload.targets.eq(0).all()


class Derivative(nn.Module):
    """A network whose output is differentiated by its input, as in physics."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))

    def forward(self, x):
        out = self.net(x)
        (slope,) = torch.autograd.grad(out.sum(), x, create_graph=True)
        return out + slope.sum(1, keepdim=True)


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: (x,), lambda x: {"x": x}])
def test_inputs_that_require_gradients(wrap):
    """Each step has a new leaf, and the host's tensor gets no gradient."""
    x = torch.rand(3, 2, requires_grad=True)
    workload = Workload(Derivative(), nn.MSELoss(), torch.optim.Adam, wrap(x), torch.zeros(3, 1))
    trainer = ready(workload)
    leaves = []
    for _ in range(3):
        trainer.prepare(Phase.TRAIN)
        trainer.run(Phase.TRAIN)
        (leaf,) = tensors_in(trainer.batch[0])
        assert leaf.is_leaf
        assert leaf.grad is not None
        leaves.append(leaf.grad)
    assert x.grad is None
    assert leaves[1] is not leaves[0]


# ---------------------------------------------------------------------------------------------------
# What is trained.


class Penalized(nn.Module):
    """A loss that holds the model."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, outputs, targets):
        return (outputs - targets).square().mean() + sum(p.square().sum() for p in self.model.parameters())


class PenalizedCallable:
    def __init__(self, model):
        self.model = model

    def __call__(self, outputs, targets):
        return (outputs - targets).square().mean() + sum(p.square().sum() for p in self.model.parameters())

    method = __call__


def penalty(model, outputs, targets):
    return (outputs - targets).square().mean() + sum(p.square().sum() for p in model.parameters())


@pytest.mark.parametrize(
    "loss",
    [
        Penalized,
        PenalizedCallable,
        lambda model: PenalizedCallable(model).method,
        lambda model: partial(penalty, model),
    ],
    ids=["module", "callable", "method", "partial"],
)
def test_loss_that_holds_the_model(loss):
    """It gets the copy that is trained: the losses are those of training by hand."""

    def recipe():
        model = nn.Linear(2, 1)
        return Workload(
            model, loss(model), partial(torch.optim.SGD, lr=0.1), torch.ones(3, 2), torch.zeros(3, 1)
        )

    found = losses(build(recipe), 3)
    workload = build(recipe)
    optimizer = workload.optimizer(list(workload.model.parameters()))
    for expected in found:
        optimizer.zero_grad()
        value = workload.loss(workload.model(workload.inputs), workload.targets)
        value.backward()
        optimizer.step()
        assert value.item() == pytest.approx(expected)


def one_full_step(workload):
    trainer = ready(workload)
    for _ in range(2):
        trainer.prepare(Phase.TRAIN)
        trainer.run(Phase.TRAIN)
    return trainer


def test_loss_that_trains_the_host_model():
    model = nn.Linear(2, 1)
    loss = lambda out, _: out.sum() + model.weight.sum()  # noqa: E731
    with pytest.raises(MeasurementError, match="reached the recipe's own model"):
        one_full_step(Workload(model, loss, torch.optim.Adam, torch.ones(3, 2), None))


@pytest.mark.parametrize(
    ("share", "count"), [(lambda own, _: own, 2), (lambda own, given: [own[0], given[1]], 1)]
)
def test_optimizer_of_the_host_model(share, count):
    model = nn.Linear(2, 1)
    own = list(model.parameters())
    workload = Workload(
        model, nn.MSELoss(), lambda given: torch.optim.Adam(share(own, given)), torch.ones(3, 2), None
    )
    with pytest.raises(RecipeError, match=f"{count} of the optimizer's parameters do not belong"):
        ready(workload)


def test_parameters_are_a_list():
    """It can be walked several times, and changing it changes nothing."""

    def optimizer(parameters):
        groups = [{"params": [one for one in parameters if one.ndim == n]} for n in (1, 2)]
        parameters.clear()
        return torch.optim.Adam(groups)

    trainer = ready(Workload(nn.Linear(2, 1), nn.MSELoss(), optimizer, torch.ones(3, 2), torch.ones(3, 1)))
    assert [len(group["params"]) for group in trainer.optimizer.param_groups] == [1, 1]
    assert len(trainer.trained()) == 2


class Proxies(nn.Module):
    def __init__(self, model=None, frozen=False):
        super().__init__()
        self.proxies = nn.Parameter(torch.ones(1, 3), requires_grad=not frozen)
        self.tied = None if model is None else model.weight

    def forward(self, outputs, targets):
        extra = 0 if self.tied is None else self.tied.sum()
        return (outputs @ self.proxies).mean() + extra


@pytest.mark.parametrize(
    ("loss", "parameters", "changed"),
    [
        (lambda _: Proxies(), 3 + 3, 3),
        (lambda model: Proxies(model), 3 + 3, 3),
        (lambda _: Proxies(frozen=True), 3, 2),
        (lambda _: nn.MSELoss(), 3, 2),
    ],
    ids=["own", "tied", "frozen", "none"],
)
def test_trained_loss(loss, parameters, changed):
    """The parameters of a loss are trained, counted and zeroed too, shared ones once."""
    model = nn.Linear(2, 1)
    workload = Workload(
        model, loss(model), partial(torch.optim.SGD, lr=0.1), torch.ones(3, 2), torch.ones(3, 1)
    )
    assert workload.parameters == parameters
    trainer = ready(workload)
    before = [one.detach().clone() for one in trainer.trained()]
    train(trainer, 1)
    after = [not torch.equal(one, old) for one, old in zip(trainer.trained(), before, strict=True)]
    assert sum(after) == changed
    trainer.zero_grad()
    assert all(one.grad is None for one in trainer.trained())


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (lambda _: None, r"returned None, expected an optimizer with step\(\) and zero_grad\(\)"),
        (lambda _: torch.optim.Adam, "returned type, expected an optimizer"),
        (lambda given: given, "returned list, expected an optimizer"),
    ],
)
def test_factory_that_makes_no_optimizer(optimizer, message):
    with pytest.raises(RecipeError, match=message):
        ready(Workload(nn.Linear(2, 1), nn.MSELoss(), optimizer, torch.ones(3, 2), torch.ones(3, 1)))


@pytest.mark.parametrize("kind", [nn.MSELoss, nn.Linear])
def test_class_instead_of_an_instance(kind):
    field = "loss" if kind is nn.MSELoss else "model"
    with pytest.raises(UsageError, match=f"{field}=.*got the class {kind.__name__}; write {kind.__name__}"):
        dataclasses.replace(mlp(2, width=4), **{field: kind})


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.int8, torch.complex64])
def test_dtype_that_autocast_ignores(dtype):
    with pytest.raises(UsageError, match=f"autocast=.* got {dtype}"):
        dataclasses.replace(mlp(2, width=4), autocast=dtype)


def test_autocast_that_the_device_lacks(monkeypatch):
    """Torch then turns autocast off, with a warning."""
    workload = dataclasses.replace(mlp(2, width=4), autocast=torch.float16)
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda _: False)
    with pytest.raises(UnsupportedError, match=r"autocast=torch\.float16"):
        Trainer(workload, Cpu()).start()


# ---------------------------------------------------------------------------------------------------
# What a trainer does at its start, and beyond its model.


def test_batch_is_not_pinned_for_a_cpu(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda *_: pytest.fail("pinned"))
    workload = dataclasses.replace(mlp(2, width=4), pin_memory=True)
    assert Trainer(workload, Cpu()).host_batches[0][0] is workload.inputs


def test_model_in_evaluation_mode_is_trained():
    workload = mlp(2, width=4)
    workload.model.eval()
    assert Trainer(workload, Cpu()).model.training
    assert not workload.model.training


def test_loss_is_moved():
    workload = Workload(nn.Linear(2, 1), Proxies(), torch.optim.Adam, torch.ones(3, 2), torch.ones(3, 1))
    trainer = Trainer(workload, Meta())
    trainer.move_model()
    assert [one.device.type for one in trainer.trained()] == ["meta"] * 3


def test_no_gradients_at_the_start():
    """Nor after the first step has been restored."""
    trainer = one_full_step(mlp(2, width=4))
    assert all(one.grad is not None for one in trainer.trained())
    trainer._return_to_first_step()
    assert all(one.grad is None for one in trainer.trained())
    train(trainer, 1)
    trainer.start()
    assert all(one.grad is None for one in trainer.trained())
    assert trainer._steps == 0


def test_generators_are_seeded_at_the_start():
    """And when the first step is restored."""
    trainer, drawn = one_full_step(mlp(2, width=4)), set()
    for begin in (trainer._return_to_first_step, trainer._return_to_first_step, trainer.start, trainer.start):
        begin()
        drawn.add((torch.rand(()).item(), random.random(), np.random.rand()))
    assert len(drawn) == 1


def test_loss_under_autocast():
    seen = []

    def loss(outputs, targets):
        seen.append(torch.is_autocast_enabled("cpu"))
        return nn.functional.cross_entropy(outputs, targets)

    train(ready(dataclasses.replace(mlp(2, width=4), loss=loss, autocast=torch.bfloat16)), 1)
    assert seen == [True]


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda out, _: out.sum().detach(), "depends on no trained parameter"),
        (lambda out, _: out.sum() * (1 + 0j), r"the loss is complex \(torch\.complex64\)"),
    ],
)
def test_loss_that_trains_nothing(loss, message):
    trainer = ready(dataclasses.replace(mlp(2, width=4), loss=loss))
    trainer.transfer()
    trainer.forward()
    with pytest.raises(MeasurementError, match=message):
        trainer.loss_value()


class OwnOptimizer:
    """One that is no `torch.optim.Optimizer`."""

    def __init__(self, *missing):
        for name in {"step", "zero_grad"} - set(missing):
            setattr(self, name, max)  # of its signature nothing is known


def test_own_optimizer():
    check_optimizer(OwnOptimizer(), [])
    with pytest.raises(RecipeError, match="returned OwnOptimizer, expected an optimizer"):
        check_optimizer(OwnOptimizer("zero_grad"), [])


def test_autocast_warning_is_not_shown(monkeypatch):
    """Torch warns of a dtype that it does not support; the skip says it."""

    class Unsupported(torch.autocast):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            warnings.warn("In CPU autocast, but the target dtype is not supported", stacklevel=1)

    monkeypatch.setattr(torch, "autocast", Unsupported)
    trainer = Trainer(dataclasses.replace(mlp(2, width=4), autocast=torch.bfloat16), Cpu())
    trainer._check_autocast()


def test_batch_is_moved_without_blocking(monkeypatch):
    """Where it is pinned."""
    seen = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor, *_: tensor)
    monkeypatch.setattr(
        "breakeven.measure.moving.moved_to", lambda _, one, *, non_blocking: seen.append(non_blocking) or one
    )
    for pin in (False, True):
        Trainer(dataclasses.replace(mlp(2, width=4), pin_memory=pin), Meta()).transfer()
    assert seen == [False, False, True, True]


def test_frozen_parameters_stay_frozen():
    workload = mlp(2, width=4)
    workload.model[0].weight.requires_grad_(False)
    assert [one.requires_grad for one in Trainer(workload, Cpu()).trained()] == [False, *[True] * 5]


def test_recipe_exits():
    def leave():
        raise SystemExit(2)

    with pytest.raises(RecipeError, match="the recipe raised SystemExit: 2"):
        build(leave)


def test_recipe_is_wrapped():
    """The line is that of the wrapped function."""
    wrapped = functools.wraps(raising_recipe)(lambda: None)
    line = raising_recipe.__code__.co_firstlineno
    with pytest.raises(RecipeError, match=rf"test_workload\.py:{line}: the recipe returned None"):
        build(wrapped)


def test_gradients_of_a_recipe_are_dropped():
    def recipe():
        workload = mlp(2, width=4)
        workload.model(workload.inputs).sum().backward()
        return workload

    assert all(one.grad is None for one in build(recipe).trained())


def test_lazy_layers_see_the_batch_without_gradients():
    seen = []
    lazy = nn.Sequential(nn.LazyLinear(1))
    lazy.register_forward_hook(lambda *_: seen.append(torch.is_grad_enabled()))
    build(lambda: Workload(lazy, nn.MSELoss(), torch.optim.Adam, torch.ones(3, 2), torch.ones(3, 1)))
    assert seen == [False]


@pytest.mark.parametrize(
    "change",
    [
        {"targets": torch.ones(2, device="meta")},
        {"targets": {"y": [torch.ones(2, device="meta")]}},
        {"model": nn.Linear(4, 10, device="meta")},
    ],
)
def test_everything_is_on_the_host(change):
    with pytest.raises(UsageError, match="a tensor is on meta; "):
        dataclasses.replace(mlp(2, width=4), **change)


@pytest.mark.parametrize("field", ["compile", "cuda_graph", "fsdp", "single_threaded_backward", "tf32"])
def test_option_that_is_no_bool(field):
    with pytest.raises(UsageError, match=rf"{field}=\.\.\.\) must be True.* got 1"):
        dataclasses.replace(mlp(2, width=4), **{field: 1})


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        (lambda device: (device, None), None),
        (lambda device, non_blocking=None: (device, non_blocking), True),
        (lambda device, **options: (device, options.get("non_blocking")), True),
    ],
)
def test_argument_of_an_own_to(to, expected):
    """It is passed where `to` takes it."""
    cpu = torch.device("cpu")
    assert moved_to(cpu, SimpleNamespace(to=to), non_blocking=True) == (cpu, expected)
    assert moved_to(cpu, SimpleNamespace(to=to), non_blocking=False) == (cpu, None)


def test_transfer_alone_copies_nothing_on_a_cpu():
    """No step will show whether the batch is changed."""
    workload = mlp(2, width=4)
    trainer = ready(workload)
    trainer.prepare(Phase.TRANSFER)
    trainer.run(Phase.TRANSFER)
    assert trainer.batch[0] is workload.inputs


# ---------------------------------------------------------------------------------------------------
# A model that returns its loss.


class Returning(nn.Linear):
    """Returns its loss in some form."""

    def __init__(self, form):
        super().__init__(4, 1)
        self.form = form

    def forward(self, inputs):
        return self.form(super().forward(inputs).square().mean())


@pytest.mark.parametrize(
    "form",
    [
        lambda loss: loss,
        lambda loss: SimpleNamespace(loss=loss, logits=None),
        lambda loss: {"logits": torch.ones(3), "loss": loss},
        lambda loss: UserDict(loss=loss, logits=torch.ones(3)),
        lambda loss: (loss,),
        lambda loss: {"value": loss},
    ],
    ids=["alone", "attribute", "key", "mapping", "tuple of one", "dict of one"],
)
def test_loss_from_the_model(form):
    """It is what the model returns; operations are counted too."""
    fields = {"optimizer": partial(torch.optim.SGD, lr=0.1), "inputs": torch.ones(3, 4)}
    torch.manual_seed(0)
    with_loss = losses(Workload(Returning(lambda loss: loss), loss=lambda loss, _: loss, **fields), 3)
    torch.manual_seed(0)
    workload = Workload(Returning(form), **fields)
    assert losses(workload, 3) == with_loss
    assert count_flops(workload).forward == 2 * 3 * 4


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (lambda loss: (loss, loss), "the model returned a tuple in which no loss is found"),
        (
            lambda _: SimpleNamespace(loss=None, logits=1),
            "the model returned a SimpleNamespace in which no loss",
        ),
        (
            lambda _: {"logits": torch.ones(2), "hidden": 2},
            "the model returned a dict in which no loss is found",
        ),
        (lambda _: None, "the model returned None in which no loss is found"),
        (
            lambda loss: loss.expand(3),
            r"the model returned a tensor of shape \(3,\), which is not a loss; give",
        ),
        (
            lambda loss: SimpleNamespace(loss=loss.expand(3)),
            r"the loss is a tensor of shape \(3,\), expected one number; reduce it",
        ),
    ],
)
def test_no_loss_from_the_model(form, message):
    with pytest.raises(MeasurementError, match=message):
        losses(Workload(Returning(form), optimizer=torch.optim.Adam, inputs=torch.ones(3, 4)), 1)


def test_targets_without_a_loss():
    with pytest.raises(UsageError, match=r"targets=...\) has no effect without a loss"):
        Workload(nn.Linear(2, 1), optimizer=torch.optim.Adam, inputs=torch.ones(3, 2), targets=torch.ones(3))


def test_loss_without_targets():
    seen = []

    def loss(outputs, targets):
        seen.append(targets)
        return outputs.mean()

    losses(Workload(nn.Linear(2, 1), loss, torch.optim.Adam, torch.ones(3, 2)), 1)
    assert seen == [None]
