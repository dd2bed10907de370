"""A perceptron in one process, and in a group of one under DistributedDataParallel and FSDP2."""

import pytest
import torch
from torch import nn

from breakeven import Workload


@pytest.mark.sweep(batch_size=[64, 4096], fsdp=[False, True], width=[1024])
def bench_ranks(train_benchmark, batch_size, fsdp, width):
    """Train with and without FSDP2, which `cuda` ignores."""
    hidden = [layer for _ in range(2) for layer in (nn.Linear(width, width), nn.ReLU())]
    train_benchmark(
        lambda: Workload(
            model=nn.Sequential(*hidden, nn.Linear(width, 10)),
            loss=nn.CrossEntropyLoss(),
            optimizer=torch.optim.Adam,
            inputs=torch.randn(batch_size, width),
            targets=torch.randint(10, (batch_size,)),
            fsdp=fsdp,
        )
    )
