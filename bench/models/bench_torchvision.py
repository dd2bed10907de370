"""Models of torchvision: ResNet-18 with a loader of augmented images, and a small vision transformer.

`pytest bench/models --breakeven-sweep=models` measures these and the other models of this folder.
"""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from breakeven import Workload

CLASSES = 10
AUTOCAST = {"float32": None, "bfloat16": torch.bfloat16}  # the weights stay float32
INSTALL = (
    "needs a torchvision built for this torch: pip install torchvision "
    "(beside a torch for CPUs only: --index-url https://download.pytorch.org/whl/cpu)"
)


def library(name):
    """Import a module of torchvision; a case is skipped where it is missing or fails to load."""
    return pytest.importorskip(name, reason=INSTALL, exc_type=Exception)


def resnet18(batch_size, side, **options):
    return Workload(
        model=library("torchvision.models").resnet18(num_classes=CLASSES),
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=1e-3, momentum=0.9),
        inputs=torch.randn(batch_size, 3, side, side),
        targets=torch.randint(CLASSES, (batch_size,)),
        loader=lambda: photos(batch_size, side, workers=2),
        **options,
    )


def photos(batch_size, side, workers):
    """Load 512 generated images of twice that side: cropped, flipped and normalized, as for training."""
    transforms = library("torchvision.transforms.v2")
    augment = transforms.Compose(
        [
            transforms.ToImage(),
            transforms.RandomResizedCrop(side),
            transforms.RandomHorizontalFlip(),
            transforms.ToDtype(torch.float32, scale=True),
            transforms.Normalize(mean=[0.5] * 3, std=[0.25] * 3),
        ]
    )
    images = library("torchvision.datasets").FakeData(512, (3, 2 * side, 2 * side), CLASSES, augment)
    return DataLoader(images, batch_size, shuffle=True, num_workers=workers, drop_last=True)


def vit(batch_size, side):
    return Workload(
        model=library("torchvision.models").VisionTransformer(
            side, patch_size=16, num_layers=6, num_heads=3, hidden_dim=192, mlp_dim=768, num_classes=CLASSES
        ),
        loss=nn.CrossEntropyLoss(label_smoothing=0.1),
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=1e-4),
        inputs=torch.randn(batch_size, 3, side, side),
        targets=torch.randint(CLASSES, (batch_size,)),
    )


@pytest.mark.sweep("models", batch_size=[1, 4, 16], side=[64])
def bench_resnet18(train_benchmark, batch_size, side):
    train_benchmark(lambda: resnet18(batch_size, side))


@pytest.mark.sweep("models", batch_size=[1, 4, 16], side=[64])
def bench_vit(train_benchmark, batch_size, side):
    train_benchmark(lambda: vit(batch_size, side))


@pytest.mark.sweep(
    "variants",
    batch_size=[16],
    side=[64],
    dtype=["float32", "bfloat16"],
    channels_last=[False, True],
    checkpoint=[False, True],
)
def bench_resnet18_variants(train_benchmark, batch_size, side, dtype, channels_last, checkpoint):
    train_benchmark(
        lambda: resnet18(
            batch_size,
            side,
            autocast=AUTOCAST[dtype],
            channels_last=channels_last,
            checkpoint=("layer*",) if checkpoint else (),
        )
    )
