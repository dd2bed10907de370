"""The work in a phase: operations compared with numbers worked by hand, bytes by their definition."""

import copy
import json
import random

import pytest
import torch
from torch import nn

from breakeven.case import Budget, CaseKey
from breakeven.hardware.devices import Cpu
from breakeven.measure import flops
from breakeven.measure.flops import (
    MAX_COUNT_S,
    TOO_LONG,
    FlopCounts,
    Flops,
    ModelCounts,
    count_flops,
    moved_bytes,
    step_bytes,
)
from breakeven.measure.runner import Runner
from breakeven.measure.simulated import SimulatedClock, SimulatedDevice, simulated_workload
from breakeven.measure.tensors import tensors_in
from breakeven.measure.timing import time_round
from breakeven.measure.trainer import Trainer
from breakeven.measure.workload import Workload
from breakeven.phases import Phase
from support.small_workloads import PHASES, tiny

CPU = Cpu()
ON_HOST = torch.ones(2)


def workload(model, inputs, loss=lambda outputs, _: outputs.mean(), targets=None, **fields):
    return Workload(model, loss, torch.optim.SGD, inputs, targets, **fields)


# ---------------------------------------------------------------------------------------------------
# Operations. A product of (m, k) and (k, n) is 2 m k n: one multiplication and one addition each.


class Scale(nn.Module):
    """Has no products."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(3))

    def forward(self, inputs):
        return inputs * self.factor


FIRST, SECOND = 2 * 3 * 5 * 7, 2 * 3 * 7 * 11


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (workload(nn.Linear(5, 7), torch.ones(3, 5)), Flops(FIRST, FIRST)),  # the inputs need no gradient
        (workload(nn.Linear(5, 7), (torch.ones(3, 5),)), Flops(FIRST, FIRST)),
        (workload(nn.Linear(5, 7), {"input": torch.ones(3, 5)}), Flops(FIRST, FIRST)),
        (
            workload(nn.Linear(5, 7), torch.ones(3, 5), autocast=torch.bfloat16, compile=True),
            Flops(FIRST, FIRST),
        ),
        (
            workload(nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 11)), torch.ones(3, 5)),
            Flops(FIRST + SECOND, FIRST + 2 * SECOND),
        ),
        (
            workload(
                nn.Sequential(nn.Linear(5, 7).requires_grad_(False), nn.Linear(7, 11)), torch.ones(3, 5)
            ),
            Flops(FIRST + SECOND, SECOND),
        ),
        (workload(Scale(), torch.ones(2, 3)), Flops(0, 0)),
    ],
    ids=["one layer", "a tuple", "a dict", "autocast and compile", "two layers", "frozen", "no products"],
)
def test_layers(what, expected):
    assert count_flops(what) == expected


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_convolution_in_groups(kind, groups):
    """A pixel takes the channels of its own group; each gradient takes as many operations as the output."""
    layer = kind(4, 8, 3, stride=2, padding=1, groups=groups)
    pixels = 5 * 5 if kind is nn.ConvTranspose2d else 3 * 3  # that the filter is applied to
    forward = 2 * 2 * pixels * (3 * 3) * (4 // groups) * 8
    images = torch.ones(2, 4, 5, 5)
    assert count_flops(workload(layer, images)) == Flops(forward, forward)
    assert count_flops(workload(layer, images.requires_grad_())) == Flops(forward, 2 * forward)


def test_counted_in_training_mode():
    class Auxiliary(nn.Linear):
        def forward(self, inputs):
            outputs = super().forward(inputs)
            return outputs + super().forward(inputs) if self.training else outputs

    product = 2 * 3 * 4 * 2
    assert count_flops(workload(Auxiliary(4, 2).eval(), torch.ones(3, 4))) == Flops(2 * product, 2 * product)


def test_loss_with_weights():
    """It stays on its device."""
    loss = nn.CrossEntropyLoss(weight=torch.ones(2))
    counted = count_flops(
        workload(nn.Linear(4, 2), torch.ones(3, 4), loss, torch.zeros(3, dtype=torch.int64))
    )
    assert counted.forward == 2 * 3 * 4 * 2
    assert loss.weight.device == torch.device("cpu")


def products_of_pairs(outputs, _):
    return (outputs @ outputs.T).mean()


def test_inference_computes_no_loss():
    contrastive = workload(nn.Linear(4, 2), torch.ones(3, 4), products_of_pairs)
    cell = CaseKey.of("linear", 3, "train", "cpu").cell
    of_model, of_loss = 2 * 3 * 4 * 2, 2 * 3 * 2 * 3
    assert FlopCounts().facts(cell, Phase.FORWARD, contrastive) == {"flops": of_model + of_loss}
    assert FlopCounts().facts(cell, Phase.INFER, contrastive) == {"flops": of_model}


def test_a_scaled_count_knows_its_loss():
    counting = Counting(LSTM, lambda outputs, _: (outputs[0] @ outputs[0].mT).mean(), usual_s=0.5)
    scaled = [counting.at(batch_size).loss for batch_size in (2, 3, 7)]
    assert counting.counted == [2, 3]
    assert scaled == [samples * 2 * 3 * 5 * 3 for samples in (2, 3, 7)]


class Looks(nn.Linear):
    """A model whose control flow depends on its data."""

    def forward(self, inputs):
        return super().forward(inputs) if inputs.sum().item() > 0 else inputs


@pytest.mark.parametrize(
    "what",
    [
        workload(Looks(4, 2), torch.ones(3, 4)),
        workload(nn.Linear(4, 2), torch.ones(3, 4), lambda out, _: (out * ON_HOST).mean()),
    ],
    ids=["item", "a host tensor in the loss"],
)
def test_model_that_needs_data(what):
    """It is counted while it computes on the CPU."""
    product = 2 * 3 * 4 * 2
    assert count_flops(what) == Flops(product, product)


class Attends(nn.Module):
    """Attention and an LSTM, which are fused operations on a CPU; where it looks, it needs data."""

    def __init__(self, *, looks):
        super().__init__()
        self.looks = looks
        self.attention = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.lstm = nn.LSTM(8, 8, batch_first=True)

    def forward(self, inputs):
        if self.looks and inputs.sum().item() > 1e9:
            return inputs
        return self.lstm(self.attention(inputs))[0]


def test_fused_operations_of_a_model_that_needs_data():
    """They count as the products that they consist of."""
    without, needing = (count_flops(workload(Attends(looks=one), torch.ones(3, 5, 8))) for one in (0, 1))
    assert needing == without
    assert torch.backends.mkldnn.enabled
    assert torch.backends.cuda.flash_sdp_enabled()


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (workload(nn.Linear(5, 2), torch.ones(3, 4)), "RuntimeError: mat1 and mat2 shapes cannot be"),
        (
            workload(nn.Linear(4, 2), torch.ones(3, 4), lambda *_: None),
            "the loss is None, expected one number",
        ),
    ],
    ids=["fails", "no loss"],
)
def test_model_that_fails(what, reason):
    """The reason is one line."""
    unknown = count_flops(what)
    assert isinstance(unknown, str)
    assert reason in unknown
    assert "\n" not in unknown


def test_warnings_are_ignored():
    """Warnings are errors here, as in many projects."""

    class Warns(nn.Linear):
        def forward(self, inputs):
            import warnings

            warnings.warn("old news", stacklevel=1)
            return super().forward(inputs)

    assert isinstance(count_flops(workload(Warns(4, 2), torch.ones(3, 4))), Flops)


def test_count_takes_too_long():
    clock = SimulatedClock()

    class Slow(nn.Linear):
        def forward(self, inputs):
            clock.advance(MAX_COUNT_S * 0.6)
            return super().forward(inputs)

    def of(layers):
        return workload(nn.Sequential(*[Slow(4, 4) for _ in range(layers)]), torch.ones(3, 4))

    assert isinstance(count_flops(of(1), clock), Flops)
    began_s = clock()
    assert count_flops(of(2), clock) == "counting took more than 2 s"
    assert clock() - began_s < 2 * MAX_COUNT_S  # it is not tried with data as well


def test_counting_changes_nothing():
    class Draws(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.linear = nn.BatchNorm1d(4), nn.Linear(4, 2)

        def forward(self, inputs):
            random.random()
            noise = torch.rand(1).item() * inputs.mul_(2).sum().item()
            return self.linear(nn.functional.dropout(self.norm(inputs) + noise))

    torch.manual_seed(3)
    drawing = workload(Draws(), torch.ones(3, 4)).model
    model = workload(drawing, torch.ones(3, 4))
    before = [tensor.clone() for tensor in (*drawing.state_dict().values(), model.inputs)]
    state, pythons = torch.get_rng_state(), random.getstate()

    assert isinstance(count_flops(model), Flops)

    after = (*drawing.state_dict().values(), model.inputs)
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert all(parameter.grad is None for parameter in drawing.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    assert random.getstate() == pythons


# ---------------------------------------------------------------------------------------------------
# Bytes.


def stepped(optimizer, model=None):
    """An optimizer after one step, and the bytes of the parameters that it changed."""
    model = model or nn.Linear(5, 7)
    made = optimizer(model.parameters())
    model(torch.ones(3, 5)).mean().backward()
    made.step()
    return made, sum(4 * one.numel() for one in model.parameters() if one.grad is not None)


@pytest.mark.parametrize(
    ("optimizer", "times"),
    [
        (lambda parameters: torch.optim.SGD(parameters, lr=0.1), 3),
        (lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9), 5),
        (torch.optim.Adam, 7),
        (torch.optim.AdamW, 7),
        (lambda parameters: torch.optim.Adam(parameters, amsgrad=True), 9),
    ],
    ids=["sgd", "momentum", "adam", "adamw", "amsgrad"],
)
def test_step_bytes(optimizer, times):
    """Gradients are read; parameters and state are read and written."""
    made, size = stepped(optimizer)
    assert step_bytes(made) == times * size


def test_step_bytes_of_narrow_state():
    made, size = stepped(lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9))
    for state in made.state.values():
        state["momentum_buffer"] = state["momentum_buffer"].bfloat16()
    assert step_bytes(made) == 4 * size


def test_step_bytes_unknown():
    """Without gradients, or with sparse ones."""
    made, _ = stepped(torch.optim.Adam)
    made.zero_grad()
    assert step_bytes(made) is step_bytes(object()) is None
    words = nn.Embedding(5, 7, sparse=True)
    words(torch.tensor([1])).sum().backward()
    sparse = torch.optim.SparseAdam(words.parameters())
    sparse.step()
    assert step_bytes(sparse) is None


def trainer_on(device, what=None):
    trainer = Trainer(what or simulated_workload(device), device)
    trainer.move_model()
    trainer.start()
    return trainer


def test_transfer_bytes():
    """All tensors of inputs and targets."""
    what = workload(
        nn.Linear(5, 7),
        {"input": torch.ones(3, 5, dtype=torch.float64)},
        targets=(torch.ones(3, dtype=torch.int32), [torch.ones(2, dtype=torch.bool)]),
    )
    assert (
        moved_bytes(Phase.TRANSFER, trainer_on(SimulatedDevice(SimulatedClock()), what))
        == 3 * 5 * 8 + 3 * 4 + 2
    )


# ---------------------------------------------------------------------------------------------------
# In a run.


def rounds(round_, plan):
    for _ in range(plan.rounds):
        time_round(round_, lambda: 0.0)


def facts_of(what, phase, device=CPU, runner=None, batch_size=1, time_rounds=rounds):
    runner = runner or Runner(Budget(max_time_s=0.02))
    return runner.measure(CaseKey.of("w", batch_size, phase, device.name), device, lambda: what, time_rounds)


@pytest.fixture
def counts(monkeypatch):
    """Collect the workloads that are counted."""
    counted = []

    def note(*args):
        counted.append(args[0])
        return count_flops(*args)

    monkeypatch.setattr(flops, "count_flops", note)
    return counted


# The layer, the loss, and the operator that advances the simulated clock; the step updates a list at once.
FORWARD = {"operators": 3, "moved_bytes": 44}
BACKWARD = {"operators": 4, "moved_bytes": 52}
TRAIN = {"operators": 3 + 4 + 1, "moved_bytes": 44 + 52 + 3 * 12}


def test_facts_of_every_phase():
    device = SimulatedDevice(SimulatedClock())
    runner = Runner(Budget(max_time_s=1e5), device.clock)
    facts = {phase: facts_of(simulated_workload(device), phase, device, runner) for phase in PHASES}
    kept = ("flops", "flops_unknown", "moved_bytes", "operators")
    work = {phase: {key: facts[phase][key] for key in kept if key in facts[phase]} for phase in PHASES}
    assert work == {
        "transfer": {"moved_bytes": (2 + 1) * 4},  # inputs and targets, in float32
        "forward": {"flops": 2 * 2, **FORWARD},
        "backward": {"flops": 2 * 2, **BACKWARD},
        "step": {"moved_bytes": 3 * (2 + 1) * 4, "operators": 1},  # weights and bias of Linear(2, 1)
        "train": {"flops": 2 * (2 * 2), **TRAIN},
        "train_sync": {"flops": 2 * (2 * 2), **TRAIN},
        "train_no_sync": {"flops": 2 * (2 * 2)},
        "infer": {"flops": 2 * 2},
    }
    assert json.loads(json.dumps(work)) == work


def test_facts_on_a_cpu(counts):
    assert facts_of(tiny(2, optimizer="adam"), "step")["moved_bytes"] == 7 * 4 * (10 * 5 + 5 + 5 * 2 + 2)
    assert "moved_bytes" not in facts_of(tiny(2), "transfer")
    assert counts == []  # neither phase has passes


def test_counted_once_per_cell(counts):
    runner = Runner(Budget(max_time_s=0.02))
    for batch_size in (2, 3):
        for device in (CPU, Cpu(1)):
            for phase in PHASES:
                facts_of(tiny(batch_size), phase, device, runner, batch_size)
        assert len(counts) == batch_size - 1


def test_counted_after_the_rounds(counts):
    counted_before = []
    facts_of(tiny(2), "forward", time_rounds=lambda *_: counted_before.append(len(counts)))
    assert counted_before == [0]
    assert len(counts) == 1


def test_counting_is_preparing(monkeypatch):
    device = SimulatedDevice(SimulatedClock())
    runner = Runner(Budget(max_time_s=1e5), device.clock)
    spent = []

    def takes_time(*_):
        spent.append(runner.spent["preparing"])
        device.clock.advance(100.0)
        return Flops(1, 1)

    monkeypatch.setattr(flops, "count_flops", takes_time)
    facts_of(simulated_workload(device), "train", device, runner)
    assert runner.spent["preparing"] == spent[0] + 100.0


def test_uncountable_model_is_tried_once(counts, monkeypatch):
    def fail(*_):
        raise RuntimeError("no such operation\nand a stack")

    monkeypatch.setattr(flops, "_count", fail)
    runner = Runner(Budget(max_time_s=0.02))
    facts = [facts_of(tiny(2), "forward", CPU, runner, batch_size) for batch_size in (1, 2)]
    assert {found["flops_unknown"] for found in facts} == {"RuntimeError: no such operation"}
    assert "flops" not in facts[0]
    assert len(counts) == 1


# ---------------------------------------------------------------------------------------------------
# Models that take long to count.


class Counting:
    """Counts on a clock of its own: each count takes `seconds[batch_size]`, else `usual_s`."""

    def __init__(self, model, loss, usual_s, seconds=None):
        self.model, self.loss, self.usual_s, self.seconds = model, loss, usual_s, seconds or {}
        self.clock = SimulatedClock()
        self.counts = ModelCounts(self.clock)
        self.counted = []

    def workload(self, batch_size):
        made = workload(copy.deepcopy(self.model), torch.ones(batch_size, 3, 4), self.loss)

        def passes_time(*_):
            self.counted.append(batch_size)
            self.clock.advance(self.seconds.get(batch_size, self.usual_s))

        made.model.register_forward_pre_hook(passes_time)
        return made

    def at(self, batch_size):
        return self.counts.at(batch_size, self.workload(batch_size))


def first_output_mean(outputs, _):
    return outputs[0].mean()


class Regularized(nn.Linear):
    """A product of its own weights, beside that of the batch."""

    def forward(self, inputs):
        return super().forward(inputs) + (self.weight @ self.weight.T).sum()


class AllPairs(nn.Linear):
    """A product of all pairs of samples, as contrastive losses have it."""

    def forward(self, inputs):
        outputs = super().forward(inputs).flatten(1)
        return outputs @ outputs.T


BATCHES = (2, 3, 7, 16, 1)
LSTM = nn.LSTM(4, 5, batch_first=True)


@pytest.mark.parametrize(
    ("model", "loss", "expected"),
    [
        (LSTM, first_output_mean, [2, 3]),
        (nn.GRU(4, 5, num_layers=2, batch_first=True), first_output_mean, [2, 3]),
        (nn.Linear(4, 2), lambda outputs, _: outputs.mean(), [2, 3]),
        (Scale(), lambda outputs, _: outputs.mean(), [2, 3]),
        (Regularized(4, 2), lambda outputs, _: outputs.mean(), list(BATCHES)),
        (AllPairs(4, 2), lambda outputs, _: outputs.mean(), list(BATCHES)),
    ],
    ids=["lstm", "gru", "linear", "no products", "regularized", "all pairs"],
)
def test_costly_count_is_scaled_where_that_is_exact(model, loss, expected):
    if isinstance(model, Scale):
        model.factor = nn.Parameter(torch.ones(4))
    counting = Counting(model, loss, usual_s=0.5)
    found = {batch_size: counting.at(batch_size) for batch_size in BATCHES * 2}
    assert counting.counted == expected
    assert found == {batch_size: count_flops(counting.workload(batch_size)) for batch_size in BATCHES}


def test_cheap_count_is_not_scaled():
    """One count that took long, for instance because the machine was busy, does not make a model costly."""
    counting = Counting(LSTM, first_output_mean, usual_s=0.04, seconds={2: 0.5, 7: 0.5})
    for batch_size in BATCHES:
        counting.at(batch_size)
    assert counting.counted == list(BATCHES)


TOO_LONG_S = MAX_COUNT_S * 1.1


def test_too_long_once():
    """A busy moment costs one batch size, not the model."""
    counting = Counting(LSTM, first_output_mean, usual_s=0.5, seconds={2: TOO_LONG_S})
    found = [counting.at(batch_size) for batch_size in BATCHES]
    assert found[0] == counting.at(2) == TOO_LONG
    assert counting.counted == [2, 3, 7]
    assert found[1:] == [count_flops(counting.workload(batch_size)) for batch_size in BATCHES[1:]]


def test_too_long_twice():
    """The model is not tried a third time; what was counted before remains."""
    counting = Counting(LSTM, first_output_mean, usual_s=0.01, seconds={3: TOO_LONG_S, 7: TOO_LONG_S})
    found = [counting.at(batch_size) for batch_size in BATCHES]
    assert counting.counted == [2, 3, 7]
    assert found == [count_flops(counting.workload(2)), *[TOO_LONG] * 4]
    assert counting.at(2) == found[0]


def test_each_model_by_itself(counts, monkeypatch):
    """Axes are part of a model; devices are not."""
    monkeypatch.setattr(flops, "CHEAP_COUNT_S", 0.0)
    runner = Runner(Budget(max_time_s=0.02))
    for width in (4, 5):
        for device in (CPU, Cpu(1)):
            for batch_size in (1, 2, 3):
                case = CaseKey.of("w", batch_size, "train", device.name, axes={"width": width})
                what = workload(nn.Linear(width, 2), torch.ones(batch_size, width))
                found = runner.measure(case, device, lambda what=what: what, rounds)
                assert found["flops"] == 2 * (2 * batch_size * width * 2)
    assert len(counts) == 2 * 2


def test_counting_does_not_train():
    runner = Runner(Budget(max_time_s=0.02))
    what = tiny(2)
    before = [
        tensor.clone() for tensor in (*what.model.parameters(), *tensors_in((what.inputs, what.targets)))
    ]
    first = facts_of(what, "forward", runner=runner)["loss"]
    assert facts_of(what, "train", runner=runner)["loss"] == first
    after = (*what.model.parameters(), *tensors_in((what.inputs, what.targets)))
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
