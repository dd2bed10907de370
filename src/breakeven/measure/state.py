"""The state of training: kept after the first step of a case, and restored in place.

A batch that is learned by heart drives the loss to 0 and an optimizer's averages into subnormal numbers, with
which a CPU computes 1.4 to 2 times more slowly. So a case returns to its first step every few hundred steps.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from functools import partial
from types import FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

ATOMIC = (type, FunctionType, ModuleType)
"""Objects with attributes that are not state; `copy.deepcopy` does not copy them either."""

Restorer = Callable[[], object]

_object: Any = object


class SavedState:
    """The state of models, losses and optimizers, and of whatever they hold as plain attributes.

    `restore` returns to it in place: every object keeps its identity, so what was compiled, captured or
    shared stays valid. State is what `copy.deepcopy` would copy attribute by attribute: tensors, arrays,
    generators, containers, and objects that do not define how they are copied. Iterators and the variables of
    functions are not.

    Tensors are kept on the host, so that they do not count in a device's peak memory.
    """

    def __init__(self, *roots: Any) -> None:
        self._seen: dict[int, Any] = {}  # keeps the objects alive, so that no id is used twice
        self._restorers: list[Restorer] = []
        for root in roots:
            self._keep(root)

    def restore(self) -> None:
        """Return to the state; gradients are not part of it."""
        for restorer in self._restorers:
            restorer()

    def tensors(self) -> Iterator[torch.Tensor]:
        """Yield every tensor that belongs to the state, as it is now."""
        return (value for value in self._seen.values() if isinstance(value, torch.Tensor))

    def _keep(self, value: Any) -> None:
        if id(value) in self._seen or isinstance(value, ATOMIC):
            return
        self._seen[id(value)] = value
        restorer = self._restorer_of(value)
        if restorer is not None:
            self._restorers.append(restorer)

    def _restorer_of(self, value: Any) -> Restorer | None:
        match value:
            case torch.Tensor():
                return _tensor_restorer(local_of(value))
            case torch.Generator():
                return partial(value.set_state, value.get_state())
            case random.Random():
                return partial(value.setstate, value.getstate())
            case np.random.RandomState():
                return partial(value.set_state, value.get_state())
            case np.random.Generator():
                bits = value.bit_generator
                return partial(setattr, bits, "state", bits.state)
            case np.ndarray():
                if value.dtype == object:
                    self._parts(*value.flat)
                return partial(np.copyto, value, value.copy()) if value.flags.writeable else None
            case torch.jit.ScriptModule():  # its attributes belong to the interpreter
                self._parts(*value.parameters(), *value.buffers())
            case MethodType():
                self._parts(value.__self__)
            case partial():
                self._parts(*value.args, *value.keywords.values())
            case tuple():
                self._parts(*value)
            case MutableMapping() | list() | deque() | set():
                return self._container_restorer(value)
            case bytearray():
                return partial(_set_bytes, value, bytes(value))
            case _ if _is_copied_by_attributes(value):
                slots = _slots_of(value)
                self._parts(*slots.values())
                restorer = partial(_set_slots, value, slots)
                if not hasattr(value, "__dict__"):
                    return restorer
                self._restorers.append(restorer)
                return self._container_restorer(vars(value))
        return None

    def _parts(self, *values: Any) -> None:
        for value in values:
            self._keep(value)

    def _container_restorer(self, container: Any) -> Restorer:
        """Return what puts back the items of a container, which themselves are restored in place."""
        items: Any
        if isinstance(container, MutableMapping):
            items = {key: _without_graph(item) for key, item in container.items()}
            self._parts(*items.values())
        else:
            items = [_without_graph(item) for item in container]
            self._parts(*items)
        return partial(_put_back, container, items)


def _put_back(container: Any, items: Any) -> None:
    """Fill a container with its items, unless it holds exactly these: compiled code watches for changes."""
    is_mapping = isinstance(container, MutableMapping)
    pairs = zip(*(_flat(one) for one in (container, items)), strict=False)
    if len(container) == len(items) and all(one is other for one, other in pairs):
        return
    container.clear()
    if is_mapping or isinstance(container, set):
        container.update(items)
    else:
        container.extend(items)


def _flat(container: Any) -> Iterator[Any]:
    """Yield the keys and values of a mapping, or the items of another container."""
    if isinstance(container, MutableMapping):
        yield from container
        yield from container.values()
    else:
        yield from container


def _is_copied_by_attributes(value: Any) -> bool:
    if isinstance(value, nn.Module | torch.optim.Optimizer | SimpleNamespace):
        return True
    kind: Any = type(value)
    return (
        (hasattr(value, "__dict__") or bool(_slots_of(value)))
        and not kind.__module__.startswith(("torch._", "torch.distributed"))
        and not hasattr(kind, "__deepcopy__")
        and kind.__reduce_ex__ is _object.__reduce_ex__
        and kind.__reduce__ is _object.__reduce__
    )


def _slots_of(value: Any) -> dict[str, Any]:
    """Return the attributes of an object that are in ``__slots__``, by name."""
    listed = (vars(kind).get("__slots__", ()) for kind in type(value).__mro__)
    names = [name for slots in listed for name in ([slots] if isinstance(slots, str) else slots)]
    return {name: _without_graph(getattr(value, name)) for name in names if hasattr(value, name)}


def _set_slots(value: Any, slots: Mapping[str, Any]) -> None:
    for name, item in slots.items():
        object.__setattr__(value, name, item)  # a frozen dataclass too


def _set_bytes(value: bytearray, kept: bytes) -> None:
    value[:] = kept


def _without_graph(value: Any) -> Any:
    """Return a computed tensor without the graph that it would keep alive; other values unchanged."""
    if isinstance(value, torch.Tensor) and value.grad_fn is not None:
        return value.detach().clone()
    if isinstance(value, tuple) and any(isinstance(item, torch.Tensor | tuple) for item in value):
        items = [_without_graph(item) for item in value]
        if any(one is not other for one, other in zip(items, value, strict=True)):
            return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def local_of(tensor: Any) -> torch.Tensor:
    """Return the part of a tensor that this process holds: all of it, if it is not sharded."""
    local: torch.Tensor = tensor.detach().to_local() if hasattr(tensor, "to_local") else tensor
    return local


def _tensor_restorer(tensor: torch.Tensor) -> Restorer | None:
    if isinstance(tensor, nn.UninitializedParameter | nn.UninitializedBuffer) or tensor.is_meta:
        return None
    # A sparse or quantized tensor may have no copy on the host.
    kept = tensor.detach().to("cpu", copy=True) if _is_plain(tensor) else tensor.detach().clone()

    def restore() -> None:
        writable = _is_plain(tensor) or tensor.layout == torch.sparse_csr  # whose data cannot be replaced
        if writable and tensor.shape == kept.shape and not tensor.is_inference():
            tensor.detach().copy_(kept)
        else:
            tensor.data = kept.to(tensor.device, copy=True)

    return restore


def _is_plain(tensor: torch.Tensor) -> bool:
    """Return whether a tensor can be written element by element; one that was expanded cannot."""
    is_dense = tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_nested
    return is_dense and all(
        stride > 0 or size < 2 for size, stride in zip(tensor.shape, tensor.stride(), strict=True)
    )
