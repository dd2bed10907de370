"""Faster forms of one model: TF32, `torch.compile`, CUDA graphs, a backward pass without a second thread.

The sweep `variants` also covers dtypes (in `bench_mlp.py`) and optimizers (in `bench_transformer.py`).
"""

import pytest
import torch
from torch import nn

from breakeven import Workload


def mlp(batch_size, width, **variant):
    hidden = [layer for _ in range(2) for layer in (nn.Linear(width, width), nn.ReLU())]
    return Workload(
        model=nn.Sequential(*hidden, nn.Linear(width, 10)),
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.01),
        inputs=torch.randn(batch_size, width),
        targets=torch.randint(10, (batch_size,)),
        **variant,
    )


@pytest.mark.sweep("variants", batch_size=[16, 1024], width=[1024], tf32=[False, True])
def bench_tf32(train_benchmark, batch_size, width, tf32):
    train_benchmark(lambda: mlp(batch_size, width, tf32=tf32))


@pytest.mark.sweep(
    "variants", batch_size=[16, 1024], width=[512], compile=[False, True], cuda_graph=[False, True]
)
def bench_launches(train_benchmark, batch_size, width, compile, cuda_graph):
    train_benchmark(lambda: mlp(batch_size, width, compile=compile, cuda_graph=cuda_graph))


@pytest.mark.sweep("variants", batch_size=[16], width=[512], single_threaded_backward=[False, True])
def bench_backward(train_benchmark, batch_size, width, single_threaded_backward):
    train_benchmark(lambda: mlp(batch_size, width, single_threaded_backward=single_threaded_backward))
