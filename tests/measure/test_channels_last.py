"""Weights and inputs in channels-last."""

import dataclasses
from functools import partial

import pytest
import torch
from torch import nn

from breakeven.errors import UsageError
from breakeven.hardware.devices import Cpu
from breakeven.measure.cuda_graphs import GraphedTrainer
from breakeven.measure.simulated import SimulatedClock, SimulatedDevice
from breakeven.measure.workload import Workload, mlp
from breakeven.phases import Phase
from support.small_workloads import ready, train

LAST = torch.channels_last


class Seen(nn.Module):
    """Keeps the inputs of its forward pass."""

    def __init__(self, changes_inputs=False):
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        self.changes_inputs = changes_inputs

    def forward(self, image, flat=None):
        Seen.image, Seen.flat = image, flat
        if self.changes_inputs:
            image.add_(1.0)
        return self.convolution(image).mean((1, 2, 3))


def images(inputs=None, **fields):
    torch.manual_seed(0)
    inputs = torch.randn(2, 3, 8, 8) if inputs is None else inputs
    usual = {"channels_last": True}
    return Workload(
        Seen(), nn.MSELoss(), partial(torch.optim.SGD, lr=0.1), inputs, torch.randn(2), **(usual | fields)
    )


def is_last(tensor):
    return tensor.is_contiguous(memory_format=LAST) and not tensor.is_contiguous()


def test_weights_and_inputs():
    """Also after a return to the first step; the recipe's own stay as they are."""
    trainer = ready(images())
    for _ in range(2):
        trainer.prepare(Phase.TRAIN)
        trainer.run(Phase.TRAIN)
        assert is_last(trainer.model.convolution.weight)
        assert is_last(Seen.image)
        trainer._return_to_first_step() if trainer.has_stepped else None
    assert trainer.workload.inputs.is_contiguous()
    assert trainer.workload.model.convolution.weight.is_contiguous()
    for one, other in zip(
        train(ready(images()), 3), train(ready(images(channels_last=False)), 3), strict=True
    ):
        assert one == pytest.approx(other)


@pytest.mark.parametrize("phase", [Phase.TRANSFER, Phase.TRAIN])
def test_converted_in_each_transfer(phase):
    """Which is a copy on a CPU too; an input that is channels-last already is not copied."""
    trainer = ready(images())
    for _ in range(3):
        trainer.prepare(phase)
        trainer.run(phase)
        assert trainer.batch[0].data_ptr() != trainer.workload.inputs.data_ptr()
    already = images(torch.randn(2, 3, 8, 8).to(memory_format=LAST))
    trainer = ready(already)
    for _ in range(3):
        trainer.prepare(phase)
        trainer.run(phase)
    assert trainer.batch[0] is already.inputs


def test_changed_inputs():
    """A model that changes its inputs gets a new copy in each step, and only one."""
    trainer = ready(dataclasses.replace(images(), model=Seen(changes_inputs=True)))
    before = trainer.workload.inputs.clone()
    for _ in range(3):
        trainer.prepare(Phase.TRAIN)
        trainer.run(Phase.TRAIN)
        assert torch.equal(trainer.batch[0], before + 1)
    assert torch.equal(trainer.workload.inputs, before)


def test_only_images():
    """Of several inputs the 4-dimensional ones that are moved to the device."""
    inputs = {"image": torch.randn(2, 3, 8, 8), "flat": torch.randn(2, 3)}
    trainer = ready(images(inputs))
    train(trainer, 1)
    assert is_last(Seen.image)
    assert Seen.flat is trainer.batch[0]["flat"]


@pytest.mark.parametrize(
    "workload",
    [
        mlp(2, width=4),
        images(
            {"image": torch.randn(2, 3, 8, 8), "flat": torch.randn(2, 3)},
            host_inputs=("image",),
            channels_last=False,
        ),
    ],
    ids=["no image", "on the host"],
)
def test_without_an_image(workload):
    with pytest.raises(UsageError, match="none of the inputs has 4 dimensions; leave it out"):
        dataclasses.replace(workload, channels_last=True)


def test_in_a_graph():
    """The memory that the graph reads is channels-last, and the host batch is copied into it."""
    trainer = GraphedTrainer(images(), SimulatedDevice(SimulatedClock()))
    trainer.start()
    trainer.transfer()
    assert is_last(trainer.batch[0])
    assert torch.equal(trainer.batch[0], trainer.workload.inputs)


def test_without_channels_last():
    trainer = ready(images(channels_last=False), Cpu())
    train(trainer, 1)
    assert Seen.image is trainer.workload.inputs or Seen.image.is_contiguous()
    assert trainer.model.convolution.weight.is_contiguous()


def test_targets_stay_as_they_are():
    targets = torch.randn(2, 3, 8, 8)
    workload = dataclasses.replace(images(), loss=lambda outputs, _: outputs.sum(), targets=targets)
    trainer = ready(workload)
    trainer.transfer()
    assert trainer.batch[1].is_contiguous()
