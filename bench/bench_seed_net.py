"""A network of 67 parameters, so small that launching kernels takes longer than the work."""

import pytest
import torch
from torch import nn

from breakeven import Workload


def batch(size):
    if size == 1:  # the only example in the article that the network comes from
        return torch.arange(1.0, 11.0).reshape(1, 10), torch.tensor([[0.0, 1.0]])
    return torch.randn(size, 10), torch.rand(size, 2)


def seed_net(batch_size):
    model = nn.Sequential(nn.Linear(10, 5), nn.ReLU(), nn.Linear(5, 2))
    inputs, targets = batch(batch_size)
    return Workload(
        model=model,
        loss=nn.MSELoss(),
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.01),
        inputs=inputs,
        targets=targets,
    )


@pytest.mark.sweep("smoke", batch_size=[64])
@pytest.mark.sweep(batch_size=[1, 64, 1024, 16384])
@pytest.mark.sweep("full", batch_size=[1, 16, 256, 4096, 65536])
@pytest.mark.sweep("variants", batch_size=[64])
def bench_seed_net(train_benchmark, batch_size):
    train_benchmark(lambda: seed_net(batch_size))
