"""Perceptrons: how the break-even depends on the width of the layers and on the dtype."""

import pytest
import torch
from torch import nn

from breakeven import Workload

AUTOCAST = {"float32": None, "bfloat16": torch.bfloat16}  # the weights stay float32


def mlp(width, depth):
    hidden = [layer for _ in range(depth) for layer in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(width, 10))


@pytest.mark.sweep("smoke", batch_size=[1, 256], width=[64], depth=[2], dtype=["float32"])
@pytest.mark.sweep(
    batch_size=[1, 16, 64, 256, 1024], width=[64, 256], depth=[2], dtype=["float32", "bfloat16"]
)
@pytest.mark.sweep(
    "full", batch_size=[1, 16, 256, 4096], width=[64, 512, 4096], depth=[2], dtype=["float32", "bfloat16"]
)
@pytest.mark.sweep("variants", batch_size=[64, 1024], width=[512], depth=[2], dtype=["float32", "bfloat16"])
def bench_mlp(train_benchmark, batch_size, width, depth, dtype):
    train_benchmark(
        lambda: Workload(
            model=mlp(width, depth),
            loss=nn.CrossEntropyLoss(),
            optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.01),
            inputs=torch.randn(batch_size, width),
            targets=torch.randint(10, (batch_size,)),
            autocast=AUTOCAST[dtype],
        )
    )
