"""The model of the current cell: built once, with one copy on the measured device."""

from __future__ import annotations

import gc
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol

import torch

from breakeven.case import Cell
from breakeven.errors import RecipeError
from breakeven.hardware.device import Device
from breakeven.measure.cuda_graphs import make_trainer, why_no_graphs
from breakeven.measure.outcomes import CaseTimeout, UnsupportedError
from breakeven.measure.settings import (
    apply,
    as_texts,
    changed_settings,
    inherited,
    read_settings,
    settings_kept,
)
from breakeven.measure.timing import Clock, time_once
from breakeven.measure.trainer import Trainer
from breakeven.measure.workload import Recipe, Workload, build


class Placing(Protocol):
    """What this process trains of a cell, and with which trainer."""

    def share(self, cell: Cell, workload: Workload) -> Workload:
        """Return this process's part of a workload.

        Raises:
            UnsupportedError: it cannot be divided.
        """

    def trainer(self, cell: Cell, workload: Workload, device: Device) -> Trainer:
        """Return the trainer of a part on a device."""


class Alone:
    """One process, which trains all of a cell."""

    def share(self, cell: Cell, workload: Workload) -> Workload:  # noqa: ARG002 - as `Placing` has it
        """Return the workload."""
        return workload

    def trainer(self, cell: Cell, workload: Workload, device: Device) -> Trainer:  # noqa: ARG002
        """Return the trainer that the workload asks for."""
        return make_trainer(workload, device)


class CellCache:
    """Keeps one workload and one trainer, and releases memory when either changes.

    The settings of torch that a recipe changed are in effect for its cases alone. What differs from
    `process_settings` is recorded. A loader may take `timeout_s` to give the first batch.
    """

    def __init__(self, clock: Clock, placing: Placing | None = None) -> None:
        self.model_transfer_s = 0.0
        self.timeout_s = math.inf
        self._placing = placing or Alone()
        self._settings: dict[str, Any] = {}
        self._before: dict[str, Any] = {}
        self.process_settings = read_settings()
        self._clock = clock
        self._cell: Cell | None = None
        self._workload: Workload | RecipeError | UnsupportedError | CaseTimeout | None = None
        self._trainer: Trainer | None = None
        self._holding: Device | None = None

    def trainer(self, cell: Cell, device: Device, recipe: Recipe) -> Trainer:
        """Return the cell's trainer on a device, reusing the last one if it is the same.

        Raises:
            RecipeError: the recipe raised or returned no workload, now or at the cell's first case.
            UnsupportedError: the device does not support an option of the workload.
        """
        workload = self.workload(cell, recipe)
        if self._trainer is None or self._trainer.device is not device:
            self._release()
            _refuse_unsupported(workload, device)
            self._holding = device
            trainer = self._placing.trainer(cell, workload, device)
            self.model_transfer_s = time_once(trainer.move_model, device, self._clock)
            self._trainer = trainer
        return self._trainer

    def workload(self, cell: Cell, recipe: Recipe) -> Workload:
        """Return this process's part of the cell's workload, building it if it is not the last one.

        Raises:
            RecipeError: the recipe raised or returned no workload, now or at the cell's first case.
            CaseTimeout: a loader without another batch gave none in time.
            UnsupportedError: the workload cannot be divided among the processes that train it.
        """
        if self._cell != cell:
            self._release()
            self._cell, self._workload = None, None
            # Collections need not walk again what outlives a cell, such as torch's objects.
            gc.collect()
            gc.freeze()
            with settings_kept() as before:
                try:
                    self._workload = self._placing.share(cell, build(recipe, self.timeout_s))
                except (RecipeError, UnsupportedError, CaseTimeout) as error:
                    self._workload = error
                self._settings = inherited(before)
            self._cell = cell
        if isinstance(self._workload, Exception):
            raise type(self._workload)(str(self._workload)) from self._workload.__cause__
        assert self._workload is not None
        return self._workload

    @contextmanager
    def settings_in_effect(self) -> Iterator[None]:
        """Apply the recipe's settings for the duration of the block, then restore what the case changed."""
        with settings_kept() as self._before:
            apply(self._settings)
            torch.set_grad_enabled(True)  # training needs gradients, whatever was forgotten before
            yield

    def ran_with(self) -> dict[str, Any]:
        """Return ``threads``, and ``settings`` where some differ from the process's, as they are now."""
        usual = self.process_settings | {"threads": self._before["threads"]}  # the device has set these
        changed = as_texts(changed_settings(usual))
        return {"threads": torch.get_num_threads(), **({"settings": changed} if changed else {})}

    def drop_trainer(self, *, device_is_lost: bool) -> None:
        """Drop the trainer of a case that failed.

        Its memory is released before the next trainer is made, because the error's traceback refers to it
        until then.
        """
        self._trainer = None
        if device_is_lost:
            self._holding = None

    def close(self) -> None:
        """Drop the last cell, and unfreeze the objects hidden from the garbage collector."""
        self._release()
        self._workload = None
        gc.unfreeze()

    def _release(self) -> None:
        if self._trainer is None and self._holding is not None:
            gc.unfreeze()  # a traceback that was frozen would keep the memory of a failed case
            gc.collect()
        self._trainer = None
        if self._holding is not None:
            device, self._holding = self._holding, None
            device.release_memory()


@contextmanager
def in_effect(workload: Workload, device: Device) -> Iterator[None]:
    """Apply the workload's options to the process for the duration of the block, then restore them."""
    with (
        device.tf32_set(workload.tf32),
        torch.autograd.set_multithreading_enabled(False)
        if workload.single_threaded_backward
        else nullcontext(),
        warnings.catch_warnings() if workload.compile else nullcontext(),
    ):
        if workload.compile:
            # A compiler recommends TF32, which is an axis here, and calls deprecated parts of torch.
            warnings.filterwarnings("ignore", "TensorFloat32 tensor cores")
            warnings.filterwarnings("ignore", module=r"(torch|triton|sympy)\b")
        yield


def _refuse_unsupported(workload: Workload, device: Device) -> None:
    if workload.tf32:
        reason = device.why_no_tf32()
        if reason is not None:
            raise UnsupportedError(f"tf32=True: {reason}")
    if workload.cuda_graph and device.graph_recorder() is None:
        raise UnsupportedError(f"cuda_graph=True: {device.name} cannot capture CUDA graphs")
    reason = why_no_graphs(workload) if workload.cuda_graph else None
    if reason is not None:
        raise UnsupportedError(f"cuda_graph=True: {reason}; leave one of them out")
