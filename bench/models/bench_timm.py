"""A model of timm, by its name there; without `pretrained=True` nothing is downloaded."""

import pytest
import torch
from torch import nn

from breakeven import Workload

INSTALL = (
    "needs timm and a torchvision built for this torch: pip install timm torchvision "
    "(beside a torch for CPUs only: --index-url https://download.pytorch.org/whl/cpu)"
)


def timm_model(name, batch_size, side):
    timm = pytest.importorskip("timm", reason=INSTALL, exc_type=Exception)
    return Workload(
        model=timm.create_model(name, num_classes=10),
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=1e-4),
        inputs=torch.randn(batch_size, 3, side, side),
        targets=torch.randint(10, (batch_size,)),
    )


@pytest.mark.sweep("models", batch_size=[1, 4, 16], name=["convnext_atto"], side=[32])
def bench_timm(train_benchmark, batch_size, name, side):
    train_benchmark(lambda: timm_model(name, batch_size, side))
