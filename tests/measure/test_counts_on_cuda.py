"""The operators that are counted without a GPU, compared with the kernels that are launched on one."""

from functools import partial

import pytest
import torch
from torch import nn

from breakeven.hardware.devices import parse_device
from breakeven.measure.counts import count_step
from breakeven.measure.trainer import Trainer
from breakeven.measure.workload import Workload, mlp
from breakeven.phases import Phase
from support.known_work import NEEDS_CUDA

pytestmark = list(NEEDS_CUDA)

LAUNCHES = {"cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx"}
MIN_RATIO, MAX_RATIO = 0.7, 2.5
"""Launched kernels for each counted operator: convolutions and norms have two or three."""

ADAM = partial(torch.optim.AdamW, lr=1e-3)


def cnn():
    layers = [nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.Flatten()]
    model = nn.Sequential(*layers, nn.Linear(16 * 28 * 28, 10))
    targets = torch.zeros(8, dtype=torch.int64)
    return Workload(model, nn.CrossEntropyLoss(), ADAM, torch.randn(8, 3, 32, 32), targets)


def encoder(**fields):
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(64, 4, 128, batch_first=True), 4)
    return Workload(model, lambda outputs, _: outputs.sum(), ADAM, torch.randn(8, 32, 64), **fields)


def launched(workload):
    """Return how many kernels the third step launches."""
    device = parse_device("cuda")
    device.initialize()
    trainer = Trainer(workload, device)
    with device.active():
        trainer.move_model()
        trainer.start()
        trainer.whole_step()
        trainer.whole_step()
        device.synchronize()
        with torch.profiler.profile() as profile:
            trainer.whole_step()
            device.synchronize()
    return sum(event.name in LAUNCHES for event in profile.events())


@pytest.mark.parametrize(
    "make",
    [
        partial(mlp, 8, 64),
        cnn,
        encoder,
        partial(encoder, autocast=torch.bfloat16),
        partial(encoder, clip_grad_norm=1.0),
    ],
    ids=["mlp", "cnn", "encoder", "autocast", "clipped"],
)
def test_operators_are_launched_kernels(make):
    workload = make()
    counted = count_step(workload).of(Phase.TRAIN).operators
    assert MIN_RATIO * counted <= launched(workload) <= MAX_RATIO * counted
