"""Nested tensors: the inputs and targets of a workload."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import torch
from torch import nn


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """Yield every tensor in nested tuples, lists and mappings, and in the attributes of movable objects."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from tensors_in(item)
    elif is_movable(value) and hasattr(value, "__dict__"):
        yield from tensors_in(vars(value))


def shapes_of(value: Any) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of the tensors in a value, of which nested ones have none."""
    return tuple(() if tensor.is_nested else tuple(tensor.shape) for tensor in tensors_in(value))


def is_movable(value: Any) -> bool:
    """Return whether a value is a tensor, or has its own ``to``: a PackedSequence, a batch of graphs."""
    return callable(getattr(value, "to", None)) and not isinstance(value, nn.Module | type)


def map_tensors(function: Callable[[Any], Any], value: Any) -> Any:
    """Return `value` with `function` applied to every movable in nested tuples, lists and mappings.

    A tensor that requires a gradient becomes a new leaf, so that its gradient stays with the copy. Of other
    movables a shallow copy is passed, because some move in place.
    """
    if isinstance(value, torch.Tensor):
        return function(value.detach()).requires_grad_() if value.requires_grad else function(value)
    if is_movable(value):
        return function(copy.copy(value))
    if isinstance(value, Mapping):
        return {key: map_tensors(function, item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        items = [map_tensors(function, item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def map_inputs(function: Callable[[Any], Any], inputs: Any, on_host: Collection[int | str]) -> Any:
    """Return the inputs of a model like `map_tensors`, without those that stay on the host."""
    if not on_host:
        return map_tensors(function, inputs)
    if isinstance(inputs, Mapping):
        return {key: item if key in on_host else map_tensors(function, item) for key, item in inputs.items()}
    return [item if index in on_host else map_tensors(function, item) for index, item in enumerate(inputs)]


def moved_to(device: torch.device, movable: Any, *, non_blocking: bool) -> Any:
    """Return a movable on a device; `non_blocking` applies where its `to` has such an argument."""
    if non_blocking and (isinstance(movable, torch.Tensor) or _takes_non_blocking(movable.to)):
        return movable.to(device, non_blocking=True)
    return movable.to(device)


def _takes_non_blocking(to: Callable[..., Any]) -> bool:
    parameters = inspect.signature(to).parameters
    return "non_blocking" in parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values())


def pinned(value: Any) -> Any:
    """Return a movable in pinned memory; unchanged if it cannot be pinned."""
    return value.pin_memory() if hasattr(value, "pin_memory") else value


def duplicate(value: Any) -> Any:
    """Return a copy of a movable on the same device."""
    return value.clone() if isinstance(value, torch.Tensor) else copy.deepcopy(value)


def to_channels_last(value: Any) -> Any:
    """Return a 4-dimensional tensor in `torch.channels_last`, and anything else unchanged."""
    is_image = isinstance(value, torch.Tensor) and value.ndim == 4
    return value.to(memory_format=torch.channels_last) if is_image else value


def outputs_of(model: Any, inputs: Any) -> Any:
    """Call a model on its inputs: a mapping by keywords, a tuple or list by position, else as they are."""
    if isinstance(inputs, torch.Tensor):  # first, because it is timed: 1 us is 0.5% of a small step
        return model(inputs)
    if isinstance(inputs, Mapping):
        return model(**inputs)
    if isinstance(inputs, tuple | list) and not is_movable(inputs):
        return model(*inputs)
    return model(inputs)


def argument_names(inputs: Any) -> list[Any]:
    """Return the keys or the positions of a model's arguments; none for a single one."""
    if isinstance(inputs, Mapping):
        return list(inputs)
    return list(range(len(inputs))) if isinstance(inputs, tuple | list) and not is_movable(inputs) else []


def flat(value: Any) -> Iterator[Any]:
    """Yield what is in nested tuples, lists and mappings, movable objects as a whole."""
    if is_movable(value) or not isinstance(value, Mapping | tuple | list):
        yield value
        return
    for item in value.values() if isinstance(value, Mapping) else value:
        yield from flat(item)


def kind(value: Any) -> str:
    """Return what a value is, for a message: a number itself, the type of anything else."""
    if isinstance(value, type):
        return f"the class {value.__name__}; write {value.__name__}(...)"
    if isinstance(value, torch.dtype):
        return str(value)
    if value is None or isinstance(value, int | float):
        return repr(value)
    name = "tensor" if type(value) is torch.Tensor else type(value).__name__
    return f"an {name}" if name[0] in "aeioAEIO" else f"a {name}"
