"""A transformer encoder: how the break-even depends on the model's width and its optimizer."""

import pytest
import torch
from torch import nn

from breakeven import Workload

OPTIMIZERS = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.01),
    "momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.01, momentum=0.9),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=1e-4),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=1e-4),
    # The same algorithm as a loop over the parameters, as operations on lists of them, and as one kernel:
    "adam_loop": lambda parameters: torch.optim.Adam(parameters, lr=1e-4, foreach=False, fused=False),
    "adam_foreach": lambda parameters: torch.optim.Adam(parameters, lr=1e-4, foreach=True),
    "adam_fused": lambda parameters: torch.optim.Adam(parameters, lr=1e-4, fused=True),
}


class Transformer(nn.Module):
    """Two encoder layers with 4 heads, the mean of their outputs over time, 10 classes."""

    def __init__(self, d_model):
        super().__init__()
        layer = nn.TransformerEncoderLayer(d_model, 4, 4 * d_model, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers=2, enable_nested_tensor=False)
        self.head = nn.Linear(d_model, 10)

    def forward(self, sequence):
        return self.head(self.encoder(sequence).mean(dim=1))


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
    train_benchmark(
        lambda: Workload(
            model=Transformer(d_model),
            loss=nn.CrossEntropyLoss(),
            optimizer=OPTIMIZERS[optimizer],
            inputs=torch.randn(batch_size, length, d_model),
            targets=torch.randint(10, (batch_size,)),
        )
    )
