"""Batches on a CPU are used where they are, unless the model changes one of them."""

from functools import partial

import pytest
import torch
from torch import nn

from breakeven.errors import MeasurementError
from breakeven.hardware.devices import Cpu
from breakeven.measure.loading_trainer import LoadingTrainer
from breakeven.measure.tensors import tensors_in
from breakeven.measure.trainer import Trainer
from breakeven.measure.workload import Workload
from breakeven.phases import Phase


class Changing(nn.Module):
    """A model that calls `change` on its inputs."""

    def __init__(self, change):
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self._change = change

    def forward(self, inputs):
        return self.layer(self._change(inputs))


def batch_of(samples):
    return torch.ones(samples, 2), torch.zeros(samples, 1)


def workload_of(change, *batches, **fields):
    sgd = partial(torch.optim.SGD, lr=0.01)
    return Workload(Changing(change), nn.MSELoss(), sgd, batches=batches, **fields)


def started(workload):
    trainer = Trainer(workload, Cpu())
    trainer.start()
    return trainer


def after(trainer, phase, rounds, steps=1):
    for _ in range(rounds):
        trainer.prepare(phase, steps)
        trainer.run(phase, steps)
    trainer.prepare(phase, steps)
    return trainer


def unchanged(inputs):
    return inputs


def change_the_longer(inputs):
    return inputs.mul_(2) if len(inputs) > 3 else inputs


def ask_for_gradients(inputs):
    return inputs.requires_grad_()


def replace_an_item(inputs):
    inputs["x"] = inputs["x"] / 2
    return inputs["x"]


@pytest.mark.parametrize("phase", [Phase.TRAIN, Phase.FORWARD, Phase.INFER])
@pytest.mark.parametrize("steps", [1, 6])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_later_batch_is_changed(phase, steps, accumulate):
    """Not the first one: the recipe's batches stay as they are."""
    if phase is Phase.FORWARD and steps > 1:
        pytest.skip("a loop")
    batches = [batch_of(2), batch_of(3), batch_of(4)]
    after(started(workload_of(change_the_longer, *batches, accumulate=accumulate)), phase, 7, steps)
    assert all(tensor.unique().tolist() == [1] for tensor, _ in batches)


def through_data(inputs):
    inputs.data.mul_(2)
    return inputs


def through_numpy(inputs):
    inputs.detach().numpy()[:] *= 2
    return inputs


@pytest.mark.parametrize("phase", [Phase.TRAIN, Phase.INFER])
@pytest.mark.parametrize("change", [through_data, through_numpy])
def test_changes_that_torch_does_not_count(phase, change):
    batches = [batch_of(2), batch_of(3)]
    after(started(workload_of(change, *batches)), phase, 5)
    assert all(tensor.unique().tolist() == [1] for tensor, _ in batches)


def test_inputs_that_are_not_numbers_are_not_copied():
    """NaN differs from itself."""
    inputs = torch.full((2, 2), float("nan"))
    trainer = started(workload_of(unchanged, (inputs, torch.zeros(2, 1))))
    after(trainer, Phase.TRAIN, 1)
    trainer.transfer()
    assert trainer.batch[0] is inputs


def test_a_change_in_a_later_step_is_refused():
    calls = []

    def change(inputs):
        calls.append(inputs)
        return inputs.mul_(2) if len(calls) == 4 else inputs

    with pytest.raises(MeasurementError, match="changed its inputs or targets in place, which the first"):
        after(started(workload_of(change, batch_of(2))), Phase.TRAIN, 6)
    assert len(calls) == 4


@pytest.mark.parametrize("phase", [Phase.TRAIN, Phase.INFER])
@pytest.mark.parametrize(
    ("change", "inputs"),
    [(ask_for_gradients, (torch.ones(2, 2),)), (replace_an_item, ({"x": torch.ones(2, 2)},))],
)
def test_changes_that_leave_the_values_alone(phase, change, inputs):
    """A tensor of which gradients are asked collects them; an item of a mapping may be replaced."""
    after(started(workload_of(change, (inputs, torch.zeros(2, 1)))), phase, 3)
    (tensor,) = tensors_in(inputs)
    assert (tensor.grad, tensor.requires_grad, tensor.unique().tolist()) == (None, False, [1])


def test_batches_are_in_place_once_all_were_seen():
    trainer = started(workload_of(unchanged, batch_of(2), batch_of(3)))
    for index, is_same in enumerate([False, False, True, True, True]):
        trainer.prepare(Phase.TRAIN)
        trainer.run(Phase.TRAIN)
        host = trainer.host_batches[index % 2]
        assert (trainer.batch[0] is host[0], trainer.batch[1] is host[1]) == (is_same, is_same), index


def test_a_loop_sees_all_batches_in_one_round():
    trainer = after(started(workload_of(unchanged, batch_of(2), batch_of(3))), Phase.TRAIN, 1, steps=2)
    trainer.run(Phase.TRAIN)
    assert trainer.batch[0] is trainer.host_batches[0][0]
    trainer = after(started(workload_of(unchanged, batch_of(2), batch_of(3))), Phase.INFER, 1, steps=2)
    trainer.run(Phase.INFER)
    assert trainer.batch is trainer.host_batches[0][0]


def test_loaded_batches_are_in_place_after_the_first_round():
    """A loader gives other ones than the workload's own."""
    batches = [batch_of(2), batch_of(3)]
    workload = workload_of(unchanged, *batches, loader=lambda: batches)
    trainer = LoadingTrainer(workload, Cpu())
    trainer.start()
    trainer.batches.begin()
    after(trainer, Phase.EPOCH, 1, steps=1)
    trainer.run(Phase.EPOCH)
    assert trainer.batch[0] is trainer.batches.current[0]


def change_in_training(inputs):
    return inputs.mul_(2) if torch.is_grad_enabled() else inputs


def test_each_case_looks_again():
    """What transfer or inference leaves behind, even in its last round, does not reach the next training."""
    workload = workload_of(change_in_training, batch_of(2))
    trainer = started(workload)
    for phase, rounds in [(Phase.TRANSFER, 3), (Phase.TRAIN, 3), (Phase.INFER, 0), (Phase.TRAIN, 3)]:
        trainer.start()
        after(trainer, phase, rounds)
        trainer.run(phase)
        assert workload.batches[0][0].unique().tolist() == [1], phase


def test_transfer_copies_nothing():
    trainer = started(workload_of(unchanged, batch_of(2)))
    trainer.prepare(Phase.TRANSFER)
    trainer.run(Phase.TRANSFER)
    assert trainer.batch[0] is trainer.host_batches[0][0]
