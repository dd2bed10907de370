"""The step of scaler.py as a Workload."""

from functools import partial

import pytest
import torch
from scaler import BATCH_SIZE, perceptron, samples

from breakeven import Workload


@pytest.mark.sweep(batch_size=[BATCH_SIZE])
def bench_scaler(train_benchmark, batch_size):
    train_benchmark(
        lambda: Workload(
            model=perceptron(),
            loss=torch.nn.CrossEntropyLoss(),
            optimizer=partial(torch.optim.SGD, lr=0.01),
            batches=[samples(batch_size)],
            autocast=torch.float16,
            grad_scaler=True,
        )
    )
