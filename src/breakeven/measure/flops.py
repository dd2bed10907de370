"""The work in a phase: the floating point operations of its passes, and the bytes that it must move.

Counting could disturb timed rounds, so the runner does it afterwards.
"""

from __future__ import annotations

import math
import time
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any, TypeVar

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from breakeven.case import Cell, Model
from breakeven.errors import MeasurementError
from breakeven.measure.losses import loss_from
from breakeven.measure.optimizers import make_optimizer
from breakeven.measure.settings import settings_kept
from breakeven.measure.state import local_of
from breakeven.measure.tensors import (
    duplicate,
    map_inputs,
    map_tensors,
    outputs_of,
    shapes_of,
    tensors_in,
)
from breakeven.measure.timing import Clock
from breakeven.measure.trainer import Trainer
from breakeven.measure.training import Training
from breakeven.measure.workload import Workload, copy_of, error_line, parameters_of
from breakeven.phases import WHOLE_STEPS, Phase

Found = TypeVar("Found")

META, HOST = torch.device("meta"), torch.device("cpu")
"""Tensors on the first have shapes but no data, so that a pass costs no arithmetic."""

MAX_COUNT_S = 2.0
"""Counting stops after this CPU time; an LSTM takes about 8 ms for each step of its sequence."""

TOO_LONG = f"counting took more than {MAX_COUNT_S:g} s"

CHEAP_COUNT_S = 0.05
"""A model whose count takes less is counted at each batch size."""


@dataclass(frozen=True)
class Flops:
    """Floating point operations of the forward pass with its loss, of the backward pass, and of the loss.

    Of batches of different shapes they are the means, rounded. Those of a training step of the user's own are
    all in `forward`.
    """

    forward: int
    backward: int
    loss: int = 0

    @property
    def infer(self) -> int:
        """Those of the model alone, as inference computes no loss."""
        return self.forward - self.loss

    def of(self, passes: Collection[str]) -> int:
        """Return those of some passes.

        >>> [Flops(3, 4, 1).of(phase.passes) for phase in (Phase.FORWARD, Phase.TRAIN, Phase.INFER)]
        [3, 7, 2]
        """
        return sum(getattr(self, name) for name in passes)


class FlopCounts:
    """Counts each model at each batch size, or scales counts that would take long."""

    def __init__(self, clock: Clock = time.thread_time) -> None:
        self._clock = clock
        self._counts: dict[Model, ModelCounts] = {}

    def facts(
        self, cell: Cell, phase: Phase, workload: Workload, ranks: int = 1, closure_calls: float | None = None
    ) -> dict[str, Any]:
        """Return ``flops``, or ``flops_unknown`` with the reason; nothing for a phase without passes.

        They are those of all `ranks`, each of which does those of `workload`, its slice of the batch. A step
        with a closure has those of each of its `closure_calls`.
        """
        passes, times = phase.passes, workload.accumulate if phase in WHOLE_STEPS else 1.0
        if closure_calls is not None and phase.takes_steps:
            passes, times = Phase.TRAIN.passes, closure_calls
        if not passes:
            return {}
        counts = self._counts.setdefault(cell.model, ModelCounts(self._clock))
        counted = counts.at(cell.batch_size, workload)
        if isinstance(counted, str):
            return {"flops_unknown": counted}
        return {"flops": round(ranks * times * counted.of(passes))}


class ModelCounts:
    """The counts of one model by batch size.

    A recurrent model takes half a second to count, at any batch size. Once two batch sizes of such a model
    have the same operations for each sample, other batch sizes are scaled. A model with operations that do
    not grow with the batch (those on its weights) or grow faster (a product of all pairs of samples) is
    counted at each.

    What cannot be counted at one batch size is not tried at others. Only a count that takes too long, such as
    the first of a process, for which torch loads modules, is followed by another one.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counted: dict[int, Flops | str] = {}
        self._fastest_s = math.inf

    def at(self, batch_size: int, workload: Workload) -> Flops | str:
        """Return the operations at a batch size, or one line that states why they are unknown."""
        if batch_size not in self._counted:
            known = self._failed() or self._scaled(batch_size)
            if known is not None:
                return known
            start = self._clock()
            self._counted[batch_size] = count_flops(workload, self._clock)
            self._fastest_s = min(self._fastest_s, self._clock() - start)
        return self._counted[batch_size]

    def _failed(self) -> str | None:
        reasons = [found for found in self._counted.values() if isinstance(found, str)]
        return None if reasons in ([], [TOO_LONG]) else reasons[-1]

    def _scaled(self, batch_size: int) -> Flops | None:
        counted = {batch: found for batch, found in self._counted.items() if isinstance(found, Flops)}
        rates = {
            tuple(Fraction(count, batch) for count in (found.forward, found.backward, found.loss))
            for batch, found in counted.items()
        }
        if self._fastest_s < CHEAP_COUNT_S or len(counted) < 2 or len(rates) > 1:
            return None
        (rate,) = rates
        return Flops(*(int(count * batch_size) for count in rate))


def count_flops(workload: Workload, clock: Clock = time.thread_time) -> Flops | str:
    """Return the operations of one forward and backward pass, or one line that states why they are unknown.

    `torch.utils.flop_counter` counts the products (linear layers, convolutions, attention), two operations
    for each multiplication and addition, and nothing else: a model without products has 0. It counts a copy
    of the model on the meta device, in training mode, which leaves weights, batch and random state alone.
    On that device an LSTM consists of products, while the CPU has one fused operation that would count as 0.

    The model is counted uncompiled (a compiler may fuse operations or compute them twice), without
    checkpointing (which computes some twice, and does no more of the work that was asked for) and without
    autocast (a dtype does not change the number of operations).

    A model that needs data there (its control flow depends on it, as that of Hugging Face models on an
    attention mask, or its loss has tensors on the host) is counted while it computes on the CPU, within
    `MAX_COUNT_S`.
    """
    return first_count(*(partial(_count, workload, clock, device) for device in (META, HOST)))


def first_count(*attempts: Callable[[], Found], final: Collection[str] = (TOO_LONG,)) -> Found | str:
    """Return the first count that succeeds, or one line that states why the last one did not.

    Args:
        attempts: count on the meta device first, then with data: a model may raise anything without it.
        final: the errors after which no other one is made.
    """
    reason = ""
    with warnings.catch_warnings(), settings_kept():
        warnings.simplefilter("ignore")  # shown by the timed rounds; here they could be errors
        torch.autograd.set_detect_anomaly(False)  # it reads values, which meta tensors do not have
        for count in attempts:
            try:
                return count()
            except Exception as error:
                reason = str(error) if isinstance(error, MeasurementError) else error_line(error)
                if reason in final:
                    break
    return reason


def moved_bytes(phase: Phase, trainer: Trainer) -> int | None:
    """Return the bytes that a phase must move here; None if nothing moves or the number is unknown.

    ``load``: the batch that was taken last. ``transfer``: the host batch, all tensors of inputs and targets,
    the mean of several batches; on a CPU nothing moves. ``step``: `step_bytes`, on every device; unknown with
    a closure, which does the passes too.
    """
    if phase is Phase.TRANSFER and trainer.device.is_accelerator:
        size = _size(tensors_in(trainer.host_batches))
        return None if size is None else round(size / len(trainer.host_batches))
    if phase is Phase.LOAD:
        return _size(tensors_in(trainer.next_host_batch()))
    if phase is not Phase.STEP or trainer.closure is not None:
        return None
    clips, scales = trainer.workload.clip_grad_norm is not None, bool(trainer.workload.grad_scaler)
    return step_bytes(trainer.optimizer, 3 * clips + 2 * scales)


def step_bytes(optimizer: torch.optim.Optimizer, gradient_moves: int = 0) -> int | None:
    """Return the minimum number of bytes that an optimizer's step moves, given its state after a step.

    Every gradient is read once; every parameter that has one, and every tensor of the optimizer's state with
    more than one element, is read and written once. So plain SGD moves three times its parameters' bytes, SGD
    with momentum five times, Adam seven times. None without gradients, or for sparse ones.

    Args:
        optimizer: after a step.
        gradient_moves: how often every gradient is read or written before: 3 times to clip it (it is read for
            the norm, and multiplied in place), 2 times to undo its scaling.
    """
    if not isinstance(optimizer, torch.optim.Optimizer):
        return None  # a wrapper that is not an optimizer
    groups = optimizer.param_groups
    parameters = [one for group in groups for one in group["params"] if one.grad is not None]
    gradients = _size(parameter.grad for parameter in parameters)
    changed = _size([*parameters, *(state for state in tensors_in(optimizer.state) if state.numel() > 1)])
    return None if not gradients or changed is None else (1 + gradient_moves) * gradients + 2 * changed


class _TimeLimit(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Stops a count that takes too long."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._clock = clock
        self._until_s = clock() + MAX_COUNT_S

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self._clock() > self._until_s:
            raise MeasurementError(TOO_LONG)
        return func(*args, **(kwargs or {}))


def _count(workload: Workload, clock: Clock, device: torch.device) -> Flops:
    if device == HOST:
        _without_fused_operations()
    model, loss_of = copy_of(workload)
    model.train()
    for module in (model, loss_of):
        if isinstance(module, nn.Module):
            module.to(device)
    step: Any = workload.training_step
    optimizer = None if step is None else make_optimizer(workload, model, parameters_of(model, loss_of))
    on_device = partial(_on, device)
    batches = workload.host_batches
    one_of_each = {shapes_of(batch): batch for batch in batches}
    shares = {
        shape: Fraction(count, len(batches)) for shape, count in Counter(map(shapes_of, batches)).items()
    }
    forward, backward, of_loss = Fraction(), Fraction(), Fraction()
    with _TimeLimit(clock):
        for shape, (inputs, targets) in one_of_each.items():
            with FlopCounterMode(display=False, custom_mapping=_FORMULAS) as counter:
                moved = map_inputs(on_device, inputs, workload.host_inputs), map_tensors(on_device, targets)
                if step is not None:
                    step(Training(model, loss_of, optimizer, *moved, device))
                    forward += shares[shape] * counter.get_total_flops()
                    continue
                outputs = outputs_of(model, moved[0])
                of_model = counter.get_total_flops()
                loss = loss_from(loss_of, outputs, moved[1])
                if loss.device != device:
                    raise MeasurementError(
                        f"the loss is on {loss.device} though everything was moved to {device}"
                    )
                of_pass = counter.get_total_flops()
                forward += shares[shape] * of_pass
                of_loss += shares[shape] * (of_pass - of_model)
                loss.backward()
                backward += shares[shape] * (counter.get_total_flops() - of_pass)
    return Flops(round(forward), round(backward), round(of_loss))


def _without_fused_operations() -> None:
    """Let recurrent layers and attention consist of products on the CPU, too."""
    backends: Any = torch.backends
    backends.mkldnn.enabled = False
    backends.cuda.enable_flash_sdp(False)  # that of CPUs as well


def _convolution_backward(output: Any, inputs: Any, weight: Any, *arguments: Any, **_: Any) -> int:
    """Return the operations of a convolution's backward pass, given shapes: for each gradient its forward's.

    torch's own formula multiplies those of a weight in groups by the number of groups.
    """
    *_others, transposed, _padding, _groups, (to_inputs, to_weight, _) = arguments
    return conv_flop_count(inputs, weight, output, transposed) * (int(to_inputs) + int(to_weight))


_FORMULAS = {torch.ops.aten.convolution_backward: _convolution_backward}


def _on(device: torch.device, movable: Any) -> Any:
    if isinstance(movable, torch.Tensor) and device == META:
        return torch.empty_like(movable, device=META)
    return duplicate(movable.to(device))


def _size(tensors: Iterable[torch.Tensor]) -> int | None:
    """Return the bytes of all elements in this process; None where a tensor is not dense."""
    sizes = [
        tensor.numel() * tensor.element_size() if tensor.layout == torch.strided else None
        for tensor in map(local_of, tensors)
    ]
    return None if None in sizes else sum(size or 0 for size in sizes)
