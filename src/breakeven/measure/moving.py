"""Moves host batches to a device, and finds out whether a model changes them in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from breakeven.errors import MeasurementError
from breakeven.hardware.device import Device
from breakeven.measure.tensors import (
    duplicate,
    flat,
    is_movable,
    map_inputs,
    map_tensors,
    moved_to,
    tensors_in,
    to_channels_last,
)
from breakeven.measure.workload import Workload

Batch = tuple[Any, Any]
"""The inputs and the targets."""


class BatchMover:
    """Moves batches to a device, where they are the model's own, which it may change.

    On a CPU a batch is in place already, so nothing is copied, unless the model changes its inputs in place
    or asks for their gradients. To find that out, each batch is copied until all of them were trained on.
    `moves_nothing` is whether moving a batch would give the very same tensors; then a model that changes them
    in a later step is refused.

    Args:
        workload: whose batches.
        device: where to.
        host_batches: those of the workload, as they are kept on the host.
    """

    def __init__(self, workload: Workload, device: Device, host_batches: Sequence[Batch]) -> None:
        self.moves_nothing = False
        self._workload = workload
        self._device = device
        self._host_batches = host_batches
        self._duplicates = False
        self._unseen: set[int] = set()
        self._watched: tuple[Batch, Any, Any, list[Any]] | None = None
        self._host_marks: list[Any] = []

    def begin(self) -> None:
        """Begin a case: it is not known yet what the model changes."""
        self.moves_nothing, self._watched = False, None
        self._duplicates = not self._device.is_accelerator
        self._unseen = set(map(id, self._host_batches)) if self._duplicates else set()

    def move(self, batch: Batch) -> Batch:
        """Return a batch on the device."""
        self.look()
        inputs, targets = batch
        moved = self._inputs(inputs), map_tensors(self._moved, targets)
        if self._unseen:
            self._watched = batch, batch, moved, _marks(moved)
        return moved

    def move_inputs(self, batch: Batch) -> Any:
        """Return the inputs of a batch on the device."""
        if not self._unseen:
            return self._inputs(batch[0])
        self.look()
        with torch.inference_mode(mode=False):  # in it, tensors do not count their changes
            moved = self._inputs(batch[0])
        if self._unseen:
            self._watched = batch, batch[0], moved, _marks(moved)
        return moved

    def look(self) -> None:
        """Look at what has become of the batch that was moved last, until all of them were seen.

        Raises:
            MeasurementError: one was changed after a step with it that did not change it.
        """
        if self._watched is None:
            if self.moves_nothing and self._host_marks != _marks(self._host_batches):
                raise MeasurementError(
                    "a step changed its inputs or targets in place, which the first step with them did not; "
                    "change a copy, such as inputs.clone()"
                )
            return
        (batch, host, moved, marks), self._watched = self._watched, None
        is_changed = marks != _marks(moved) or not _are_equal(host, moved)
        is_loaded = id(batch) not in map(id, self._host_batches)
        self._unseen = set() if is_changed or is_loaded else self._unseen - {id(batch)}
        if not self._unseen:
            self._duplicates = is_changed
            self.moves_nothing = not is_changed and self._are_in_place()
            self._host_marks = _marks(self._host_batches)

    def stop_looking(self) -> None:
        """Copy nothing that is in place: no step follows in which the model might change it."""
        self._unseen, self._watched, self._duplicates = set(), None, False

    def _are_in_place(self) -> bool:
        movables = [one for one in flat(self._host_batches) if is_movable(one)]
        return not self._workload.channels_last and all(map(self._is_in_place, movables))

    def _is_in_place(self, movable: Any) -> bool:
        is_tensor = type(movable) is torch.Tensor and not movable.requires_grad
        return is_tensor and movable.device == self._device.torch_device

    def _inputs(self, inputs: Any) -> Any:
        return map_inputs(self._input, inputs, self._workload.host_inputs)

    def _input(self, movable: Any) -> Any:
        moved = self._to_device(movable)
        own = to_channels_last(moved) if self._workload.channels_last else moved
        return duplicate(own) if self._duplicates and own is moved else own

    def _moved(self, movable: Any) -> Any:
        moved = self._to_device(movable)
        return duplicate(moved) if self._duplicates else moved

    def _to_device(self, movable: Any) -> Any:
        return moved_to(self._device.torch_device, movable, non_blocking=self._workload.pin_memory)


def _marks(batch: Any) -> list[Any]:
    """Return what differs after a model has changed or replaced a tensor, or has asked for its gradient."""
    return [
        (id(tensor), None if tensor.is_inference() else tensor._version, tensor.requires_grad)
        for tensor in tensors_in(batch)
    ]


def _are_equal(host: Any, moved: Any) -> bool:
    """Return whether tensors have the same values: a change through ``.data`` or numpy leaves no mark."""
    pairs = zip(tensors_in(host), tensors_in(moved), strict=False)
    return all(_is_equal(*pair) for pair in pairs)


def _is_equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    if type(one) is not torch.Tensor or one.layout is not torch.strided or one.is_nested:
        return True  # a kind of its own, which torch may not compare
    return torch.equal(one, other) or torch.equal(one.nan_to_num(), other.nan_to_num())
