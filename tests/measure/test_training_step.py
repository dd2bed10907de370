"""A training step of the user's own: what it is given, that it trains it, and what is timed."""

import dataclasses
from functools import partial

import pytest
import torch
from torch import nn

from breakeven.case import Budget, CaseKey
from breakeven.errors import MeasurementError, RecipeError, UsageError
from breakeven.measure.cuda_graphs import GraphedTrainer
from breakeven.measure.flops import count_flops
from breakeven.measure.loss_check import reference_loss
from breakeven.measure.outcomes import UnsupportedError
from breakeven.measure.runner import Runner
from breakeven.measure.simulated import SimulatedClock, SimulatedDevice
from breakeven.measure.timing import time_round
from breakeven.measure.training import Training
from breakeven.measure.workload import Workload
from breakeven.phases import Phase
from support.small_workloads import ready

ADAM = partial(torch.optim.Adam, lr=0.01)


class Gan(nn.Module):
    def __init__(self):
        super().__init__()
        self.generator = nn.Linear(3, 4)
        self.critic = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 1))


def gan_step(training):
    generator, critic = training.model.generator, training.model.critic
    real, ones = training.inputs, training.targets
    made = generator(torch.randn(len(real), 3, device=training.device))
    training.optimizer["critic"].zero_grad()
    loss = training.loss(critic(real), ones) + training.loss(critic(made.detach()), 0 * ones)
    loss.backward()
    training.optimizer["critic"].step()
    training.optimizer["generator"].zero_grad()
    fooling = training.loss(critic(made), ones)
    fooling.backward()
    training.optimizer["generator"].step()
    return {"critic": loss, "generator": fooling}


def gan(**fields):
    torch.manual_seed(0)
    usual = {"optimizer": {"generator": ADAM, "critic": ADAM}, "training_step": gan_step}
    return Workload(
        Gan(),
        loss=nn.BCEWithLogitsLoss(),
        inputs=torch.randn(6, 4),
        targets=torch.ones(6, 1),
        **(usual | fields),
    )


def plain_step(training):
    training.optimizer.zero_grad()
    loss = training.loss(training.model(training.inputs), training.targets)
    loss.backward()
    training.optimizer.step()
    return loss


def plain(training_step=plain_step, **fields):
    torch.manual_seed(0)
    return Workload(
        nn.Linear(4, 2),
        loss=nn.MSELoss(),
        optimizer=ADAM,
        inputs=torch.randn(6, 4),
        targets=torch.randn(6, 2),
        training_step=training_step,
        **fields,
    )


def rounds(trainer, count):
    for _ in range(count):
        trainer.prepare(Phase.TRAIN)
        trainer.run(Phase.TRAIN)


def test_gan_as_by_hand():
    """The weights are those of a loop without breakeven, bit by bit."""
    trainer = ready(gan())
    rounds(trainer, 3)
    workload = gan()
    optimizers = {name: ADAM(getattr(workload.model, name).parameters()) for name in ("generator", "critic")}
    torch.manual_seed(0)
    for _ in range(3):
        gan_step(
            Training(
                workload.model,
                workload.loss,
                optimizers,
                workload.inputs,
                workload.targets,
                torch.device("cpu"),
            )
        )
    for one, other in zip(trainer.trained(), workload.trained(), strict=True):
        assert torch.equal(one, other)


def test_what_it_is_given():
    """The copies, the optimizer of their parameters, the batch on the device; nothing can be replaced."""
    seen = []

    def step(training):
        seen.append(training)
        return plain_step(training)

    trainer = ready(plain(step))
    rounds(trainer, 1)
    (training,) = seen
    assert training.model is trainer.model is not trainer.workload.model
    assert training.loss is not trainer.workload.loss
    assert [id(one) for one in training.optimizer.param_groups[0]["params"]] == list(
        map(id, trainer.trained())
    )
    assert torch.equal(training.inputs, trainer.workload.inputs)
    assert torch.equal(training.targets, trainer.workload.targets)
    assert training.device == torch.device("cpu")
    with pytest.raises(dataclasses.FrozenInstanceError):
        training.model = None


def test_inputs_changed_in_place():
    """A CPU copies them for each step, so that the recipe's own stay as they are."""

    def step(training):
        training.inputs.mul_(1.1)
        return plain_step(training)

    workload = plain(step)
    before = workload.inputs.clone()
    trainer = ready(workload)
    rounds(trainer, 5)
    assert trainer.batch[0] is not workload.inputs  # so `transfer`, which is timed, copies
    assert torch.equal(workload.inputs, before)


def test_returns_to_the_first_step():
    """Both optimizers too, and the random numbers."""
    trainer = ready(gan())
    rounds(trainer, 2)
    trainer.prepare(Phase.TRAIN)
    trainer._return_to_first_step()
    first = [one.detach().clone() for one in trainer.trained()]
    for _ in range(2):
        rounds(trainer, 3)
        trainer._return_to_first_step()
        assert all(torch.equal(one, kept) for one, kept in zip(trainer.trained(), first, strict=True))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"optimizer": {"gen": ADAM}},
            r"optimizer=\{'gen': ...\}\) must name a submodule .*: generator, critic",
        ),
        ({"optimizer": {"": ADAM}}, r"optimizer=\{'': ...\}\) must name a submodule"),
        ({"optimizer": {"critic.1": ADAM}}, r"'critic.1': ...\}\): that submodule has no parameter to train"),
        ({"optimizer": {"critic": 3}}, "optimizer=.* must be callable, .* a mapping of names of submodules"),
        ({"optimizer": {}}, "optimizer=.* must be callable"),
        (
            {"optimizer": {"critic": torch.optim.SGD([torch.zeros(1)])}},
            r"made already; pass the class or partial\(torch.optim.SGD, lr=0.1\)",
        ),
        ({"training_step": None}, "optimizer=.* must be callable"),
        ({"accumulate": 2}, r"accumulate=...\) has no effect with training_step"),
        ({"closure": True}, r"closure=...\) has no effect with training_step"),
    ],
)
def test_invalid_fields(fields, message):
    with pytest.raises(UsageError, match=message):
        gan(**fields)


def test_optimizer_of_another_submodule():
    workload = gan()
    other = workload.model.critic.parameters()
    workload = dataclasses.replace(workload, optimizer={"generator": lambda _: ADAM(other), "critic": ADAM})
    with pytest.raises(
        RecipeError, match=r"'generator': .*: 4 .* do not belong to the submodule generator of"
    ):
        ready(workload)


def recipe_trained(zeroes):
    """A step that captures the recipe's own model and its optimizer, by accident."""
    own = plain()
    optimizer = ADAM(own.model.parameters())

    def step(training):
        loss = own.loss(own.model(training.inputs), training.targets)
        loss.backward()
        optimizer.step()
        if zeroes:
            optimizer.zero_grad()
        return loss

    return dataclasses.replace(own, training_step=step)


def without_step(training):
    return training.loss(training.model(training.inputs), training.targets)


def captured_model(training):
    training.optimizer.zero_grad()
    loss = captured.model(training.inputs).mean()
    loss.backward()
    training.optimizer.step()
    return loss


captured = plain(captured_model)


@pytest.mark.parametrize(
    ("workload", "message"),
    [
        (lambda: recipe_trained(zeroes=False), "training_step trained the recipe's own model"),
        (lambda: recipe_trained(zeroes=True), "training_step trained the recipe's own model"),
        (lambda: captured, "training_step trained the recipe's own model"),
        (lambda: plain(without_step), "training_step changed no parameter of training.model"),
    ],
    ids=["own optimizer", "own optimizer and zero_grad", "own model", "no step"],
)
def test_step_that_trains_something_else(workload, message):
    trainer = ready(workload())
    rounds(trainer, 1)
    with pytest.raises(MeasurementError, match=message):
        trainer.prepare(Phase.TRAIN)


def test_learning_rate_that_begins_at_zero():
    """It trains, though its first step changes nothing."""
    trainer = ready(dataclasses.replace(plain(), optimizer=partial(torch.optim.SGD, lr=0.0)))
    rounds(trainer, 2)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda _: None, "training_step returned None, expected the loss"),
        (lambda _: (), "training_step returned an empty tuple, expected the loss"),
        (
            lambda loss: loss.item(),
            "the loss is a float, expected a tensor with one number; return scalar tensors, without .item",
        ),
        (
            lambda loss: (loss, loss.expand(2)),
            r"the loss is a tensor of shape \(2,\), expected one number; reduce",
        ),
        (lambda loss: loss * float("nan"), "the loss is nan"),
    ],
)
def test_returned_losses(returned, message):
    trainer = ready(plain(lambda training: returned(plain_step(training))))
    with pytest.raises(MeasurementError, match=message):
        _ = rounds(trainer, 1), trainer.loss_value()


@pytest.mark.parametrize(
    "returned", [lambda a, b: (a, b), lambda a, b: [a.detach(), b], lambda a, b: {"a": a, "b": b}]
)
def test_compared_loss_is_the_sum(returned):
    def step(training):
        return returned(plain_step(training), torch.tensor(2.0))

    one, other = reference_loss(plain()), reference_loss(plain(step))
    assert other.losses == tuple(loss + 2.0 for loss in one.losses)


def measured(workload, phase, device, clock):
    seconds = []

    def time_rounds(round_, plan):
        seconds.extend(time_round(round_, clock).latency_s for _ in range(plan.rounds))

    runner = Runner(Budget(max_time_s=100.0, timeout_s=1e9), clock)
    case = CaseKey.of("w", 6, phase, device.name)
    return runner.measure(case, device, lambda: workload, time_rounds), seconds


def test_train_times_the_step():
    """With its transfer, and nothing else."""
    clock = SimulatedClock()
    device = SimulatedDevice(clock)

    def step(training):
        device.enqueue(8.0)
        return plain_step(training)

    facts, seconds = measured(plain(step), "train", device, clock)
    assert set(seconds) == {8.0}
    assert facts["parts_s"] == {"transfer": 0.0, "training_step": 8.0}
    assert facts["flops"] == 2 * 2 * 6 * 4 * 2  # forward, and the gradient of the weights
    assert facts["loss_compared"] is True


@pytest.mark.parametrize("phase", [Phase.FORWARD, Phase.BACKWARD, Phase.STEP, Phase.INFER])
def test_phases_without_a_meaning(phase):
    clock = SimulatedClock()
    device = SimulatedDevice(clock)
    with pytest.raises(UnsupportedError, match=f"{phase} is not timed: training_step does the whole step"):
        measured(plain(), phase, device, clock)
    assert measured(plain(), "transfer", device, clock)[1]


def test_operations_of_the_whole_step():
    """Those of a GAN: the generator's pass, three of the critic, and their gradients."""
    generator, first, second = (2 * 6 * a * b for a, b in ((3, 4), (4, 5), (5, 1)))
    critic = first + second
    critic_alone = 2 * (critic + first + 2 * second)  # no gradient of what the critic is given
    both = critic + 2 * critic + generator  # through the critic, to the weights of the generator
    assert count_flops(gan()).forward == generator + critic_alone + both


def test_operations_of_a_step_that_needs_data():
    assert count_flops(plain(lambda training: plain_step(training).item())) == count_flops(plain())


def test_no_graph_of_it():
    trainer = GraphedTrainer(plain(), SimulatedDevice(SimulatedClock()))
    with pytest.raises(UnsupportedError, match=r"cuda_graph=True captures .*, but training_step does"):
        trainer.start()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler
def test_compiled():
    """The submodules with an optimizer of their own, which the step calls, are compiled."""
    compiled = ready(gan(compile=True))
    rounds(compiled, 2)
    assert compiled.model.critic._compiled_call_impl is not None
    eager = ready(gan())
    rounds(eager, 2)
    for one, other in zip(compiled.trained(), eager.trained(), strict=True):
        torch.testing.assert_close(one, other)
