"""What torch computes as one operator on a GPU, and as many on the meta device: recurrent layers, attention,
optimizers on lists. They are replaced while a step is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

from breakeven.measure.operators import OperatorCounter, launches

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
"""torch's recurrent layers, each with the numbers that it keeps of a hidden unit for its backward pass."""
RNN_LAUNCHES = 6
"""The operators that a pass of a layer of cuDNN counts as, in each direction."""


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
    """Let recurrent layers and attention count as the fused operators that a GPU has for them."""
    with ExitStack() as stack:
        for name in GATES:
            stack.enter_context(patch.object(torch._VF, name, _recurrent(counter, name), create=True))
        attention = _attention(counter)
        stack.enter_context(patch.object(nn.functional, "scaled_dot_product_attention", attention))
        stack.enter_context(patch.object(nn.utils.clip_grad, "_has_foreach_support", lambda *_: True))
        yield


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
    def attend(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> Any:
        query, key, value = counter.lowered([query, key, value])
        pairs = query.numel() // query.shape[-1] * key.shape[-2]
        products = 2 * pairs * (query.shape[-1] + value.shape[-1])

        def charge(times: int) -> None:
            # The backward pass computes the scores again: five products for the two of the forward pass.
            flops = products * (2.5 if times > 1 else 1)
            counter.add(times, flops, query, "mm", times * _size([query, key, value, query]))

        def make() -> Any:
            return query.new_zeros((*query.shape[:-1], value.shape[-1]))

        return fuse(counter, charge, make, query, key, value)

    return attend


def on_lists(optimizer: Any) -> bool:
    """Let an optimizer update lists of tensors, as it does on a GPU by default; return whether it is fused.

    A fused optimizer refuses the meta device, and updates lists there.
    """
    groups = getattr(optimizer, "param_groups", ())
    is_fused = any(group.get("fused") for group in groups)
    for group in groups:
        if group.get("fused"):
            group["fused"], group["foreach"] = False, True
        elif "foreach" in group and group["foreach"] is None and not group.get("differentiable"):
            group["foreach"] = True
    return is_fused


def fused_launches(optimizer: Any) -> int:
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
