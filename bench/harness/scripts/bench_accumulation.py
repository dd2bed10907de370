"""The step of accumulation.py as a Workload."""

from functools import partial

import pytest
import torch
from accumulation import ACCUMULATE, BATCH_SIZE, Classifier, samples

from breakeven import Workload


@pytest.mark.sweep(batch_size=[BATCH_SIZE])
def bench_accumulation(train_benchmark, batch_size):
    train_benchmark(
        lambda: Workload(
            model=Classifier(),
            loss=torch.nn.CrossEntropyLoss(),
            optimizer=partial(torch.optim.SGD, lr=0.01, momentum=0.9),
            batches=[samples(batch_size) for _ in range(ACCUMULATE)],
            accumulate=ACCUMULATE,
        )
    )
