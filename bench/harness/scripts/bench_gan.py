"""The step of gan.py as a Workload: the loop's body is a function."""

from functools import partial

import pytest
import torch
from gan import BATCH_SIZE, NOISE, discriminator, generator, samples

from breakeven import Workload


def step(training):
    real, device = training.inputs, training.device
    makes, judges = training.model["makes"], training.model["judges"]
    for_makes, for_judges = training.optimizer["makes"], training.optimizer["judges"]
    ones, zeros = torch.ones(len(real), 1, device=device), torch.zeros(len(real), 1, device=device)
    made = makes(torch.randn(len(real), NOISE, device=device))

    for_judges.zero_grad()
    loss = training.loss(judges(real), ones) + training.loss(judges(made.detach()), zeros)
    loss.backward()
    for_judges.step()

    for_makes.zero_grad()
    fooled = training.loss(judges(made), ones)
    fooled.backward()
    for_makes.step()
    return loss, fooled


@pytest.mark.sweep(batch_size=[BATCH_SIZE])
def bench_gan(train_benchmark, batch_size):
    adam = partial(torch.optim.Adam, lr=2e-4)
    train_benchmark(
        lambda: Workload(
            model=torch.nn.ModuleDict({"makes": generator(), "judges": discriminator()}),
            loss=torch.nn.BCEWithLogitsLoss(),
            optimizer={"makes": adam, "judges": adam},
            inputs=samples(batch_size),
            training_step=step,
        )
    )
