"""The loss of a step: where it comes from, and its value."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from breakeven.errors import MeasurementError
from breakeven.measure.tensors import kind

_ALONE = "return the loss tensor alone, such as out.loss or the first of several, without .item()"

_NO_LOSS = (
    "expected outputs.loss, outputs['loss'] or the loss as the only output; let the model return it (those "
    "of transformers do if the inputs hold labels), or pass Workload(loss=...)"
)


def loss_from(criterion: Any, outputs: Any, targets: Any) -> Any:
    """Return the loss of a model's outputs: the criterion's, or without one the model's own.

    Raises:
        MeasurementError: there is none.
    """
    if criterion is None:
        return _own_loss(outputs)
    loss = criterion(outputs, targets)
    if loss is None:
        raise MeasurementError("the loss is None, expected one number; let the loss return it")
    return loss


def _own_loss(outputs: Any) -> Any:
    if isinstance(outputs, torch.Tensor):
        if outputs.numel() != 1:
            raise MeasurementError(
                f"the model returned a tensor of shape {tuple(outputs.shape)}, which is not a loss; give "
                "Workload(loss=...), or let the model return its loss"
            )
        return outputs
    named = outputs.get("loss") if isinstance(outputs, Mapping) else getattr(outputs, "loss", None)
    if named is not None:
        return named
    values = list(_values(outputs))
    if len(values) == 1 and isinstance(values[0], torch.Tensor):
        return values[0]
    raise MeasurementError(f"the model returned {kind(outputs)} in which no loss is found, {_NO_LOSS}")


def loss_value(loss: Any) -> float:
    """Return a loss as a number; waits for the device.

    Raises:
        MeasurementError: it is not a scalar, is NaN or infinite, or nothing trained depends on it.
    """
    value = _number(loss, _ALONE)
    if not loss.requires_grad:
        raise MeasurementError(
            "the loss depends on no trained parameter, so nothing can be trained; return it without "
            ".detach(), .item() or torch.no_grad()"
        )
    return _finite(value)


def sum_of_losses(returned: Any) -> float:
    """Return the sum of what a training step of the user's own returned; waits for the device.

    Raises:
        MeasurementError: it is not a scalar tensor, or a tuple, list or mapping of these, or is not finite.
    """
    losses = list(_values(returned))
    if not losses:
        what = "None" if returned is None else f"an empty {type(returned).__name__}"
        raise MeasurementError(
            f"training_step returned {what}, expected the loss; return it, or several in a tuple or a dict"
        )
    return _finite(sum(_number(loss, "return scalar tensors, without .item()") for loss in losses))


def _values(value: Any) -> Iterable[Any]:
    """Return the items of a mapping, a tuple or a list, or the value itself; nothing for None."""
    if isinstance(value, Mapping):
        return value.values()
    if isinstance(value, tuple | list):
        return value
    return () if value is None else (value,)


def _number(loss: Any, remedy: str) -> float:
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
        shape = getattr(loss, "shape", None)
        what = f"a {type(loss).__name__}" if shape is None else f"a tensor of shape {tuple(shape)}"
        expected = "a tensor with one number"
        if isinstance(loss, torch.Tensor):
            expected, remedy = "one number", "reduce it, e.g. with .mean()"
        raise MeasurementError(f"the loss is {what}, expected {expected}; {remedy}")
    if loss.is_complex():
        raise MeasurementError(
            f"the loss is complex ({loss.dtype}), expected a real number; take its .abs() or .real"
        )
    return float(loss.detach())


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise MeasurementError(
            f"the loss is {value}: timings of a model that does not train mean nothing; "
            "check inputs, targets and learning rate"
        )
    return value
