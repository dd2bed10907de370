"""A small convolutional net on square images."""

import pytest

from breakeven.measure.workload import cnn


@pytest.mark.sweep("smoke", batch_size=[1], channels=[8], side=[16])
@pytest.mark.sweep(batch_size=[1, 4, 16, 64], channels=[16], side=[32])
@pytest.mark.sweep("full", batch_size=[1, 16, 128, 1024], channels=[16, 64], side=[32])
@pytest.mark.sweep("variants", batch_size=[16], channels=[16], side=[32])
def bench_cnn(train_benchmark, batch_size, channels, side):
    train_benchmark(lambda: cnn(batch_size, channels, side))
