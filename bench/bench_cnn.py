"""A small convolutional net on square RGB images."""

import pytest
import torch
from torch import nn

from breakeven import Workload


def cnn(channels):
    return nn.Sequential(
        nn.Conv2d(3, channels, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * channels, 10),
    )


@pytest.mark.sweep("smoke", batch_size=[1], channels=[8], side=[16])
@pytest.mark.sweep(batch_size=[1, 4, 16, 64], channels=[16], side=[32])
@pytest.mark.sweep("full", batch_size=[1, 16, 128, 1024], channels=[16, 64], side=[32])
@pytest.mark.sweep("variants", batch_size=[16], channels=[16], side=[32])
def bench_cnn(train_benchmark, batch_size, channels, side):
    train_benchmark(
        lambda: Workload(
            model=cnn(channels),
            loss=nn.CrossEntropyLoss(),
            optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.01),
            inputs=torch.randn(batch_size, 3, side, side),
            targets=torch.randint(10, (batch_size,)),
        )
    )
