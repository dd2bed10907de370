"""From which batch size, and by how much, an accelerator beats the CPU.

From your training script to a Workload
=======================================

A `Workload` describes one step of your training. breakeven builds it on
each device, repeats the step, and times its phases. Each section below
shows a loop as scripts have it, and the same step as a Workload;
breakeven's tests run both and compare the weights that they train. `pydoc
breakeven.Workload` explains every field. All examples share these lines of
the script:

    from functools import partial
    import torch
    from torch import nn
    from torch.nn.functional import softplus
    from torch.utils.data import DataLoader, TensorDataset
    from breakeven import Workload

    criterion = nn.CrossEntropyLoss()
    device = "cuda" if torch.cuda.is_available() else "cpu"

    def net():
        return nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 4))

    def batch(size):
        return torch.randn(size, 20), torch.randint(4, (size,))

A function in a file `bench/bench_mine.py` measures the Workload, here that
of the first section, for several batch sizes:

    import pytest

    @pytest.mark.sweep(batch_size=[1, 16, 256])
    def bench_plain(train_benchmark, batch_size):
        train_benchmark(lambda: plain(batch_size))

    $ pytest bench --benchmark-json=run.json && breakeven report run.json

What every loop leaves out as a Workload: `.to(device)`, because breakeven
moves copies of the model and of the batch itself; the loop over epochs,
because every step takes the same time; and logging, validation and
checkpoints on disk. The optimizer is given as a function of the parameters,
because each device trains a copy of its own. A case trains on the same
batches again and again, and returns from time to time, untimed, to the
weights after its first step.

Unless a section says otherwise, all of these can be timed: transfer,
forward, backward, step, train, train_sync, infer. Without
--breakeven-phases, it is the first five.

Plain loop
----------

    model = net().to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        x, y = x.to(device), y.to(device)
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()

As a Workload:

    def plain(batch_size):
        return Workload(
            model=net(),
            loss=criterion,
            optimizer=partial(torch.optim.SGD, lr=0.1),
            inputs=torch.randn(batch_size, 20),
            targets=torch.randint(4, (batch_size,)),
        )

`x.to(device)` is timed as `transfer`, the model and the criterion as
`forward`, `loss.backward()` as `backward`, `optimizer.step()` as `step`,
and the loop of whole steps, `zero_grad` included, as `train`. If your loop
reads `loss.item()` in each step, time `train_sync` too.

Accumulation, clipping and a scheduler
--------------------------------------

    model = net().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2)
    for i, (x, y) in enumerate(loader):
        (criterion(model(x.to(device)), y.to(device)) / 4).backward()
        if i % 4 == 3:
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()

As a Workload:

    def accumulation(batch_size):
        return Workload(
            model=net(),
            loss=criterion,
            optimizer=partial(torch.optim.AdamW, lr=1e-3),
            batches=[batch(batch_size) for _ in range(4)],
            accumulate=4,
            clip_grad_norm=1.0,
            scheduler=partial(torch.optim.lr_scheduler.StepLR, step_size=2),
        )

`/ 4` and `if i % 4 == 3` become `accumulate=4`; `batch_size` is that of one
pass, and an optimizer step takes four times as many samples. `train` is the
time of a whole optimizer step: four passes, clipping, and the steps of
optimizer and scheduler. `step` is the part after the last `backward`.
`transfer`, `forward` and `backward` time the last pass. Each of the three
fields works without the others.

Mixed precision with a gradient scaler
--------------------------------------

    model = net().to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler(device)
    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast(device, dtype=torch.float16):
            loss = criterion(model(x.to(device)), y.to(device))
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

As a Workload:

    def mixed(batch_size):
        return Workload(
            model=net(),
            loss=criterion,
            optimizer=partial(torch.optim.SGD, lr=0.1),
            batches=[batch(batch_size)],
            autocast=torch.float16,
            grad_scaler=True,
        )

`autocast` covers the model and the loss. Scaling the loss is timed in
`backward`; `scaler.step` and `scaler.update` are timed in `step`, with
`scaler.unscale_` if `clip_grad_norm` is given. A scaler skips its first
steps while its scale is too large; breakeven times the steps after those.
For bfloat16, write `autocast=torch.bfloat16` and no `grad_scaler`. To sweep
the dtype, make it an argument of the bench function.

An optimizer with a closure: LBFGS
----------------------------------

    model = net().to(device)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=4)
    for x, y in loader:
        x, y = x.to(device), y.to(device)
        def closure():
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            return loss
        optimizer.step(closure)

As a Workload:

    def lbfgs(batch_size):
        return Workload(
            model=net(),
            loss=criterion,
            optimizer=partial(torch.optim.LBFGS, lr=0.5, max_iter=4),
            batches=[batch(batch_size)],
        )

breakeven writes the closure. Forward and backward run inside
`optimizer.step`, as often as the optimizer calls the closure, so `step`
times all of them, and `train` adds the transfer. An optimizer whose `step`
can be called with a closure or without one gets it with `closure=True`.

Timed: transfer, step, train, train_sync, infer

A step of your own: GAN
-----------------------

Where one step is more than a loss and an optimizer, put the loop's body
into a function, if it is not in one already:

    def step(g, d, for_g, for_d, x):
        fake = g(torch.randn(len(x), 8, device=x.device))
        for_d.zero_grad()
        loss = softplus(-d(x)).mean() + softplus(d(fake.detach())).mean()
        loss.backward()
        for_d.step()
        for_g.zero_grad()
        softplus(-d(fake)).mean().backward()
        for_g.step()
        return loss

In a script:

    g, d = nn.Linear(8, 20).to(device), nn.Linear(20, 1).to(device)
    for_g, for_d = (torch.optim.Adam(one.parameters()) for one in (g, d))
    for x in loader:
        step(g, d, for_g, for_d, x.to(device))

As a Workload:

    def gan_step(t):
        return step(*t.model.values(), *t.optimizer.values(), t.inputs)

    def gan(batch_size):
        g, d = nn.Linear(8, 20), nn.Linear(20, 1)
        return Workload(
            model=nn.ModuleDict({"g": g, "d": d}),
            optimizer={"g": torch.optim.Adam, "d": torch.optim.Adam},
            inputs=torch.randn(batch_size, 20),
            training_step=gan_step,
        )

The models become one module, and each optimizer gets the parameters of the
submodule of its name. `training_step` is called with the copies on the
device, and returns the loss, which breakeven compares between devices.
Tensors that the step makes itself belong on `training.device`. The step is
timed as a whole.

Timed: transfer, train, train_sync

DataLoader and epoch
--------------------

    dataset = TensorDataset(*batch(96))

In a script:

    loader = DataLoader(dataset, batch_size=32, num_workers=2)
    model = net().to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        x, y = x.to(device), y.to(device)
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()

As a Workload:

    def loading(batch_size):
        return Workload(
            model=net(),
            loss=criterion,
            optimizer=partial(torch.optim.SGD, lr=0.1),
            loader=partial(DataLoader, dataset, batch_size, num_workers=2),
        )

`for x, y in loader` is timed as `load`, the time to the next batch on the
host; the whole loop, with loading beside training, is `epoch`. The other
phases train on the loader's first batch. A loader that gives something
other than `(inputs, targets)` needs `unpack=`, a function that returns
these. Name the phases: `pytest bench --breakeven-phases=train,load,epoch`.

Timed: transfer, forward, backward, step, train, train_sync, infer, load,
epoch

Inference
---------

    model = net().to(device).eval()
    with torch.inference_mode():
        for x in loader:
            outputs = model(x.to(device))

As a Workload:

    def inference(batch_size):
        return Workload(
            model=net(),
            optimizer=torch.optim.SGD,
            inputs=torch.randn(batch_size, 20),
        )

`infer` is the loop: the transfer of the inputs and the model, in eval mode.
It can be timed for every Workload with a model that is called on its
inputs; one that is also trained needs nothing more. This one, without a
loss, can do nothing else. Name the phase: `pytest bench
--breakeven-phases=infer`.

Timed: transfer, infer

A Lightning module
------------------

    class LitNet(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = net()
        def training_step(self, batch, batch_idx):
            loss = criterion(self.net(batch[0]), batch[1])
            self.log("loss", loss)
            return loss
        def configure_optimizers(self):
            return torch.optim.AdamW(self.parameters(), lr=1e-3)

In a script:

    module = LitNet()
    lightning.Trainer(max_epochs=1).fit(module, loader)

As a Workload:

    class Step(nn.Sequential):
        def forward(self, *batch):
            return self[0].training_step(batch, 0)

    def lightning_net(batch_size):
        module = LitNet()
        module.log = lambda *_, **__: None
        return Workload(
            model=Step(module), inputs=batch(batch_size),
            optimizer=partial(torch.optim.AdamW, lr=1e-3),
        )

`training_step` becomes the forward pass of a module around yours, which
returns the loss, so no `loss` is given; `batch` is its tuple of inputs.
`self.log` needs a Trainer, and does nothing here. `configure_optimizers`
would optimize your own module and not the copy on the device, so repeat its
optimizer (and scheduler). Trainer(accumulate_grad_batches=4,
gradient_clip_val=1.0, precision="16-mixed") is accumulate=4,
clip_grad_norm=1.0, autocast=torch.float16, grad_scaler=True. With manual
optimization, see "A step of your own".

A Hugging Face model
--------------------

    from transformers import BertConfig, BertForSequenceClassification
    config = BertConfig(hidden_size=48, num_hidden_layers=1)

In a script:

    model = BertForSequenceClassification(config).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5)
    for batch in loader:
        batch = {name: tensor.to(device) for name, tensor in batch.items()}
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()

As a Workload:

    def hugging_face(batch_size):
        return Workload(
            model=BertForSequenceClassification(config),
            optimizer=partial(torch.optim.AdamW, lr=5e-5),
            inputs={
                "input_ids": torch.randint(1000, (batch_size, 128)),
                "labels": torch.randint(2, (batch_size,)),
            },
        )

A dict of inputs is passed by name. The model returns its loss, in
`outputs.loss`, so no `loss` is given. transformers' `Trainer` does the same
steps: of its TrainingArguments, gradient_accumulation_steps is
`accumulate`, max_grad_norm is `clip_grad_norm` (1.0 if you did not set it),
bf16 is `autocast=torch.bfloat16`, gradient_checkpointing is
`checkpoint=("bert.encoder.layer.*",)`, and per_device_train_batch_size is
the batch size. `from_pretrained` works as well; breakeven puts the model
into training mode, as the Trainer does.

Names of this package
=====================

Importing breakeven loads neither torch nor pandas; `Workload`, `read_runs`
and `analyze` load what they need when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from breakeven.errors import BreakevenError

if TYPE_CHECKING:
    from breakeven.measure.workload import Workload
    from breakeven.report.report import analyze
    from breakeven.runs.reader import read as read_runs

__all__ = ["BreakevenError", "Workload", "analyze", "read_runs"]

_LAZY = {
    "Workload": ("breakeven.measure.workload", "Workload"),
    "analyze": ("breakeven.report.report", "analyze"),
    "read_runs": ("breakeven.runs.reader", "read"),
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        module, attribute = _LAZY[name]
        return getattr(import_module(module), attribute)
    raise AttributeError(f"module 'breakeven' has no attribute {name!r}")
