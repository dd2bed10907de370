"""Perceptrons: how the break-even moves with the width of the layers and with the dtype."""

import pytest

from breakeven.measure.workload import mlp


@pytest.mark.sweep("smoke", batch_size=[1, 256], width=[64], depth=[2], dtype=["float32"])
@pytest.mark.sweep(
    batch_size=[1, 16, 64, 256, 1024], width=[64, 256], depth=[2], dtype=["float32", "bfloat16"]
)
@pytest.mark.sweep(
    "full", batch_size=[1, 16, 256, 4096], width=[64, 512, 4096], depth=[2], dtype=["float32", "bfloat16"]
)
@pytest.mark.sweep("variants", batch_size=[64, 1024], width=[512], depth=[2], dtype=["float32", "bfloat16"])
def bench_mlp(train_benchmark, batch_size, width, depth, dtype):
    train_benchmark(lambda: mlp(batch_size, width, depth, dtype=dtype))
