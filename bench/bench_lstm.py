"""A recurrent network: many small steps, one after the other."""

import pytest
import torch
from torch import nn

from breakeven import Workload


class Lstm(nn.Module):
    """One LSTM layer, the mean of its outputs over time, 10 classes."""

    def __init__(self, hidden):
        super().__init__()
        self.lstm = nn.LSTM(hidden, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 10)

    def forward(self, sequence):
        outputs, _ = self.lstm(sequence)
        return self.head(outputs.mean(dim=1))


@pytest.mark.sweep("smoke", batch_size=[1], hidden=[32], length=[8])
@pytest.mark.sweep(batch_size=[1, 4, 16, 64], hidden=[64], length=[32])
@pytest.mark.sweep("full", batch_size=[1, 16, 256, 1024], hidden=[64, 512], length=[64])
@pytest.mark.sweep("variants", batch_size=[16], hidden=[64], length=[32])
def bench_lstm(train_benchmark, batch_size, hidden, length):
    train_benchmark(
        lambda: Workload(
            model=Lstm(hidden),
            loss=nn.CrossEntropyLoss(),
            optimizer=lambda parameters: torch.optim.Adam(parameters, lr=1e-4),
            inputs=torch.randn(batch_size, length, hidden),
            targets=torch.randint(10, (batch_size,)),
        )
    )
