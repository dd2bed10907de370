"""Training steps twice: as a Workload, and as the loop that a user would write of the same step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.functional import softplus
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

from breakeven.measure.workload import Workload
from breakeven.phases import Phase

Loader = Iterable[tuple[torch.Tensor, torch.Tensor]]
Train = Callable[[Loader], None]

DEVICE = "cpu"
CRITERION = nn.CrossEntropyLoss()
SGD = partial(torch.optim.SGD, lr=0.01)
LBFGS = partial(torch.optim.LBFGS, lr=0.1, max_iter=4)
STEP_LR = partial(torch.optim.lr_scheduler.StepLR, step_size=30)
PASSES, BATCHES, MAX_BATCHES = 4, 3, 64


@dataclass(frozen=True)
class Size:
    """A perceptron's width and batch size."""

    width: int
    batch: int


SIZES = {"small": Size(64, 16), "middle": Size(512, 64)}


@dataclass(frozen=True)
class Loop:
    """A loop over batches, and the objects whose state it trains."""

    train: Train
    state: tuple[Any, ...]


@dataclass(frozen=True)
class Field:
    """A field of `Workload`, and its loop.

    Args:
        workload: the Workload of a size.
        loop: returns the loop that trains a model.
        phase: what is timed of both.
        max_steps: the maximum number of steps between two returns to the first step.
    """

    workload: Callable[[Size], Workload]
    loop: Callable[[Any], Loop]
    phase: Phase = Phase.TRAIN
    max_steps: int = 250


def mlp(size: Size) -> nn.Sequential:
    """Return a perceptron with two hidden layers and 10 classes."""
    hidden = [layer for _ in range(2) for layer in (nn.Linear(size.width, size.width), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(size.width, 10))


def cnn(size: Size) -> nn.Sequential:
    """Return a small convolutional network of images of 16 x 16."""
    channels = size.width // 4
    layers = [nn.Conv2d(8, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 3), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def batch(size: Size) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a batch for the perceptron."""
    return torch.randn(size.batch, size.width), torch.randint(10, (size.batch,))


def with_fields(size: Size, *, batches: int = 1, optimizer: Any = SGD, **fields: Any) -> Workload:
    """Return a Workload of the perceptron."""
    model = mlp(size)
    return Workload(model, CRITERION, optimizer, batches=[batch(size) for _ in range(batches)], **fields)


def plain(model: nn.Module) -> Loop:
    optimizer = SGD(model.parameters())

    def train(loader: Loader) -> None:
        for x, y in loader:
            x, y = x.to(DEVICE), y.to(DEVICE)
            optimizer.zero_grad()
            loss = CRITERION(model(x), y)
            loss.backward()
            optimizer.step()

    return Loop(train, (model, optimizer))


def accumulating(model: nn.Module) -> Loop:
    optimizer = SGD(model.parameters())

    def train(loader: Loader) -> None:
        for i, (x, y) in enumerate(loader):
            if i % PASSES == 0:
                optimizer.zero_grad()
            loss = CRITERION(model(x.to(DEVICE)), y.to(DEVICE)) / PASSES
            loss.backward()
            if i % PASSES == PASSES - 1:
                optimizer.step()

    return Loop(train, (model, optimizer))


def clipping(model: nn.Module) -> Loop:
    optimizer = SGD(model.parameters())

    def train(loader: Loader) -> None:
        for x, y in loader:
            x, y = x.to(DEVICE), y.to(DEVICE)
            optimizer.zero_grad()
            loss = CRITERION(model(x), y)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()

    return Loop(train, (model, optimizer))


def scheduled(model: nn.Module) -> Loop:
    optimizer = SGD(model.parameters())
    scheduler = STEP_LR(optimizer)

    def train(loader: Loader) -> None:
        for x, y in loader:
            x, y = x.to(DEVICE), y.to(DEVICE)
            optimizer.zero_grad()
            loss = CRITERION(model(x), y)
            loss.backward()
            optimizer.step()
            scheduler.step()

    return Loop(train, (model, optimizer, scheduler))


def autocast(model: nn.Module) -> Loop:
    optimizer = SGD(model.parameters())

    def train(loader: Loader) -> None:
        for x, y in loader:
            x, y = x.to(DEVICE), y.to(DEVICE)
            optimizer.zero_grad()
            with torch.autocast(DEVICE, dtype=torch.bfloat16):
                loss = CRITERION(model(x), y)
            loss.backward()
            optimizer.step()

    return Loop(train, (model, optimizer))


def scaled(model: nn.Module) -> Loop:
    optimizer = SGD(model.parameters())
    scaler = torch.amp.GradScaler(DEVICE)

    def train(loader: Loader) -> None:
        for x, y in loader:
            x, y = x.to(DEVICE), y.to(DEVICE)
            optimizer.zero_grad()
            with torch.autocast(DEVICE, dtype=torch.float16):
                loss = CRITERION(model(x), y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()

    return Loop(train, (model, optimizer, scaler))


def checkpointed(model: nn.Sequential) -> Loop:
    optimizer = SGD(model.parameters())

    def train(loader: Loader) -> None:
        for x, y in loader:
            x, y = x.to(DEVICE), y.to(DEVICE)
            optimizer.zero_grad()
            for index, layer in enumerate(model):
                x = checkpoint(layer, x, use_reentrant=False) if index in (0, 2) else layer(x)
            loss = CRITERION(x, y)
            loss.backward()
            optimizer.step()

    return Loop(train, (model, optimizer))


def channels_last(model: nn.Module) -> Loop:
    model = model.to(memory_format=torch.channels_last)
    optimizer = SGD(model.parameters())

    def train(loader: Loader) -> None:
        for x, y in loader:
            x, y = x.to(DEVICE, memory_format=torch.channels_last), y.to(DEVICE)
            optimizer.zero_grad()
            loss = CRITERION(model(x), y)
            loss.backward()
            optimizer.step()

    return Loop(train, (model, optimizer))


def with_closure(model: nn.Module) -> Loop:
    optimizer = LBFGS(model.parameters())

    def train(loader: Loader) -> None:
        for x, y in loader:
            x, y = x.to(DEVICE), y.to(DEVICE)

            def closure(x: torch.Tensor = x, y: torch.Tensor = y) -> torch.Tensor:
                optimizer.zero_grad()
                loss = CRITERION(model(x), y)
                loss.backward()
                return loss

            optimizer.step(closure)

    return Loop(train, (model, optimizer))


def gan_step(models: Any, optimizers: Mapping[str, Any], x: torch.Tensor) -> torch.Tensor:
    """Train the discriminator, and then the generator."""
    fake = models["g"](torch.randn(len(x), 16, device=x.device))
    optimizers["d"].zero_grad()
    loss = softplus(-models["d"](x)).mean() + softplus(models["d"](fake.detach())).mean()
    loss.backward()
    optimizers["d"].step()
    optimizers["g"].zero_grad()
    softplus(-models["d"](fake)).mean().backward()
    optimizers["g"].step()
    return loss


def gan(size: Size) -> Workload:
    """Return two networks that are trained against each other."""
    g = nn.Sequential(nn.Linear(16, size.width), nn.ReLU(), nn.Linear(size.width, size.width))
    d = nn.Sequential(nn.Linear(size.width, size.width), nn.ReLU(), nn.Linear(size.width, 1))
    return Workload(
        model=nn.ModuleDict({"g": g, "d": d}),
        optimizer={"g": torch.optim.Adam, "d": torch.optim.Adam},
        inputs=torch.randn(size.batch, size.width),
        training_step=lambda t: gan_step(t.model, t.optimizer, t.inputs),
    )


def against_each_other(models: Any) -> Loop:
    optimizers = {name: torch.optim.Adam(model.parameters()) for name, model in models.items()}

    def train(loader: Loader) -> None:
        for x, _ in loader:
            gan_step(models, optimizers, x.to(DEVICE))

    return Loop(train, (models, *optimizers.values()))


def inferring(model: nn.Module) -> Loop:
    model.eval()

    def infer(loader: Loader) -> None:
        with torch.inference_mode():
            for x, _ in loader:
                outputs = model(x.to(DEVICE))  # noqa: F841, kept until the next ones are there

    return Loop(infer, (model,))


def only_loading(model: nn.Module) -> Loop:
    def load(loader: Loader) -> None:
        for _ in loader:
            pass

    return Loop(load, (model,))


def images(size: Size) -> Workload:
    """Return a convolutional network in `torch.channels_last`."""
    inputs = torch.randn(size.batch, 8, 16, 16)
    return Workload(cnn(size), CRITERION, SGD, inputs, torch.randint(10, (size.batch,)), channels_last=True)


def from_loader(size: Size) -> Workload:
    """Return a Workload whose batches come from a loader without workers."""
    model = mlp(size)
    x, y = batch(Size(size.width, MAX_BATCHES * size.batch))
    return Workload(
        model, CRITERION, SGD, loader=partial(DataLoader, TensorDataset(x, y), batch_size=size.batch)
    )


FIELDS: dict[str, Field] = {
    "none": Field(with_fields, plain),
    "batches": Field(partial(with_fields, batches=BATCHES), plain),
    "accumulate": Field(partial(with_fields, batches=PASSES, accumulate=PASSES), accumulating),
    "clip_grad_norm": Field(partial(with_fields, clip_grad_norm=0.1), clipping),
    "scheduler": Field(partial(with_fields, scheduler=STEP_LR), scheduled),
    "autocast": Field(partial(with_fields, autocast=torch.bfloat16), autocast),
    "grad_scaler": Field(partial(with_fields, autocast=torch.float16, grad_scaler=True), scaled),
    "checkpoint": Field(partial(with_fields, checkpoint=("0", "2")), checkpointed),
    "channels_last": Field(images, channels_last),
    "closure": Field(partial(with_fields, optimizer=LBFGS), with_closure, max_steps=1),
    "training_step": Field(gan, against_each_other),
    "infer": Field(with_fields, inferring, Phase.INFER),
    "load": Field(from_loader, only_loading, Phase.LOAD, MAX_BATCHES),
    "epoch": Field(from_loader, plain, Phase.EPOCH, MAX_BATCHES),
}
