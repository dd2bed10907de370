"""What torch does otherwise on a GPU than on the meta device, and is replaced while a step is counted.

Recurrent layers, attention, dropout and optimizers are one operator, or few. Autocast casts the inputs of
convolutions before it checks their dtypes, and the meta device has no autocast at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

from breakeven.measure.flops import step_bytes
from breakeven.measure.operators import OperatorCounter, launches

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
"""torch's recurrent layers, each with the numbers that it keeps of a hidden unit for its backward pass."""
RNN_LAUNCHES = 6
"""The operators that a pass of a layer of cuDNN counts as, in each direction."""

CONVOLUTIONS = tuple(f"conv{kind}{rank}d" for kind in ("", "_transpose") for rank in (1, 2, 3))


class _Fused(torch.autograd.Function):
    """One operator with outputs of known shapes; `charge` adds a pass's counts: 1 forward, 2 backward."""

    @staticmethod
    def forward(ctx: Any, counter: OperatorCounter, charge: Any, make: Any, *tensors: Any) -> Any:
        ctx.counter, ctx.charge = counter, charge
        ctx.save_for_backward(*tensors)
        charge(1)
        with counter.paused():
            return make()

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        ctx.charge(2)
        with ctx.counter.paused():
            needed = zip(ctx.saved_tensors, ctx.needs_input_grad[3:], strict=True)
            grads = [torch.zeros_like(one) if is_needed else None for one, is_needed in needed]
            return None, None, None, *grads


fuse: Any = _Fused.apply


@contextmanager
def replaced(counter: OperatorCounter) -> Iterator[None]:
    """Let all that a GPU does otherwise count as it does there."""
    with ExitStack() as stack:

        def put(owner: Any, name: str, value: Any) -> None:
            stack.enter_context(patch.object(owner, name, value, create=True))

        for name in GATES:
            put(torch._VF, name, _recurrent(counter, name))
        for name in CONVOLUTIONS:
            put(nn.functional, name, _lowered(counter, getattr(nn.functional, name)))
        put(torch._VF, "dropout", _dropout)
        put(nn.functional, "scaled_dot_product_attention", _attention(counter))
        put(nn.utils.clip_grad, "_has_foreach_support", lambda *_: True)
        for name, method in _autocast(counter).items():
            put(torch.autocast, name, method)
        yield


def _dropout(inputs: torch.Tensor, part: float, is_training: bool) -> torch.Tensor:
    is_fused = is_training and 0 < part < 1 and inputs.numel() > 0
    return (
        torch.native_dropout(inputs, part, True)[0] if is_fused else torch.dropout(inputs, part, is_training)
    )


def _lowered(counter: OperatorCounter, function: Any) -> Callable[..., Any]:
    def run(*arguments: Any, **named: Any) -> Any:
        values = counter.lowered([*arguments, *named.values()])
        return function(*values[: len(arguments)], **dict(zip(named, values[len(arguments) :], strict=True)))

    return run


def _autocast(counter: OperatorCounter) -> dict[str, Callable[..., Any]]:
    """Return methods of `torch.autocast` that set the counter's dtype, also for the device's type ``cuda``.

    After the outermost region the dtype stays: the backward pass computes in it, too.
    """

    def init(
        region: Any, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: Any = None
    ) -> None:
        del cache_enabled
        region.is_ours = device_type in ("cuda", counter.device.type)
        region.device, region.fast_dtype = device_type, dtype or _low_dtype(device_type)
        region.dtype = region.fast_dtype if enabled else None
        if device_type == "cpu" and not enabled:  # as checkpointing restores what the CPU had
            region.is_ours = False

    def enter(region: Any) -> Any:
        if region.is_ours:
            depth.append(counter.autocast)
            counter.autocast = region.dtype
        return region

    def leave(region: Any, *_: object) -> None:
        if region.is_ours:
            before = depth.pop()
            if depth or before is not None:
                counter.autocast = before

    depth: list[torch.dtype | None] = []
    return {"__init__": init, "__enter__": enter, "__exit__": leave}


def _low_dtype(device_type: str) -> torch.dtype:
    return torch.bfloat16 if device_type == "cpu" else torch.float16


def _recurrent(counter: OperatorCounter, name: str) -> Callable[..., Any]:
    def run(inputs: Any, *arguments: Any) -> Any:
        is_packed = isinstance(arguments[2], list | tuple)  # the batch sizes come before the states
        hidden, weights, _bias, layers, _dropout, _train, both = arguments[is_packed : is_packed + 7]
        states = list(hidden) if isinstance(hidden, list | tuple) else [hidden]
        tensors = counter.lowered([inputs, *states, *weights])
        inputs, states, weights = tensors[0], tensors[1 : 1 + len(states)], tensors[1 + len(states) :]
        width = states[0].shape[-1] * (2 if both else 1)
        rows = inputs.numel() // inputs.shape[-1]
        products = 2 * rows * sum(one.numel() for one in weights if one.dim() == 2)
        between = rows * width * layers * inputs.element_size() * (2 + GATES[name])
        directions = layers * (2 if both else 1)
        steps = rows / max(1, states[0].shape[-2] if states[0].dim() > 2 else 1)  # of a sequence, on average
        moved = _size([inputs]) + steps * _size(weights) + between

        def charge(times: int) -> None:
            # Each step of the sequence reads the weights again for a product, and updates the state.
            counter.add(
                RNN_LAUNCHES * directions, times * products, inputs, "cudnn", times * moved,
                kernels=times * (RNN_LAUNCHES + 2 * steps) * directions,
            )  # fmt: skip

        def make() -> tuple[Any, ...]:
            return (inputs.new_zeros((*inputs.shape[:-1], width)), *(one.clone() for one in states))

        return fuse(counter, charge, make, inputs, *states, *weights)

    return run


def _attention(counter: OperatorCounter) -> Callable[..., Any]:
    def attend(query: Any, key: Any, value: Any, attn_mask: Any = None, *_: Any, **__: Any) -> Any:
        query, key, value = counter.lowered([query, key, value])
        mask = [] if attn_mask is None else [attn_mask]
        pairs = query.numel() // query.shape[-1] * key.shape[-2]
        products = 2 * pairs * (query.shape[-1] + value.shape[-1])

        def charge(times: int) -> None:
            # The backward pass computes the scores again: five products for the two of the forward pass.
            flops = products * (2.5 if times > 1 else 1)
            counter.add(times, flops, query, "mm", times * _size([query, key, value, query, *mask]))

        def make() -> Any:
            return query.new_zeros((*query.shape[:-1], value.shape[-1]))

        return fuse(counter, charge, make, query, key, value, *mask)

    return attend


def as_on_a_gpu(optimizer: Any, counter: OperatorCounter) -> None:
    """Let an optimizer update lists of tensors, as it does on a GPU by default.

    A fused optimizer refuses the meta device: it updates lists there, and counts as fused. One that can be
    captured has its numbers of steps on the host, without the operators on them.
    """
    groups = getattr(optimizer, "param_groups", ())
    if any(group.get("fused") for group in groups):
        _count_fused(optimizer, counter)
    for group in groups:
        has_lists = "foreach" in group and not group.get("differentiable")
        if group.get("capturable"):
            group["capturable"] = False
        if group.get("fused"):
            group["fused"], group["foreach"] = False, True
        elif has_lists and group["foreach"] is None and not isinstance(group.get("lr"), torch.Tensor):
            group["foreach"] = True


def _count_fused(optimizer: Any, counter: OperatorCounter) -> None:
    pauses = ExitStack()

    def before(*_: object) -> None:
        pauses.enter_context(counter.paused())

    def after(*_: object) -> None:
        pauses.close()
        like = optimizer.param_groups[0]["params"][0]
        counter.add(_fused_launches(optimizer), 0, like, "", step_bytes(optimizer) or 0)

    optimizer.register_step_pre_hook(before)
    optimizer.register_step_post_hook(after)


def _fused_launches(optimizer: Any) -> int:
    """Return the launches of a fused optimizer's step: over all lists, and over the numbers of steps."""
    total = 0
    for group in optimizer.param_groups:
        trained = [one for one in group["params"] if one.grad is not None]
        if trained:
            state = optimizer.state.get(trained[0], {}).values()
            lists = 2 + sum(isinstance(one, torch.Tensor) and one.numel() > 1 for one in state)
            total += launches(trained, lists) + launches(trained, 1)
    return total


def _size(tensors: Iterable[torch.Tensor]) -> int:
    return sum(one.numel() * one.element_size() for one in tensors)
