"""The step of lbfgs.py as a Workload."""

from functools import partial

import pytest
import torch
from lbfgs import BATCH_SIZE, network, samples

from breakeven import Workload


@pytest.mark.sweep(batch_size=[BATCH_SIZE])
def bench_lbfgs(train_benchmark, batch_size):
    train_benchmark(
        lambda: Workload(
            model=network(),
            loss=torch.nn.MSELoss(),
            optimizer=partial(torch.optim.LBFGS, lr=0.2, max_iter=10),
            batches=[samples(batch_size)],
        )
    )
