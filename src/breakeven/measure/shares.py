"""A rank's share of a workload: its slice of the global batch along dimension 0."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from breakeven.measure.outcomes import UnsupportedError
from breakeven.measure.tensors import map_tensors, tensors_in
from breakeven.measure.workload import Workload


def share_of(workload: Workload, batch_size: int, rank: int, size: int) -> Workload:
    """Return the workload with one of `size` consecutive slices of its batch, or of each of its batches.

    Every tensor of inputs and targets, those that stay on the host included, is divided along dimension 0,
    which has the samples, or a multiple of them (a token each, sample by sample). So is a list of plain
    values, one for each sample, among the inputs that stay on the host. Other plain values are the same on
    every rank.

    Of several batches, one whose tensors do not hold `batch_size` samples has as many as its shortest tensor.

    Args:
        workload: that of the global batch.
        batch_size: the global one; a multiple of `size`.
        rank: whose slice, from 0.
        size: the number of ranks.

    Raises:
        UnsupportedError: something cannot be divided.
    """
    slicing = Slicing(batch_size, rank, size)
    if not workload.batches:
        inputs, targets = slicing.of_batch(workload.inputs, workload.targets, workload.host_inputs)
        return replace(workload, inputs=inputs, targets=targets)
    slices = [
        Slicing(_samples_in(batch, batch_size), rank, size).of_batch(*batch, workload.host_inputs)
        for batch in workload.batches
    ]
    return replace(workload, batches=slices)


def _samples_in(batch: tuple[Any, Any], batch_size: int) -> int:
    """Return how many samples one of several batches has."""
    lengths = [len(one) for one in tensors_in(batch) if not one.is_nested and one.ndim]
    if all(length % batch_size == 0 for length in lengths):
        return batch_size
    return min(filter(None, lengths))


@dataclass(frozen=True)
class Slicing:
    """Which of `size` consecutive slices of the `batch_size` samples a rank has."""

    batch_size: int
    rank: int
    size: int

    def of_batch(self, inputs: Any, targets: Any, on_host: Collection[int | str]) -> tuple[Any, Any]:
        """Return the slices of the inputs and the targets of a batch.

        Raises:
            UnsupportedError: the ranks do not divide it.
        """
        if self.batch_size % self.size:
            raise UnsupportedError(
                f"batch {self.batch_size} cannot be divided among {self.size} ranks; use a multiple of "
                f"{self.size}"
            )
        return self.of_inputs(inputs, on_host), map_tensors(self.of_tensor, targets)

    def of(self, values: Any) -> Any:
        """Return the slice of a sequence or a tensor."""
        part = len(values) // self.size
        return values[self.rank * part : (self.rank + 1) * part]

    def of_tensor(self, value: Any) -> Any:
        """Return the slice of a tensor; it lets go of the other samples.

        Raises:
            UnsupportedError: it is something else, or dimension 0 does not hold the samples.
        """
        if not isinstance(value, torch.Tensor):
            raise UnsupportedError(
                f"a {type(value).__name__} cannot be divided among {self.size} ranks; pass tensors with the "
                "samples along dimension 0"
            )
        is_dense = value.layout == torch.strided and not value.is_nested
        if not is_dense or value.ndim == 0 or len(value) % self.batch_size:
            layout = "" if is_dense else f"{str(value.layout).removeprefix('torch.')} "
            what = "nested tensor" if value.is_nested else f"{layout}tensor of shape {tuple(value.shape)}"
            raise UnsupportedError(
                f"a {what} cannot be divided among {self.size} ranks: its dimension 0 does "
                f"not hold the {self.batch_size} samples; put the samples along dimension 0"
            )
        return self.of(value).clone()

    def of_inputs(self, inputs: Any, on_host: Collection[int | str]) -> Any:
        """Return the slices of a model's inputs, with those of the lists among the ones on the host."""
        divided = map_tensors(self.of_tensor, inputs)
        if not on_host:
            return divided
        if isinstance(divided, Mapping):
            return {name: self._of_list(item) if name in on_host else item for name, item in divided.items()}
        return [self._of_list(item) if index in on_host else item for index, item in enumerate(divided)]

    def _of_list(self, value: Any) -> Any:
        is_list = isinstance(value, list | tuple) and len(value) == self.batch_size
        is_plain = is_list and all(isinstance(item, int | float | str) for item in value)
        return self.of(value) if is_plain else value
