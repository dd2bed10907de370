"""A rank's share of a workload: its slice of the global batch along dimension 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from breakeven.measure.outcomes import UnsupportedError
from breakeven.measure.workload import Workload, map_tensors


def share_of(workload: Workload, batch_size: int, rank: int, size: int) -> Workload:
    """Return the workload with one of `size` consecutive slices of its batch.

    Every tensor of inputs and targets, those that stay on the host included, is divided along dimension 0,
    which has the samples, or a multiple of them (a token each, sample by sample). So is a list of plain
    values, one for each sample, among the inputs that stay on the host. Other plain values are the same on
    every rank.

    Args:
        workload: that of the global batch.
        batch_size: the global one; a multiple of `size`.
        rank: whose slice, from 0.
        size: the number of ranks.

    Raises:
        UnsupportedError: something cannot be divided.
    """
    if batch_size % size:
        raise UnsupportedError(
            f"batch {batch_size} cannot be divided among {size} ranks; use a multiple of {size}"
        )
    divide = partial(_slice, batch_size=batch_size, rank=rank, size=size)
    return replace(
        workload,
        inputs=_plain_divided(map_tensors(divide, workload.inputs), workload.host_inputs, divide, batch_size),
        targets=map_tensors(divide, workload.targets),
    )


def _slice(value: Any, batch_size: int, rank: int, size: int) -> Any:
    if isinstance(value, list | tuple):
        length = len(value)
    elif not isinstance(value, torch.Tensor):
        raise UnsupportedError(
            f"a {type(value).__name__} cannot be divided among {size} ranks; pass tensors with the samples "
            "along dimension 0"
        )
    elif value.layout != torch.strided or value.is_nested or value.ndim == 0 or len(value) % batch_size:
        kind = "nested" if value.is_nested else str(value.layout).removeprefix("torch.")
        raise UnsupportedError(
            f"a {kind} tensor of shape {_shape(value)} cannot be divided among {size} ranks: its dimension 0 "
            f"does not hold the {batch_size} samples; put the samples along dimension 0"
        )
    else:
        length = len(value)
    part = length // size
    found = value[rank * part : (rank + 1) * part]
    return found.clone() if isinstance(found, torch.Tensor) else found  # lets go of the others' samples


def _plain_divided(inputs: Any, on_host: Any, divide: Any, batch_size: int) -> Any:
    """Divide the lists of plain values among the inputs that stay on the host, such as lengths."""

    def divided(name: Any, value: Any) -> Any:
        is_list = name in on_host and isinstance(value, list | tuple) and len(value) == batch_size
        is_plain = is_list and all(isinstance(item, int | float | str) for item in value)
        return divide(value) if is_plain else value

    if not on_host:
        return inputs
    if isinstance(inputs, Mapping):
        return {name: divided(name, value) for name, value in inputs.items()}
    return [divided(index, value) for index, value in enumerate(inputs)]


def _shape(tensor: torch.Tensor) -> str:
    return "unknown" if tensor.is_nested else str(tuple(tensor.shape))
