"""Ways of being faster: TF32, compiling, CUDA graphs. (Of dtypes speaks mlp, of optimizers transformer.)"""

from dataclasses import replace

import pytest

from breakeven.measure.workload import mlp


@pytest.mark.sweep("variants", batch_size=[16, 1024], width=[1024], tf32=[False, True])
def bench_tf32(train_benchmark, batch_size, width, tf32):
    train_benchmark(lambda: replace(mlp(batch_size, width), tf32=tf32))


@pytest.mark.sweep(
    "variants", batch_size=[16, 1024], width=[512], compile=[False, True], cuda_graph=[False, True]
)
def bench_launches(train_benchmark, batch_size, width, compile, cuda_graph):
    train_benchmark(lambda: replace(mlp(batch_size, width), compile=compile, cuda_graph=cuda_graph))
