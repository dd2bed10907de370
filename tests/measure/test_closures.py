"""Optimizers whose step evaluates the loss itself: LBFGS, and those that look around, such as SAM."""

import dataclasses
from functools import partial

import pytest
import torch
from torch import nn

from breakeven.case import Budget, CaseKey
from breakeven.errors import MeasurementError, RecipeError
from breakeven.hardware.devices import Cpu
from breakeven.measure.closures import MAX_FULL_STEPS, MAX_GROWING_STEPS
from breakeven.measure.cuda_graphs import GraphedTrainer
from breakeven.measure.loss_check import reference_loss
from breakeven.measure.outcomes import UnsupportedError
from breakeven.measure.runner import Runner
from breakeven.measure.simulated import Costs, SimulatedClock, SimulatedDevice, simulated_workload
from breakeven.measure.timing import time_round
from breakeven.measure.trainer import Trainer
from breakeven.measure.workload import Workload
from breakeven.phases import Phase
from support.small_workloads import ready


class Sam(torch.optim.SGD):
    """Steps with the gradients at the place where the loss is the largest nearby: two evaluations a step."""

    @torch.no_grad()
    def step(self, closure):
        evaluate = torch.enable_grad()(closure)
        evaluate()
        parameters = [one for group in self.param_groups for one in group["params"]]
        norm = torch.stack([one.grad.norm() for one in parameters]).norm()
        moves = [0.05 / norm * one.grad for one in parameters]
        torch._foreach_add_(parameters, moves)
        evaluate()
        torch._foreach_sub_(parameters, moves)
        super().step()


class Ignoring(torch.optim.SGD):
    def step(self, closure):
        pass


class OfEpoch(torch.optim.SGD):
    def step(self, epoch):
        pass


class WithDefault(torch.optim.SGD):
    def step(self, closure=None):
        pass


class WithKeyword(torch.optim.SGD):
    def step(self, *, loss):
        pass


class WithTwo(torch.optim.SGD):
    def step(self, closure, epoch):
        pass


class WithoutArgument:
    def __init__(self, parameters):
        self.param_groups = [{"params": parameters}]

    def step(self): ...
    def zero_grad(self): ...


LBFGS = partial(torch.optim.LBFGS, lr=0.1, max_iter=4, history_size=12)
"""Its problem below is far from solved after `MAX_FULL_STEPS`, and its history is full by then."""


def perceptron(optimizer, **fields):
    torch.manual_seed(0)
    return Workload(
        model=nn.Sequential(nn.Linear(10, 5), nn.Tanh(), nn.Linear(5, 2)),
        loss=nn.MSELoss(),
        optimizer=optimizer,
        inputs=torch.randn(16, 10),
        targets=torch.rand(16, 2),
        **fields,
    )


def by_hand(workload, steps, clip=None):
    """The weights after these steps of the usual loop with a closure."""
    model, inputs, targets = workload.model, workload.inputs, workload.targets
    optimizer = workload.optimizer(model.parameters())

    def closure():
        optimizer.zero_grad()
        loss = workload.loss(model(inputs), targets)
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        return loss

    for _ in range(steps):
        optimizer.step(closure)
    return [one.detach() for one in model.parameters()]


def same(tensors, others):
    return all(torch.equal(one, other) for one, other in zip(tensors, others, strict=True))


def rounds(trainer, phase, count, steps=1):
    for _ in range(count):
        trainer.prepare(phase, steps)
        trainer.run(phase, steps)


@pytest.mark.parametrize(
    "fields",
    [
        {"optimizer": LBFGS},
        {"optimizer": partial(torch.optim.LBFGS, line_search_fn="strong_wolfe")},
        {"optimizer": partial(Sam, lr=0.1, momentum=0.9)},
        {"optimizer": partial(torch.optim.SGD, lr=0.1), "closure": True},
        {"optimizer": LBFGS, "clip_grad_norm": 0.01},
        {"optimizer": LBFGS, "checkpoint": ("0",)},
    ],
    ids=["LBFGS", "line search", "SAM", "SGD", "clipped", "checkpointed"],
)
def test_as_by_hand(fields):
    """The weights are those of the usual loop, bit by bit."""
    trainer = ready(perceptron(**fields))
    trainer.whole_step()
    trainer.whole_step()
    assert same(trainer.trained(), by_hand(perceptron(**fields), 2, fields.get("clip_grad_norm")))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler
def test_compiled():
    workload = perceptron(partial(Sam, lr=0.1), compile=True)
    trainer = ready(workload)
    rounds(trainer, Phase.TRAIN, 2)
    for one, other in zip(trainer.trained(), by_hand(workload, 2), strict=True):
        torch.testing.assert_close(one.detach(), other)


@pytest.mark.parametrize(
    ("optimizer", "closure", "message"),
    [
        (
            torch.optim.LBFGS,
            False,
            r"closure=False\): LBFGS.step needs its argument 'closure'; leave closure=False out",
        ),
        (WithoutArgument, True, r"closure=True\): WithoutArgument.step takes no closure"),
        (WithKeyword, None, r"WithKeyword.step needs 'loss', .* call it in a training_step$"),
        (WithTwo, None, r"WithTwo.step needs 'epoch', .* call it in a training_step$"),
    ],
)
def test_closure_that_does_not_fit(optimizer, closure, message):
    with pytest.raises(RecipeError, match=message):
        ready(perceptron(optimizer, closure=closure))


@pytest.mark.parametrize(
    ("fields", "name"),
    [({"accumulate": 2}, "accumulate"), ({"grad_scaler": True, "autocast": torch.float16}, "grad_scaler")],
)
def test_fields_without_a_meaning(fields, name):
    with pytest.raises(RecipeError, match=rf"Workload\({name}=...\): LBFGS does forward and backward inside"):
        ready(perceptron(torch.optim.LBFGS, **fields))


@pytest.mark.parametrize(
    ("optimizer", "closure", "remedy"),
    [
        (Ignoring, None, "if 'closure' is something else, call it in a training_step"),
        (OfEpoch, None, "if 'epoch' is something else, call it in a training_step"),
        (WithDefault, True, "leave closure=True out"),
    ],
)
def test_closure_that_is_not_called(optimizer, closure, remedy):
    trainer = ready(perceptron(optimizer, closure=closure))
    message = rf"{optimizer.__name__}\.step did not call its closure, so nothing was trained; {remedy}$"
    with pytest.raises(MeasurementError, match=message):
        rounds(trainer, Phase.TRAIN, 1)


@pytest.mark.parametrize("phase", [Phase.FORWARD, Phase.BACKWARD])
def test_phases_without_a_meaning(phase):
    trainer = ready(perceptron(torch.optim.LBFGS))
    with pytest.raises(UnsupportedError, match=f"{phase} is not timed: LBFGS does forward and backward"):
        trainer.prepare(phase)


def test_no_graph_of_it():
    trainer = GraphedTrainer(perceptron(torch.optim.LBFGS), SimulatedDevice(SimulatedClock()))
    with pytest.raises(UnsupportedError, match=r"cuda_graph=True captures .* apart, but LBFGS does"):
        trainer.start()


# ---------------------------------------------------------------------------------------------------
# An iterative optimizer repeats one of its first steps.


class Scripted(torch.optim.SGD):
    """Evaluates as often in each of its steps as `calls` has it, then once."""

    def __init__(self, parameters, calls):
        super().__init__(parameters, lr=0.01)
        self.left = list(calls)

    @torch.no_grad()
    def step(self, closure):
        for _ in range(self.left.pop(0) if self.left else 1):
            loss = torch.enable_grad()(closure)()
        super().step()
        return loss


@pytest.mark.parametrize(
    ("calls", "repeated"),
    [
        ([20, 11, 4], 1),
        ([20, 20, 18, 3], 3),
        ([20] * 50, MAX_FULL_STEPS),
        ([23, 24, 21, 12], 3),
        ([3, 1], 1),
    ],
    ids=["already the second", "fourth", "not within the search", "line search", "few"],
)
def test_repeated_step(calls, repeated):
    """It is the last one, of the first few, that evaluates as often as the first; all rounds are that one."""
    workload = perceptron(partial(Scripted, calls=calls))
    trainer = ready(workload)
    rounds(trainer, Phase.TRAIN, 2)
    after = by_hand(perceptron(partial(Scripted, calls=calls)), repeated)
    for _ in range(3):
        trainer.closure.count_again()
        rounds(trainer, Phase.TRAIN, 1)
        assert trainer.closure.calls_per_step == calls[repeated - 1]
        assert same(trainer.trained(), after)


@pytest.mark.parametrize(("history", "length"), [(40, 40), (1000, 4 * MAX_GROWING_STEPS - 5)])
def test_history_of_the_repeated_step(history, length):
    """It is full, unless that takes too many steps: the longer it is, the longer a step takes."""
    trainer = ready(perceptron(partial(LBFGS, history_size=history, lr=1e-4)))
    rounds(trainer, Phase.TRAIN, 2)
    trainer.prepare(Phase.TRAIN)
    (state,) = trainer.optimizer.state.values()
    assert len(state["old_dirs"]) == length


def test_repeated_step_of_lbfgs():
    """With its history as it was before that step."""
    trainer = ready(perceptron(LBFGS))
    after = by_hand(perceptron(LBFGS), MAX_FULL_STEPS)
    rounds(trainer, Phase.STEP, 2)
    for _ in range(3):
        assert same(trainer.trained(), after)
        rounds(trainer, Phase.STEP, 1)


class Lazy(nn.Linear):
    """Keeps what its first forward pass has built."""

    table = None
    built = 0

    def forward(self, inputs):
        if self.table is None:
            self.table = torch.ones(self.out_features)
            Lazy.built += 1
        return super().forward(inputs) * self.table


def test_lazily_built_once(monkeypatch):
    """Also where the first step is the repeated one."""
    monkeypatch.setattr(Lazy, "built", 0)
    optimizer = partial(Scripted, calls=[5, 1])
    trainer = ready(Workload(Lazy(3, 2), nn.MSELoss(), optimizer, torch.ones(4, 3), torch.ones(4, 2)))
    rounds(trainer, Phase.TRAIN, 5)
    assert (trainer.repeats_one_step, Lazy.built) == (True, 1)


def test_fixed_evaluations_repeat_nothing():
    """What evaluates once or twice in each step trains on, as any other optimizer."""
    trainer = ready(perceptron(partial(Sam, lr=0.1)))
    rounds(trainer, Phase.TRAIN, MAX_FULL_STEPS + 4)
    assert same(trainer.trained(), by_hand(perceptron(partial(Sam, lr=0.1)), MAX_FULL_STEPS + 4))
    assert not trainer.repeats_one_step


# ---------------------------------------------------------------------------------------------------
# What is measured of it.


def measured(optimizer, phase="train", **fields):
    """The facts of a case on the simulated device, and the seconds of its rounds."""
    clock = SimulatedClock()
    device = SimulatedDevice(clock)
    seconds = []

    def time_rounds(round_, plan):
        seconds.extend(time_round(round_, clock).latency_s for _ in range(plan.rounds))

    def recipe():
        simulated = simulated_workload(device, Costs())
        return Workload(
            simulated.model, simulated.loss, optimizer, simulated.inputs, torch.ones(1, 1), **fields
        )

    runner = Runner(Budget(max_time_s=1e4, timeout_s=1e9), clock)
    case = CaseKey.of("w", 1, phase, device.name)
    return runner.measure(case, device, recipe, time_rounds), seconds


@pytest.mark.parametrize(
    ("optimizer", "fields", "calls"),
    [
        (partial(Scripted, calls=[20, 20, 5]), {}, 20),
        (partial(Sam, lr=0.01), {}, 2),
        (partial(torch.optim.SGD, lr=0.01), {"closure": True}, 1),
    ],
    ids=["iterative", "SAM", "SGD"],
)
def test_times_and_facts(optimizer, fields, calls):
    """A step takes its evaluations, whose number is recorded; operations are multiplied by it."""
    costs = Costs()
    evaluations_s = calls * (costs.forward + costs.backward)
    one = 2 * 2 * 1  # a product of two numbers by a matrix of one row, in each pass
    facts, seconds = measured(optimizer, "step", **fields)
    assert set(seconds) == {evaluations_s}
    assert (facts["closure_calls"], facts["flops"]) == (calls, calls * 2 * one)
    assert "moved_bytes" not in facts
    facts, seconds = measured(optimizer, "train", **fields)
    assert set(seconds) == {costs.transfer + evaluations_s}
    assert (facts["closure_calls"], facts["flops"]) == (calls, calls * 2 * one)
    assert facts["parts_s"] == {"transfer": costs.transfer, "step": evaluations_s}
    assert facts["steps"] == 1 or calls <= 2
    assert facts["loss_compared"] is True


@pytest.mark.parametrize(("optimizer", "compared"), [(torch.optim.LBFGS, 1), (partial(Sam, lr=0.1), 2)])
def test_compared_losses(optimizer, compared):
    """Those of second evaluations; of an iterative optimizer the first step's, in which rounding grows."""
    seen = []

    def loss(outputs, targets):
        seen.append(nn.functional.mse_loss(outputs, targets))
        return seen[-1]

    trainer = ready(dataclasses.replace(perceptron(optimizer), loss=loss))
    rounds(trainer, Phase.TRAIN, 1)
    assert trainer.loss_value() == seen[1].item() == reference_loss(perceptron(optimizer)).losses[0]
    trainer.prepare(Phase.TRAIN)
    assert trainer.compared_losses == compared


def test_other_optimizers_have_no_closure():
    trainer = Trainer(perceptron(torch.optim.Adam), Cpu())
    trainer.start()
    assert trainer.closure is None
    assert "closure_calls" not in measured(torch.optim.SGD)[0]


def test_inference():
    """It needs no optimizer."""
    costs = Costs()
    assert set(measured(torch.optim.LBFGS, "infer")[1]) == {costs.transfer + costs.forward}


def test_with_a_scheduler():
    """Which follows each step, and wraps the optimizer's own."""
    scheduler = partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5)
    trainer = ready(perceptron(partial(Sam, lr=0.1), scheduler=scheduler))
    rounds(trainer, Phase.TRAIN, 3)
    assert trainer.optimizer.param_groups[0]["lr"] == 0.1 * 0.5**3
    assert ready(perceptron(partial(torch.optim.SGD, lr=0.1), scheduler=scheduler)).closure is None


def test_repeated_step_has_its_schedule_and_batch():
    """Each round has the learning rate and the batch of that step."""
    scheduler = partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5)
    batches = [(torch.full((2, 10), float(value)), torch.ones(2, 2)) for value in range(4)]
    workload = perceptron(partial(Scripted, calls=[5] * 9), scheduler=scheduler)
    trainer = ready(dataclasses.replace(workload, inputs=None, targets=None, batches=batches))
    seen = []
    for _ in range(4):
        rounds(trainer, Phase.TRAIN, 1)
        seen.append((trainer.scheduler.get_last_lr(), trainer.batch[0][0, 0].item()))
    repeated = ([0.01 * 0.5**MAX_FULL_STEPS], (MAX_FULL_STEPS - 1) % 4)
    assert seen == [([0.005], 0.0), *[repeated] * 3]
