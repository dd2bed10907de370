"""A transformer encoder: how the break-even moves with the model's width and its optimizer."""

import pytest

from breakeven.measure.workload import transformer


@pytest.mark.sweep("smoke", batch_size=[1], d_model=[32], length=[16], optimizer=["adam"])
@pytest.mark.sweep(batch_size=[1, 4, 16, 64], d_model=[64], length=[32], optimizer=["adam"])
@pytest.mark.sweep(
    "full", batch_size=[1, 16, 256], d_model=[64, 512], length=[128], optimizer=["adam", "sgd"]
)
@pytest.mark.sweep(
    "variants",
    batch_size=[8],
    d_model=[128],
    length=[32],
    optimizer=["adam_loop", "adam_foreach", "adam_fused"],
)
def bench_transformer(train_benchmark, batch_size, d_model, length, optimizer):
    train_benchmark(lambda: transformer(batch_size, d_model, length, optimizer))
