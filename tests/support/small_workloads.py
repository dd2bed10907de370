"""Small workloads, and those of `bench/` in small sizes."""

import importlib.util
from functools import cache, partial
from pathlib import Path

import torch
from torch import nn

from breakeven import Workload
from breakeven.hardware.devices import Cpu
from breakeven.measure.trainer import Trainer
from breakeven.phases import Phase

BENCH = Path(__file__).parents[2] / "bench"

OPTIMIZERS = {
    "sgd": partial(torch.optim.SGD, lr=0.01),
    "momentum": partial(torch.optim.SGD, lr=0.01, momentum=0.9),
    "adam": partial(torch.optim.Adam, lr=1e-4),
    "adamw": partial(torch.optim.AdamW, lr=1e-4),
    "adam_fused": partial(torch.optim.Adam, lr=1e-4, fused=True),
}

PHASES = [phase for phase in Phase if not phase.needs_loader]
"""The phases of a workload without a loader."""

SIZES = {
    "seed_net": {},
    "mlp": {"width": 16, "depth": 3, "dtype": "float32"},
    "cnn": {"channels": 4, "side": 8},
    "transformer": {"d_model": 16, "length": 5, "optimizer": "adam"},
    "lstm": {"hidden": 8, "length": 5},
    "tf32": {"width": 16, "tf32": None},
    "launches": {"width": 16, "compile": False, "cuda_graph": False},
    "backward": {"width": 16, "single_threaded_backward": False},
}
"""Every workload of `bench/`, with small axes."""


def tiny(batch_size, optimizer="sgd"):
    """Two linear layers, 67 parameters."""
    return Workload(
        model=nn.Sequential(nn.Linear(10, 5), nn.ReLU(), nn.Linear(5, 2)),
        loss=nn.MSELoss(),
        optimizer=OPTIMIZERS[optimizer],
        inputs=torch.randn(batch_size, 10),
        targets=torch.rand(batch_size, 2),
    )


@cache
def bench_file(name):
    """The module `bench/bench_NAME.py`."""
    spec = importlib.util.spec_from_file_location(f"bench_{name}", BENCH / f"bench_{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shipped(name, batch_size, **axes):
    """The recipe that `bench/` measures as NAME; axes that are not given are those of `SIZES`."""
    recipes = []
    file = bench_file("variants" if name in ("tf32", "launches", "backward") else name)
    getattr(file, f"bench_{name}")(recipes.append, batch_size, **(SIZES[name] | axes))
    return recipes[0]


def ready(workload, device=None):
    """The trainer of a workload, by default on the CPU, as a case begins with it."""
    trainer = Trainer(workload, device or Cpu())
    trainer.move_model()
    trainer.start()
    return trainer


def train(trainer, steps):
    """Train and return the loss of each step."""
    seen = []
    for _ in range(steps):
        trainer.transfer()
        trainer.zero_grad()
        trainer.forward()
        seen.append(trainer.loss_value())
        trainer.backward()
        trainer.step()
    return seen


def losses(workload, steps, device=None):
    """The loss of each training step of a new workload."""
    return train(ready(workload, device), steps)
