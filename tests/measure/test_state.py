"""Every case starts from one state, and returns to that after its first step, whatever a model keeps."""

import copy
import dataclasses
import math
import random
from collections import OrderedDict, deque, namedtuple
from functools import partial
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from breakeven.case import Budget, CaseKey
from breakeven.hardware.devices import Cpu
from breakeven.measure.runner import Runner
from breakeven.measure.simulated import SimulatedClock, SimulatedDevice, simulated_workload
from breakeven.measure.state import SavedState
from breakeven.measure.timing import time_round
from breakeven.measure.trainer import MAX_STEPS, Trainer
from breakeven.measure.workload import Workload, build
from breakeven.phases import Phase
from support.small_workloads import PHASES, ready

WIDTH = 4


class Keeping(nn.Module):
    """A linear layer whose input depends on what the model keeps in a plain attribute."""

    def __init__(self, kept, update):
        super().__init__()
        self.linear, self.kept, self.update = nn.Linear(WIDTH, WIDTH), kept, update

    def forward(self, x):
        return self.linear(x + math.sin(self.update(self)))


def counter(model):
    model.kept += 1
    return model.kept


def history(model):
    model.kept.append(len(model.kept))
    return float(sum(model.kept))


def nested(model):
    model.kept["calls"][0] += 1
    return model.kept["calls"][0]


def of_object(model):
    model.kept.average = 0.5 * model.kept.average + 1
    return model.kept.average


def array(model):
    model.kept += 1
    return float(model.kept.sum())


def lazy_attribute(model):
    model.cache = getattr(model, "cache", 0) + 1
    return model.cache


def lazy_buffer(model):
    if not hasattr(model, "seen"):
        model.register_buffer("seen", torch.zeros(()))
    model.seen += 1
    return model.seen


def deleted_attribute(model):
    if hasattr(model, "first"):
        del model.first
        return 5.0
    return 1.0


def growing(model):
    model.kept = torch.cat([model.kept, torch.ones(1)])
    return model.kept.sum()


def own_generator(model):
    return torch.rand((), generator=model.kept)


def kept_graph(model):
    model.kept = model.linear.weight.sum() * 0 + (0.0 if model.kept is None else model.kept.detach() + 1)
    return model.kept.detach()


@dataclasses.dataclass(slots=True)
class Mean:
    count: int = 0


def slotted(model):
    model.kept.count += 1
    return model.kept.count


def in_bytes(model):
    model.kept[0] = (model.kept[0] + 1) % 256  # inference does not return to an earlier step
    return model.kept[0]


MODELS = {
    "an object with slots": (Mean(), slotted),
    "bytes": (bytearray(1), in_bytes),
    "a counter": (0, counter),
    "a deque": (deque([1], maxlen=3), history),
    "nested containers": ({"calls": [0]}, nested),
    "an object": (SimpleNamespace(average=torch.zeros(())), of_object),
    "an array": (np.zeros(2), array),
    "a lazy attribute": (None, lazy_attribute),
    "a lazy buffer": (None, lazy_buffer),
    "a deleted attribute": (None, deleted_attribute),
    "a growing tensor": (torch.ones(1), growing),
    "a generator": (torch.Generator().manual_seed(1), own_generator),
    "Python's generator": (random.Random(1), lambda model: model.kept.random()),
    "numpy's generator": (np.random.default_rng(1), lambda model: float(model.kept.random())),
    "numpy's old generator": (np.random.RandomState(1), lambda model: float(model.kept.rand())),
    "a computed tensor": (None, kept_graph),
}


def workload_of(model, **fields):
    fields = {"loss": nn.MSELoss(), "optimizer": partial(torch.optim.SGD, lr=0.01, momentum=0.9)} | fields
    inputs = torch.linspace(-1, 1, 2 * WIDTH).reshape(2, WIDTH)
    return Workload(model=model, inputs=inputs, targets=torch.ones(2, WIDTH), **fields)


def next_losses(trainer, steps=3):
    found = []
    for _ in range(steps):
        trainer.prepare(Phase.FORWARD)
        trainer.run(Phase.FORWARD)
        found.append(trainer.loss_value())
    return found


@pytest.mark.parametrize("name", MODELS)
def test_every_case_starts_alike(name):
    """Also on a copy that another case has trained."""
    trainer = ready(workload_of(Keeping(*MODELS[name])))
    first = next_losses(trainer)
    trainer.start()
    assert next_losses(trainer) == first
    assert len(set(first)) == len(first)


@pytest.mark.parametrize("name", MODELS)
def test_restore_returns_to_the_first_step(name):
    trainer = ready(workload_of(Keeping(*MODELS[name])))
    first = next_losses(trainer, 4)
    trainer.restore()  # the step after it is the second one
    assert next_losses(trainer, 2) == first[2:]


@pytest.mark.parametrize("name", MODELS)
def test_every_phase_is_timed(name):
    """A model that trains in any loop gives the CPU's losses in every phase."""
    runner, device = Runner(Budget(max_time_s=0.02)), Cpu(1)
    for phase in PHASES:
        facts = runner.measure(
            CaseKey.of("w", 1, phase, device.name),
            device,
            lambda: workload_of(Keeping(*copy.deepcopy(MODELS[name]))),
            lambda round_, _: time_round(round_),
        )
        assert facts.get("loss_compared") is (True if phase.takes_steps else None)


class Centered(nn.Module):
    """A loss with a buffer that is not in its state dict."""

    def __init__(self):
        super().__init__()
        self.register_buffer("center", torch.zeros(WIDTH), persistent=False)

    def forward(self, outputs, targets):
        self.center = 0.9 * self.center + outputs.detach().mean(0)
        return (outputs - targets - self.center).square().mean()


def test_state_of_a_loss():
    trainer = ready(workload_of(nn.Linear(WIDTH, WIDTH), loss=Centered()))
    first = next_losses(trainer, 4)
    trainer.restore()
    assert next_losses(trainer, 2) == first[2:]
    trainer.start()
    assert next_losses(trainer, 4) == first


class Averaging(torch.optim.SGD):
    """An optimizer with state of its own, outside of its state dict."""

    def __init__(self, parameters):
        super().__init__(parameters, lr=0.01)
        self.rate, self.averages = 1.0, [torch.zeros_like(one) for one in self.param_groups[0]["params"]]

    def step(self, closure=None):
        self.rate *= 0.5
        for average, parameter in zip(self.averages, self.param_groups[0]["params"], strict=True):
            average.add_(parameter.grad, alpha=self.rate)
            parameter.grad.copy_(average)
        return super().step()


def test_state_of_an_optimizer():
    trainer = ready(workload_of(nn.Linear(WIDTH, WIDTH), optimizer=Averaging))
    first = next_losses(trainer, 4)
    trainer.restore()
    assert next_losses(trainer, 2) == first[2:]


def test_objects_keep_their_identity():
    """So that what was compiled or captured stays valid."""
    trainer = ready(workload_of(Keeping(OrderedDict(a=[1]), lambda _: 0.0)))
    next_losses(trainer)
    places = [one.data_ptr() for one in trainer.trained()]
    kept, inner = trainer.model.kept, trainer.model.kept["a"]
    inner.append(2)
    momentum = [trainer.optimizer.state[one]["momentum_buffer"] for one in trainer.trained()]
    trainer.restore()
    assert [one.data_ptr() for one in trainer.trained()] == places
    assert trainer.model.kept is kept
    assert kept["a"] is inner
    assert inner == [1]
    assert all(
        trainer.optimizer.state[one]["momentum_buffer"] is kept
        for one, kept in zip(trainer.trained(), momentum, strict=True)
    )


def test_shared_devices_are_left_alone():
    """An object that says how it is copied is not state: a simulated clock must not go back."""
    clock = SimulatedClock()
    device = SimulatedDevice(clock)
    state = SavedState(simulated_workload(device).model)
    clock.advance(5.0)
    state.restore()
    assert clock.now == 5.0


def test_expanded_and_resized_tensors():
    holder = SimpleNamespace(wide=torch.zeros(1).expand(3), plain=torch.arange(3.0))
    state = SavedState(holder)
    for _ in range(2):
        holder.plain.resize_(1)
        holder.plain.fill_(7.0)
        state.restore()
        assert holder.plain.tolist() == [0.0, 1.0, 2.0]
        holder.plain.fill_(8.0)
    assert holder.wide.tolist() == [0.0, 0.0, 0.0]


def counted_returns(trainer, monkeypatch):
    returns = []
    restore = trainer.restore
    monkeypatch.setattr(trainer, "restore", lambda: returns.append(trainer._steps) or restore())
    return returns


@pytest.mark.parametrize(("steps", "rounds", "count"), [(1, 600, 2), (150, 6, 4), (600, 4, 3)])
def test_no_more_steps_than_that_in_a_row(steps, rounds, count, monkeypatch):
    trainer = ready(workload_of(nn.Linear(WIDTH, WIDTH)))
    returns = counted_returns(trainer, monkeypatch)
    for _ in range(rounds):
        trainer.prepare(Phase.TRAIN, steps)
        trainer.run(Phase.TRAIN, steps)
        assert trainer._steps <= max(MAX_STEPS, 1 + steps)
    assert len(returns) == count


@pytest.mark.parametrize("phase", [Phase.FORWARD, Phase.BACKWARD, Phase.STEP])
def test_other_phases_return_too(phase, monkeypatch):
    """They train one step in each round."""
    trainer = ready(workload_of(nn.Linear(WIDTH, WIDTH)))
    returns = counted_returns(trainer, monkeypatch)
    for _ in range(MAX_STEPS + 2):
        trainer.prepare(phase)
        trainer.run(phase)
    assert len(returns) == 1


def hinge(optimizer):
    model = nn.Sequential(nn.Linear(32, 128), nn.ReLU(), nn.Linear(128, 10))
    return Workload(model, nn.MultiMarginLoss(), optimizer, torch.randn(4, 32), torch.randint(10, (4,)))


@pytest.mark.parametrize(
    "optimizer",
    [
        partial(torch.optim.SGD, lr=0.01, momentum=0.9),
        partial(torch.optim.Adam, fused=True),
    ],
    ids=["momentum", "fused adam"],
)
def test_no_subnormal_numbers(optimizer):
    """Without the returns, a thousand steps on one batch fill the optimizer's averages with them."""
    trainer = ready(build(lambda: hinge(optimizer)))
    subnormal = []
    for _ in range(1200):
        trainer.prepare(Phase.TRAIN)
        trainer.run(Phase.TRAIN)
    for tensor in trainer.state_tensors():
        if tensor.is_floating_point():
            small = (tensor.abs() > 0) & (tensor.abs() < torch.finfo(tensor.dtype).tiny)
            subnormal.append(int(small.sum()))
    assert sum(subnormal) == 0
    assert len(subnormal) > 2 * len(trainer.trained())


def test_transfer_takes_no_state():
    trainer = Trainer(workload_of(nn.Linear(WIDTH, WIDTH)), Cpu())
    trainer.start()
    for _ in range(3):
        trainer.prepare(Phase.TRANSFER)
        trainer.run(Phase.TRANSFER)
    assert list(trainer.state_tensors()) == []


class Box:
    """Something whose count is state."""

    def __init__(self):
        self.count = 0

    def add(self):
        self.count += 1


HOLDERS = {
    "a method": lambda box: box.add,
    "an argument": lambda box: partial(print, box),
    "a keyword": lambda box: partial(print, end=box),
    "a tuple": lambda box: (box,),
    "a list": lambda box: [box],
    "a set": lambda box: {box},
    "an array of objects": lambda box: np.array([box]),
}


@pytest.mark.parametrize("name", HOLDERS)
def test_state_is_found_in(name):
    box = Box()
    state = SavedState(SimpleNamespace(kept=HOLDERS[name](box)))
    box.add()
    state.restore()
    assert box.count == 0


@pytest.mark.parametrize(
    ("container", "change"),
    [
        ([1, 2], lambda kept: kept.reverse()),
        ([1, 2], lambda kept: kept.append(3)),
        ({1, 2}, lambda kept: kept.add(3)),
        ({"a": 1}, lambda kept: kept.update(b=kept.pop("a"))),
        ({"a": 1, "b": 1}, lambda kept: kept.update(a=kept.pop("a"))),
        (np.array([None, 1]), lambda kept: kept.put(0, 2)),
    ],
    ids=["swapped", "longer", "a set", "another key", "another order", "an array of objects"],
)
def test_containers_are_refilled(container, change):
    state, before = SavedState(container), list(getattr(container, "items", container.__iter__)())
    change(container)
    state.restore()
    assert list(getattr(container, "items", container.__iter__)()) == before


def test_unchanged_containers_are_not_written():
    """Compiled code would be compiled again."""

    class Watched(dict):
        def clear(self):
            pytest.fail("cleared")

    watched = Watched(a=1, b=[2])
    state = SavedState(watched)
    watched["b"].append(3)
    state.restore()
    assert watched == {"a": 1, "b": [2]}


Pair = namedtuple("Pair", "mean count")


@pytest.mark.parametrize(
    "hold", [lambda one: [one], lambda one: {0: one}, lambda one: (one, 1), lambda one: Pair(one, 1)]
)
def test_graphs_are_not_kept(hold):
    holder = SimpleNamespace(kept=hold(torch.ones(1, requires_grad=True) * 2))
    kind, state = type(holder.kept), SavedState(holder)
    holder.kept = None
    state.restore()
    assert type(holder.kept) is kind
    assert holder.kept[0].item() == 2.0
    assert holder.kept[0].grad_fn is None


def test_shared_objects_are_left_alone():
    """Classes, functions, modules, torch's own objects, and what says how it is copied."""

    def function():
        pass

    def with_method(name):
        return type("Own", (), {name: lambda self, *_: (type(self), ())})()

    shared = [
        type("Shared", (), {}),
        function,
        ModuleType("shared"),
        type("Cache", (), {"__module__": "torch._dynamo"})(),
        *map(with_method, ("__deepcopy__", "__reduce__", "__reduce_ex__")),
    ]
    for one in shared:
        one.count = 0
    state = SavedState(shared)
    for one in shared:
        one.count = 1
    state.restore()
    assert [one.count for one in shared] == [1] * 7


def test_tensors_without_values():
    state = SavedState(SimpleNamespace(meta=torch.ones(2, device="meta"), lazy=nn.LazyBatchNorm1d()))
    state.restore()
    assert sorted({one.device.type for one in state.tensors()}) == ["cpu", "meta"]


def test_tensor_of_inference_mode():
    with torch.inference_mode():
        holder = SimpleNamespace(cache=torch.zeros(2))
    state = SavedState(holder)
    with torch.inference_mode():
        holder.cache.add_(1.0)
    state.restore()
    assert holder.cache.tolist() == [0.0, 0.0]


def total(tensor):
    return float((torch.stack([one.sum() for one in tensor.unbind()]) if tensor.is_nested else tensor).sum())


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.eye(2).to_sparse(),
        lambda: torch.eye(2).to_sparse_csr(),
        lambda: torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]),
    ],
    ids=["sparse", "rows", "nested"],
)
@pytest.mark.filterwarnings("ignore")  # of torch, that these may still change
def test_tensors_without_strides(make):
    tensor = make()
    state = SavedState(tensor)
    tensor.mul_(3.0)
    state.restore()
    assert total(tensor) == total(make())


def test_column_of_size_one():
    """An expanded dimension of one element is written in place."""
    column = torch.zeros(3, 1).expand(3, 1).as_strided((3, 1), (1, 0))
    place, state = column.data_ptr(), SavedState(column)
    column.add_(1.0)
    state.restore()
    assert column.flatten().tolist() == [0.0, 0.0, 0.0]
    assert column.data_ptr() == place


def test_read_only_array():
    array = np.broadcast_to(np.zeros(1), 3)
    SavedState(SimpleNamespace(array=array)).restore()
    assert array.tolist() == [0.0, 0.0, 0.0]


def test_modules_and_optimizers_are_always_state():
    """Also those that say how they are copied."""
    copied = {"__deepcopy__": lambda self, _: self}
    model = type("OwnModel", (nn.Linear,), copied)(2, 1)
    optimizer = type("OwnSGD", (torch.optim.SGD,), copied)(model.parameters(), lr=0.1)
    model.count = optimizer.count = 0
    state = SavedState(model, optimizer)
    model.count = optimizer.count = 1
    state.restore()
    assert (model.count, optimizer.count) == (0, 0)
