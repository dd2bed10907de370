"""The step of clipping.py as a Workload."""

from functools import partial

import pytest
import torch
from clipping import BATCH_SIZE, Characters, samples

from breakeven import Workload


@pytest.mark.sweep(batch_size=[BATCH_SIZE])
def bench_clipping(train_benchmark, batch_size):
    train_benchmark(
        lambda: Workload(
            model=Characters(),
            loss=torch.nn.CrossEntropyLoss(),
            optimizer=partial(torch.optim.AdamW, lr=2e-3),
            batches=[samples(batch_size)],
            clip_grad_norm=0.5,
            scheduler=partial(torch.optim.lr_scheduler.ExponentialLR, gamma=0.999),
        )
    )
