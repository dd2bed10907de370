"""`Training`, with which the training step of a workload's own is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Training:
    """What `Workload(training_step=...)` is called with, in each step: everything is on the device already.

    A GAN, for instance, whose model has the submodules ``generator`` and ``critic``::

        def training_step(training):
            generator, critic = training.model.generator, training.model.critic
            real, ones = training.inputs, training.targets
            made = generator(torch.randn(len(real), 64, device=training.device))

            training.optimizer["critic"].zero_grad()
            loss = training.loss(critic(real), ones) + training.loss(critic(made.detach()), 0 * ones)
            loss.backward()
            training.optimizer["critic"].step()

            training.optimizer["generator"].zero_grad()
            fooling = training.loss(critic(made), ones)
            fooling.backward()
            training.optimizer["generator"].step()
            return {"critic": loss, "generator": fooling}

        Workload(
            model=Gan(),
            loss=torch.nn.BCEWithLogitsLoss(),
            optimizer={"generator": torch.optim.Adam, "critic": torch.optim.Adam},
            training_step=training_step,
            inputs=images,
            targets=torch.ones(len(images), 1),
        )

    It is read only: assign to variables, as in ``inputs = 1.1 * training.inputs``. Inputs and targets may be
    changed in place, as by ``training.inputs.mul_(1.1)``; a CPU then copies them for each step.

    The step must train these objects, and not those of the recipe, which stay on the host. It returns the
    loss, a scalar tensor, or several in a tuple, a list or a mapping. Their sum is compared between devices;
    it is read after the timed steps, so return tensors and not numbers: ``.item()`` waits for the device.

    Attributes:
        model: the copy of ``Workload(model=...)`` that is trained. With ``compile=True`` it is compiled, and
            so is each submodule that `optimizer` names.
        loss: the copy of ``Workload(loss=...)``, None if there is none.
        optimizer: what ``Workload(optimizer=...)`` returned; of a mapping, a mapping with the same names.
        inputs: the inputs of this step, as ``Workload(inputs=...)`` has them.
        targets: its targets.
        device: where all of these are.
    """

    model: Any
    loss: Any
    optimizer: Any | Mapping[str, Any]
    inputs: Any
    targets: Any
    device: torch.device
