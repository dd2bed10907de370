"""The net it all began from: so small that launching kernels costs more than the work."""

import pytest

from breakeven.measure.workload import seed_net


@pytest.mark.sweep("smoke", batch_size=[1, 64])
@pytest.mark.sweep(batch_size=[1, 64, 1024, 16384])
@pytest.mark.sweep("full", batch_size=[1, 16, 256, 4096, 65536])
@pytest.mark.sweep("variants", batch_size=[64])
def bench_seed_net(train_benchmark, batch_size):
    train_benchmark(lambda: seed_net(batch_size))
