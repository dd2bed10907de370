"""A recurrent net: many small steps, one after the other."""

import pytest

from breakeven.measure.workload import lstm


@pytest.mark.sweep("smoke", batch_size=[1], hidden=[32], length=[8])
@pytest.mark.sweep(batch_size=[1, 4, 16, 64], hidden=[64], length=[32])
@pytest.mark.sweep("full", batch_size=[1, 16, 256, 1024], hidden=[64, 512], length=[64])
@pytest.mark.sweep("variants", batch_size=[16], hidden=[64], length=[32])
def bench_lstm(train_benchmark, batch_size, hidden, length):
    train_benchmark(lambda: lstm(batch_size, hidden, length))
