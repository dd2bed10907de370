"""What the fields of a `Workload` may be."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from breakeven.errors import UsageError
from breakeven.measure.checkpointing import names_of, submodules
from breakeven.measure.tensors import argument_names, flat, is_movable, kind, tensors_in

if TYPE_CHECKING:
    from breakeven.measure.workload import Workload

AUTOCAST = (torch.bfloat16, torch.float16)
"""The dtypes of `torch.autocast`; with another one torch computes as if autocast were off."""

_FLAG = "True or False"
_OWN_STEP = ("accumulate", "clip_grad_norm", "scheduler", "grad_scaler", "closure", "autocast")
"""What a training step of the user's own does itself, or not."""


def check(workload: Workload) -> None:
    """Check every field.

    Raises:
        UsageError: one has an invalid value; the message names it.
    """
    for field, is_right, expected in _fields(workload):
        if not is_right:
            got = _got(field, getattr(workload, field))
            raise UsageError(f"Workload({field}=...) must be {expected}, {got}")
    _check_together(workload)
    for inputs, _ in workload.host_batches if _has_batch(workload) else ():
        if not any(map(is_movable, flat(inputs))):
            field = "batches" if workload.batches else "inputs"
            expected = "a tensor or an object with a method to()"
            raise UsageError(f"Workload({field}=...) must hold {expected}, got {kind(inputs)}")
        _check_host_inputs(workload, inputs)
        if workload.channels_last and not any(map(_is_image, _on_device(workload, inputs))):
            raise UsageError(
                "Workload(channels_last=True) converts 4-dimensional inputs, and none of the inputs has 4 "
                "dimensions; leave it out"
            )
    submodules(workload.model, workload.checkpoint)
    _check_optimizer_names(workload)
    if not any(parameter.requires_grad for parameter in workload.trained()):
        raise UsageError(f"Workload(model={type(workload.model).__name__}) has no parameter to train")
    for tensor in (*workload.trained(), *tensors_in(workload.host_batches)):
        if tensor.device.type != "cpu":
            raise UsageError(
                f"a recipe builds on the host, but a tensor is on {tensor.device}; "
                "remove .to(device), because breakeven moves the workload"
            )


def _fields(workload: Workload) -> Iterator[tuple[str, bool, str]]:
    """Yield each field, whether its value is of the right kind, and the right ones."""
    loss, optimizer, norm = workload.loss, workload.optimizer, workload.clip_grad_norm
    _refuse_made(optimizer)
    yield "model", isinstance(workload.model, nn.Module), "a torch.nn.Module"
    yield (
        "loss",
        loss is None or (callable(loss) and not isinstance(loss, type)),
        "a function, a loss module, or None where the model returns the loss",
    )
    is_mapping = isinstance(optimizer, Mapping) and optimizer and all(map(callable, optimizer.values()))
    yield (
        "optimizer",
        callable(optimizer) or (bool(is_mapping) and workload.training_step is not None),
        "callable, such as torch.optim.Adam, or with training_step a mapping of names of submodules to such",
    )
    yield "batches", _are_pairs(workload.batches), "a list of pairs (inputs, targets)"
    yield (
        "loader",
        workload.loader is None or isinstance(workload.loader, DataLoader) or callable(workload.loader),
        "a torch.utils.data.DataLoader, or a function that returns one",
    )
    for field in ("unpack", "scheduler", "training_step"):
        value = getattr(workload, field)
        yield field, value is None or callable(value), "callable or None"
    yield "accumulate", _is_whole(workload.accumulate) and workload.accumulate > 0, "a whole number from 1"
    yield "clip_grad_norm", norm is None or (_is_number(norm) and norm > 0), "a number above 0, or None"
    yield (
        "grad_scaler",
        isinstance(workload.grad_scaler, bool) or callable(workload.grad_scaler),
        "True, False, or a function of the type of a device that returns a scaler",
    )
    yield (
        "checkpoint",
        callable(workload.checkpoint) or _are_names(workload.checkpoint),
        ("a tuple of names of submodules, such as ('layers.*',), or a function of a submodule"),
    )
    yield "closure", isinstance(workload.closure, bool | None), "True, False or None"
    yield "autocast", workload.autocast in (None, *AUTOCAST), "torch.bfloat16, torch.float16 or None"
    yield "tf32", isinstance(workload.tf32, bool | None), "True, False or None"
    for field in ("compile", "cuda_graph", "fsdp", "single_threaded_backward", "channels_last", "pin_memory"):
        yield field, isinstance(getattr(workload, field), bool), _FLAG


def _got(field: str, value: Any) -> str:
    """Return what a field is instead, for a message: of a list the first wrong item."""
    is_right = {"batches": _is_pair, "checkpoint": _is_name}.get(field)
    if is_right is not None and isinstance(value, tuple | list):
        for index, item in enumerate(value):
            if not is_right(item):
                return f"but {field}[{index}] is {kind(item)}"
    return f"got {kind(value)}"


def _refuse_made(optimizer: Any) -> None:
    for one in optimizer.values() if isinstance(optimizer, Mapping) else (optimizer,):
        if isinstance(one, torch.optim.Optimizer):
            name = type(one).__name__
            name = f"torch.optim.{name}" if hasattr(torch.optim, name) else name
            raise UsageError(
                f"Workload(optimizer=...) must be a function that makes the optimizer, got one that is made "
                f"already; pass the class or partial({name}, lr=0.1)"
            )


def _check_together(workload: Workload) -> None:
    """Check what depends on more than one field."""
    if workload.batches and (workload.inputs is not None or workload.targets is not None):
        raise UsageError("Workload(batches=...) takes the place of inputs and targets; leave these out")
    if not workload.batches and workload.batches != ():
        raise UsageError("Workload(batches=[]) is empty; give at least one pair (inputs, targets)")
    if workload.unpack is not None and workload.loader is None:
        raise UsageError("Workload(unpack=...) has no effect without a loader; give one, or leave it out")
    if not _has_batch(workload) and workload.loader is None:
        raise UsageError("Workload(inputs=...) is missing; give inputs, batches or a loader")
    if workload.grad_scaler and workload.autocast is not torch.float16:
        raise UsageError(
            "Workload(grad_scaler=...) needs autocast=torch.float16, whose small gradients it keeps from "
            f"becoming 0; got autocast={workload.autocast}"
        )
    if workload.targets is not None and workload.loss is None and workload.training_step is None:
        raise UsageError(
            "Workload(targets=...) has no effect without a loss; pass them among the inputs, from which the "
            "model returns the loss, or give a loss"
        )
    if workload.training_step is not None:
        for field in _OWN_STEP:
            if getattr(workload, field) != type(workload).__dataclass_fields__[field].default:
                raise UsageError(
                    f"Workload({field}=...) has no effect with training_step, which does the whole step; "
                    "do it there"
                )


def _check_optimizer_names(workload: Workload) -> None:
    named = dict(workload.model.named_modules())
    for name in workload.optimizer if isinstance(workload.optimizer, Mapping) else ():
        field = f"Workload(optimizer={{{name!r}: ...}})"
        if not name or name not in named:
            raise UsageError(f"{field} must name a submodule of the model: {names_of(workload.model)}")
        if not any(parameter.requires_grad for parameter in named[name].parameters()):
            raise UsageError(f"{field}: that submodule has no parameter to train; leave it out")


def _on_device(workload: Workload, inputs: Any) -> Iterator[Any]:
    """Yield the inputs that are moved to the device."""
    names = argument_names(inputs)
    if not names:
        yield inputs
    for name in names:
        if name not in workload.host_inputs:
            yield from flat(inputs[name])


def _is_image(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.ndim == 4


def _has_batch(workload: Workload) -> bool:
    return bool(workload.batches) or workload.inputs is not None


def _are_pairs(value: Any) -> bool:
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    return is_list and all(map(_is_pair, value))


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2


def _are_names(value: Any) -> bool:
    is_collection = isinstance(value, Collection) and not isinstance(value, str)
    return is_collection and all(map(_is_name, value))


def _is_name(value: Any) -> bool:
    return isinstance(value, str)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def _check_host_inputs(workload: Workload, inputs: Any) -> None:
    names, on_host = argument_names(inputs), workload.host_inputs
    if isinstance(on_host, str) or not isinstance(on_host, Collection):
        raise UsageError(
            f"Workload(host_inputs={on_host!r}) must be a tuple of positions or names, such as ({on_host!r},)"
        )
    for name in on_host:
        if name not in names:
            raise UsageError(
                f"Workload(host_inputs=...): {name!r} is not one of the inputs, which are "
                f"{', '.join(map(repr, names)) or 'a single one'}; name positions of a tuple or keys of "
                "a dict"
            )
