"""Counts the operators of an accelerator while a step runs on the meta device, where nothing is computed.

What torch would do on a GPU and not on that device is added here: autocast's casts, the launches of an
operator on a list of tensors, and what `fused_operators` replaces.

A tensor of integers can be kept on the host with its data, such as the tokens of a text or a mask, at which
models look. What an operator computes of it and of others is on the meta device.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.flop_counter import conv_flop_count, flop_registry

from breakeven.errors import MeasurementError
from breakeven.hardware.float32 import read_silently
from breakeven.measure.flops import HOST

LISTS = {1: 110, 2: 64, 3: 48, 4: 36}
"""The most tensors that one launch of an operator on lists takes, by the number of lists (torch's
MultiTensorApply.cuh); 30 of more lists."""
MAX_OF_LISTS, CHUNK, MAX_CHUNKS = 30, 65536, 320
"""A launch takes at most `MAX_CHUNKS` pieces of at most `CHUNK` elements."""

_FREE = {
    "detach", "alias", "_unsafe_view", "_reshape_alias", "lift_fresh", "empty", "empty_like", "empty_strided",
    "new_empty", "new_empty_strided", "resize_", "set_", "is_same_size", "_local_scalar_dense",
}  # fmt: skip
"""Operators that launch nothing."""

_GATHERING = {"embedding", "index", "index_select", "gather", "take_along_dim"}
"""Operators that read of their first tensor only as much as they write."""

_LOW = {
    "mm", "addmm", "bmm", "baddbmm", "addbmm", "mv", "addmv", "addr", "convolution",
    "convolution_backward", "_prelu_kernel", "_prelu_kernel_backward",
}  # fmt: skip
"""Operators that autocast runs in its dtype, and their backward passes."""

_FULL = {
    "_log_softmax", "_log_softmax_backward_data", "_softmax", "_softmax_backward_data", "native_layer_norm",
    "native_layer_norm_backward", "native_group_norm", "native_group_norm_backward", "nll_loss_forward",
    "nll_loss_backward", "nll_loss2d_forward", "nll_loss2d_backward", "mse_loss", "mse_loss_backward",
    "smooth_l1_loss", "smooth_l1_loss_backward", "huber_loss", "binary_cross_entropy_with_logits", "pow",
    "exp", "log", "rsqrt", "cumsum", "prod", "norm", "linalg_vector_norm", "softplus", "_cdist_forward",
    "dot", "vdot",
}  # fmt: skip
"""Operators that autocast runs in float32."""


@dataclass
class Counts:
    """What a part of a step does: launched operators, operations by format, and bytes read and written.

    `kernels` are what the device runs one after another, several for an operator such as a recurrent layer's.
    """

    operators: float = 0.0
    kernels: float = 0.0
    flops: Counter[str] = field(default_factory=Counter)
    moved_bytes: float = 0.0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.operators + other.operators,
            self.kernels + other.kernels,
            self.flops + other.flops,
            self.moved_bytes + other.moved_bytes,
        )

    def times(self, factor: float) -> Counts:
        """Return the counts, each multiplied."""
        flops = Counter({name: count * factor for name, count in self.flops.items()})
        return Counts(self.operators * factor, self.kernels * factor, flops, self.moved_bytes * factor)


class OperatorCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up what is launched on a device while the mode is entered, into `counts`.

    Args:
        device: operators on tensors elsewhere do not count.
        autocast: the dtype of autocast, None without.
        check: called before each operator; may raise to end the count.
        keeps_integers: keep tensors of integers on the host that are moved to the meta device.

    Attributes:
        autocast: the dtype in which products are computed now, None for that of their tensors.
    """

    def __init__(
        self,
        device: torch.device,
        autocast: torch.dtype | None,
        check: Callable[[], object],
        *,
        keeps_integers: bool = False,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts = Counts()
        self.device, self.autocast, self._first_autocast = device, autocast, autocast
        self._check, self._keeps_integers = check, keeps_integers
        self._casts: dict[Any, torch.Tensor] = {}
        self._is_paused = False
        backends: Any = torch.backends
        self._tf32 = {
            "mm": bool(read_silently(lambda: backends.cuda.matmul.allow_tf32)),
            "cudnn": read_silently(lambda: backends.cudnn.allow_tf32) is not False,
        }

    def begin_step(self) -> None:
        """Forget the weights that autocast has cast in the step before, and its dtype then."""
        self.autocast = self._first_autocast
        self._casts.clear()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Count nothing for the duration of the block."""
        before, self._is_paused = self._is_paused, True
        try:
            yield
        finally:
            self._is_paused = before

    def add(
        self,
        launched: float,
        flops: float,
        like: torch.Tensor,
        kind: str,
        moved_bytes: float,
        kernels: float | None = None,
    ) -> None:
        """Add an operator's counts; its products are of the format in which `kind` multiplies `like`."""
        self.counts.operators += launched
        self.counts.kernels += launched if kernels is None else kernels
        self.counts.moved_bytes += moved_bytes
        if flops:
            self.counts.flops[self._format(like.dtype, kind)] += round(flops)

    def lowered(self, tensors: Iterable[Any]) -> list[Any]:
        """Return the tensors as autocast passes them to a product; a cast is an operator."""
        return [self._cast(one, self.autocast) for one in tensors]

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._check()
        kwargs = kwargs or {}
        name = func._overloadpacket.__name__
        if self._keeps_integers:
            if name == "_to_copy" and kwargs.get("device") == self.device and _is_data(args[0]):
                return func(*args, **{**kwargs, "device": HOST})  # a copy to the device, as of other tensors
            args, kwargs = self._on_one_device(name, args, kwargs)
        if self._is_paused or name in _FREE or _is_view(func):
            return func(*args, **kwargs)
        if self.autocast is not None:
            args = self._as_autocast(name, args)
        out = func(*args, **kwargs)
        read, written = _tensors((args, kwargs)), _tensors(out)
        if all(map(self._is_counted, (*read, *written))) and (read or written):
            self._add(func, name, args, kwargs, out, read, written)
        return out

    def _is_counted(self, one: torch.Tensor) -> bool:
        return one.device == self.device or (self._keeps_integers and _is_data(one))

    def _on_one_device(
        self, name: str, args: Any, kwargs: Mapping[str, Any]
    ) -> tuple[Any, Mapping[str, Any]]:
        """Return the arguments of an operator, of which none is on the host if another one is not.

        Integers that are counted up on the meta device are on the host, too.
        """
        if name == "arange" and all(isinstance(one, int) for one in args):
            return args, {**kwargs, "device": HOST}
        tensors = _tensors((args, kwargs))
        on_host = [one for one in tensors if one.device == HOST]
        if len(on_host) in (0, len(tensors)):
            return args, kwargs
        moved = {id(one): torch.empty_like(one, device=self.device) for one in on_host}
        found: tuple[Any, Mapping[str, Any]] = tree_map(lambda one: moved.get(id(one), one), (args, kwargs))
        return found

    def _add(
        self, func: Any, name: str, args: Any, kwargs: Any, out: Any, read: list[Any], written: list[Any]
    ) -> None:
        size = sum(map(_bytes, written))
        inputs = read[1:] if name in _GATHERING else read
        moved = size + sum(map(_bytes, inputs)) + (size if name in _GATHERING else 0)
        if func._schema.is_mutable:
            moved += sum(_bytes(one) for one in _mutated(func, args, kwargs) if not written)
        flops = _flops(func, args, kwargs, out)
        kind = "cudnn" if "conv" in name else "mm"
        self.add(_launches(name, args), flops, read[0] if read else written[0], kind, moved)

    def _as_autocast(self, name: str, args: Any) -> Any:
        if name in _LOW:
            return tree_map(lambda one: self._cast(one, self.autocast), args)
        if name not in _FULL:
            return args
        found = tree_map(lambda one: self._cast(one, torch.float32), args)
        # The last argument is the dtype of the forward pass's input, which is a cast one here.
        return (*found[:-1], torch.float32) if name.endswith("softmax_backward_data") else found

    def _cast(self, one: Any, dtype: torch.dtype | None) -> Any:
        is_float = isinstance(one, torch.Tensor) and one.is_floating_point() and one.dtype != torch.float64
        if dtype is None or not is_float or one.dtype == dtype or one.device != self.device:
            return one
        key = (one.untyped_storage()._cdata, one.storage_offset(), one.numel(), dtype)
        if key not in self._casts:
            self.add(1, 0, one, "", _bytes(one) * (1 + dtype.itemsize / one.element_size()))
            self._casts[key] = one
        with self.paused():
            return one.to(dtype)

    def _format(self, dtype: torch.dtype, kind: str) -> str:
        if dtype is torch.float32 and self._tf32.get(kind, False):
            return "tf32"
        return str(dtype).removeprefix("torch.")


def launches(tensors: Iterable[torch.Tensor], lists: int) -> int:
    """Return how often an operator on lists of tensors is launched; `tensors` are those of one list.

    >>> launches([torch.empty(3)] * 111, lists=1), launches([torch.empty(65536 * 321, device="meta")], 2)
    (2, 2)
    """
    sizes = [one.numel() for one in tensors]
    chunks = sum(-(-size // CHUNK) for size in sizes)
    return max(math.ceil(len(sizes) / LISTS.get(lists, MAX_OF_LISTS)), math.ceil(chunks / MAX_CHUNKS), 1)


def _launches(name: str, args: Any) -> int:
    if name == "convolution_backward":
        return sum(map(bool, args[-1]))
    if not name.startswith(("_foreach_", "_fused_", "_amp_foreach_")):
        return 1
    lists = [one for one in args if isinstance(one, list | tuple) and _tensors(one[:1])]
    return launches(lists[0], len(lists)) if lists else 1


def _is_data(one: torch.Tensor) -> bool:
    """Return whether a tensor is of integers on the host."""
    return one.device == HOST and not (one.is_floating_point() or one.is_complex())


@cache
def _is_view(func: Any) -> bool:
    """Return whether an operator returns a part of its input, and launches nothing."""
    return any(one.alias_info is not None and not one.alias_info.is_write for one in func._schema.returns)


def _flops(func: Any, args: Any, kwargs: Mapping[str, Any], out: Any) -> int:
    packet = func._overloadpacket
    if packet is torch.ops.aten.convolution_backward:
        output, inputs, weight, *_, transposed, _padding, _groups, (to_inputs, to_weight, _bias) = args
        of_one = conv_flop_count(inputs.shape, weight.shape, output.shape, transposed)
        return of_one * (int(to_inputs) + int(to_weight))
    formula = flop_registry.get(packet)
    return 0 if formula is None else int(formula(*args, **kwargs, out_val=out))


def _tensors(value: Any) -> list[torch.Tensor]:
    """Return the distinct tensors in a value."""
    found = [one for one in tree_leaves(value) if isinstance(one, torch.Tensor)]
    return list({id(one): one for one in found}.values())


def _mutated(func: Any, args: Any, kwargs: Mapping[str, Any]) -> list[torch.Tensor]:
    written = [one.name for one in func._schema.arguments if one.is_write]
    named = dict(zip((one.name for one in func._schema.arguments), args, strict=False)) | dict(kwargs)
    return _tensors([named.get(name) for name in written])


def _bytes(tensor: torch.Tensor) -> int:
    """Return the bytes of a tensor's elements; an expanded one has only those of its memory."""
    if tensor.layout is not torch.strided:
        raise MeasurementError(f"a tensor of layout {tensor.layout} cannot be counted")
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())
