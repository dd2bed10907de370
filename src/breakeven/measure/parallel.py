"""A rank's trainer: its model exchanges gradients (`Replicas`) or parameters too (`Shards`) with the others.

``train_no_sync`` trains without any of that: each rank does the same computation on its own slice, and what
it learns is its own.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.nn.parallel import DistributedDataParallel

from breakeven.format import joined
from breakeven.hardware.device import Device
from breakeven.measure.outcomes import ALL_TAKE_PART, UnsupportedError
from breakeven.measure.state import local_of
from breakeven.measure.trainer import Trainer
from breakeven.measure.workload import Workload, parameters_of
from breakeven.phases import Phase


class Scheme(Protocol):
    """How the ranks share the training of their modules."""

    def wrap(self, module: nn.Module) -> Any:
        """Return what to call in place of a module."""

    def begin(self) -> None:
        """Undo what an earlier case has left."""

    def hold_back(self, is_on: bool) -> None:
        """Keep the gradients of the next passes on each rank, until they are no longer held back."""

    def stop_sync(self, trained: list[nn.Parameter]) -> None:
        """Communicate no longer, until `begin`; `trained` are the parameters of the optimizer."""

    def zero_grad(self, optimizer: torch.optim.Optimizer) -> None:
        """Set the gradients of the next backward pass to None."""

    @property
    def replicates(self) -> bool:
        """Whether every rank holds all parameters, which must then agree."""


class Replicas:
    """`DistributedDataParallel`: every rank has the model, and all average the gradients.

    Without synchronization (`DistributedDataParallel.no_sync`) nothing is communicated, except the model's
    buffers before the first forward pass.
    """

    replicates = True

    def __init__(self) -> None:
        self._modules: list[DistributedDataParallel] = []
        self._no_sync = ExitStack()

    def wrap(self, module: nn.Module) -> Any:
        """Return the module in a `DistributedDataParallel`; it sends rank 0's weights to all."""
        # Without `device_ids`, the inputs stay where the trainer has put them.
        self._modules.append(DistributedDataParallel(module))
        return self._modules[-1]

    def begin(self) -> None:
        """Synchronize again."""
        self._no_sync.close()

    def hold_back(self, is_on: bool) -> None:
        """Run the next passes within `no_sync`, or outside of it."""
        self._no_sync.close()
        for module in self._modules if is_on else ():
            self._no_sync.enter_context(module.no_sync())

    def stop_sync(self, trained: list[nn.Parameter]) -> None:  # noqa: ARG002 - nothing to do with them
        """Keep each rank's gradients."""
        self.hold_back(True)

    def zero_grad(self, optimizer: torch.optim.Optimizer) -> None:
        """Set all gradients to None."""
        optimizer.zero_grad()


class Shards:
    """`fully_shard` (FSDP2): every rank has a part of each parameter, gradient and optimizer state.

    The blocks of a model are sharded each on its own: the items of its outermost `ModuleList` and
    `Sequential` modules. The rest is one more group, with its root.

    Without synchronization every rank gathers all parameters once, before the first forward pass, and keeps
    them. From then on nothing is communicated: gradients stay whole and are dropped, and the optimizer steps
    the rank's part of the parameters, as it does in ``train``, with gradients of 0.
    """

    replicates = False

    def __init__(self, device: Device) -> None:
        self._mesh = init_device_mesh(device.torch_device.type, (dist.get_world_size(),))
        self._roots: list[Any] = []
        self._blocks: list[Any] = []
        self._is_synced = True
        self._parts: set[int] = set()

    def wrap(self, module: nn.Module) -> Any:
        """Shard the blocks of a module, and the rest of it; return the module."""
        from torch.distributed.fsdp import fully_shard

        for block in _blocks(module):
            self._blocks.append(fully_shard(block, mesh=self._mesh))
        self._roots.append(fully_shard(module, mesh=self._mesh))
        return module

    def begin(self) -> None:
        """Synchronize again, and keep only the rank's part of the parameters."""
        if not self._is_synced:
            self._drop_whole_gradients()
        self._set_sync(True)
        for module in (*self._roots, *self._blocks):
            module.reshard()

    def hold_back(self, is_on: bool) -> None:
        """Keep whole gradients after the next backward passes, or divide them among the ranks again."""
        for root in self._roots:
            root.set_requires_gradient_sync(not is_on)

    def stop_sync(self, trained: list[nn.Parameter]) -> None:
        """Keep all parameters from the next forward pass on, and each rank's gradients."""
        self._set_sync(False)
        for parameter in trained:
            parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
        self._parts = {id(parameter) for parameter in trained}

    def zero_grad(self, optimizer: torch.optim.Optimizer) -> None:
        """Set the gradients to None: those of the parts, or of the whole parameters."""
        if self._is_synced:
            optimizer.zero_grad()
        else:
            self._drop_whole_gradients()

    def _drop_whole_gradients(self) -> None:
        """Drop those of gathered parameters, which the next backward pass would add to."""
        for root in self._roots:
            for parameter in root.parameters():
                if id(parameter) not in self._parts:
                    parameter.grad = None

    def _set_sync(self, is_on: bool) -> None:
        for root in self._roots:
            root.set_requires_gradient_sync(is_on)
            root.set_reshard_after_backward(is_on)
        for block in self._blocks:  # a root keeps its parameters after the forward pass anyway
            block.set_reshard_after_forward(is_on)
        self._is_synced = is_on


class ParallelTrainer(Trainer):
    """The trainer of one rank, which trains on the rank's slice of the batch.

    Args:
        workload: with the rank's slice.
        device: the rank's.
    """

    needs_passes = "the ranks exchange gradients in passes that breakeven does"

    def __init__(self, workload: Workload, device: Device) -> None:
        super().__init__(workload, device)
        self._scheme: Scheme = Shards(device) if workload.fsdp else Replicas()
        self._is_alone = False
        self._pass = 0

    def start(self) -> None:
        """Begin a case; the first one joins the models of the ranks."""
        self._scheme.begin()
        self._is_alone = False
        super().start()

    def prepare(self, phase: Phase, steps: int = 1) -> None:
        """Prepare a phase; that without synchronization from its first round on."""
        if phase.needs_processes and not self._is_alone:
            self._is_alone = True
            self._check_step_is_alone()
            self._scheme.stop_sync(self.trained())
        super().prepare(phase, steps)

    def _check_step_is_alone(self) -> None:
        own = {"clip_grad_norm": self.workload.clip_grad_norm, "grad_scaler": self.workload.grad_scaler}
        needs = [field for field, value in own.items() if value]
        if needs and not self._scheme.replicates:
            raise UnsupportedError(
                f"train_no_sync is not timed: with fsdp, {joined(needs, 2)} needs the gradients of all ranks"
            )

    def zero_grad(self) -> None:
        """Set the gradients to None."""
        self._pass = 0
        self._scheme.zero_grad(self.optimizer)

    def forward(self) -> None:
        """Run a pass; before the last one of a step, its gradients are not exchanged."""
        self._pass += 1
        if self.workload.accumulate > 1 and not self._is_alone:
            self._scheme.hold_back(self._pass < self.workload.accumulate)
        super().forward()

    def state_tensors(self) -> Iterator[torch.Tensor]:
        """Yield the rank's part of what training has computed so far."""
        return map(local_of, super().state_tensors())

    def parameters_text(self) -> str:
        """Return a text that is the same on all ranks if their parameters are.

        It is empty where they may differ: for shards, and without synchronization.
        """
        if self._is_alone or not self._scheme.replicates:
            return ""
        return " ".join(_text(parameter.detach()) for parameter in self.trained())

    def _prepare_model(self) -> None:
        if self.workload.channels_last and not self._scheme.replicates:
            raise UnsupportedError(
                "channels_last=True: FSDP takes contiguous parameters alone; use fsdp=False"
            )
        parts = [one for one in (self._module, self._loss) if isinstance(one, nn.Module)]
        if len(parts) == 2 and len(self.trained()) < sum(len(parameters_of(one, None)) for one in parts):
            raise UnsupportedError(
                f"the loss shares parameters with the model, which {self.device.name} cannot train; let the "
                "model return what the loss needs"
            )
        super()._prepare_model()

    def _after_step(self) -> None:
        """After the first step, check what replicas need: a gradient of each parameter.

        Raises:
            UnsupportedError: one has none. They would average none of the gradients in its bucket.
        """
        if self._scheme.replicates and not self._is_alone and not self.has_stepped:
            modules = [one for one in (self._module, self._loss) if isinstance(one, nn.Module)]
            named = [pair for module in modules for pair in module.named_parameters()]
            unused = [name for name, one in named if one.requires_grad and one.grad is None]
            if unused:
                raise UnsupportedError(f"{joined(unused, 3)} {ALL_TAKE_PART}")
        super()._after_step()

    def _wrapped(self, module: Any) -> Any:
        is_trained = isinstance(module, nn.Module) and any(one.requires_grad for one in module.parameters())
        return self._scheme.wrap(module) if is_trained else module


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the items with parameters of the outermost lists in a module."""
    for child in module.children():
        if isinstance(module, nn.ModuleList | nn.Sequential):
            if next(child.parameters(), None) is not None:
                yield child
        else:
            yield from _blocks(child)


def _text(tensor: torch.Tensor) -> str:
    """Return a short text that depends on every bit of a tensor."""
    data: Any = tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return f"{zlib.crc32(data):x}"
