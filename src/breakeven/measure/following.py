"""The ranks other than 0: each does its part of what rank 0 announces."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from breakeven.case import Cell
from breakeven.collector import collection_off
from breakeven.errors import MeasurementError
from breakeven.hardware.device import Device
from breakeven.measure.cells import CellCache, Placing, in_effect
from breakeven.measure.group import Command, Failure, Group, GroupBrokenError
from breakeven.measure.leading import BUILD, END, LEAVE, PARAMETERS, RUN, timed
from breakeven.measure.timing import CLOCK, Clock
from breakeven.measure.warnings_shown import warnings_shown
from breakeven.measure.workload import Recipe
from breakeven.phases import parse_phase


class Follower:
    """Obeys rank 0 in the cases of one device; reports errors to it, and ends where it is gone.

    Args:
        group: the ranks.
        device: this rank's.
        placing: what this rank trains, and how.
        clock: seconds.
    """

    def __init__(self, group: Group, device: Device, placing: Placing, clock: Clock = CLOCK) -> None:
        self._group = group
        self._device = device
        self._placing = placing
        self._clock = clock
        self._cells = CellCache(clock, placing)
        self._recipes: dict[str, tuple[Cell, Recipe]] = {}
        self._last = ""
        self._is_initialized = False
        self._is_over = False
        self._trainer: Any = None

    @warnings_shown()
    def follow(self, cell: Cell, recipe: Recipe) -> None:
        """Follow one case, until rank 0 ends it."""
        self._last = cell.label()
        self._recipes[self._last] = cell, recipe
        if not self._is_over:
            self._until_broken(lambda: self._follow_case(cell, recipe, self._group.receive()))

    @warnings_shown()
    def follow_rest(self) -> None:
        """Follow the cases that rank 0 times again, until it leaves."""
        self._until_broken(self._follow_known)
        self._trainer = None
        self._cells.close()

    def _until_broken(self, work: Callable[[], None]) -> None:
        try:
            work()
        except GroupBrokenError as error:
            self._group.leave_alone(error.failure)

    def _follow_known(self) -> None:
        while not self._is_over:
            command = self._group.receive()
            if command[0] == LEAVE:
                self._is_over = True
            elif command[0] != END:
                if command[0] == BUILD:  # else the trainer of the last case is used again
                    self._last = command[1]
                self._follow_case(*self._recipes[self._last], command)

    def _follow_case(self, cell: Cell, recipe: Recipe, command: Command) -> None:
        is_ready = False
        with ExitStack() as case:
            while command[0] not in (END, LEAVE):
                seconds, failure = 0.0, None
                try:
                    if not is_ready:
                        self._enter(case, cell, recipe)
                        is_ready = True
                    seconds = self._obey(cell, recipe, *command)
                except GroupBrokenError:
                    raise
                except Exception as error:
                    failure = Failure.of(self._group.rank, error)
                self._group.exchange(seconds, failure)
                command = self._group.receive()
        self._is_over = command[0] == LEAVE

    def _enter(self, case: ExitStack, cell: Cell, recipe: Recipe) -> None:
        """Do what a runner does before a case."""
        if not self._is_initialized:
            self._device.initialize()
            self._is_initialized = True
        case.enter_context(self._device.active())
        workload = self._cells.workload(cell, recipe)
        case.enter_context(self._cells.settings_in_effect())
        case.enter_context(in_effect(workload, self._device))
        case.enter_context(collection_off(collect_first=True))

    def _obey(self, cell: Cell, recipe: Recipe, name: str, *args: Any) -> float:
        """Do this rank's part of a command, and return the seconds of what is timed."""
        if name == RUN:
            phase, steps = parse_phase(args[0]), args[1]
            return timed(lambda: self._trainer.run(phase, steps), self._group, self._device, self._clock)
        if name == BUILD:
            self._build(cell, recipe, args[0])
        elif name == PARAMETERS:
            self._group.gather(self._trainer.parameters_text())
        elif name == "prepare":
            self._trainer.prepare(parse_phase(args[0]), args[1])
        else:
            getattr(self._trainer, name)()
        self._device.synchronize()  # a rank that waits for others does so here, not later
        return 0.0

    def _build(self, cell: Cell, recipe: Recipe, label: str) -> None:
        if label != cell.label():
            raise MeasurementError(
                f"rank 0 measures {label}, this rank {cell.label()}; let every rank collect the same cases"
            )
        self._trainer = None
        gc.collect()  # of a case that failed, too
        self._device.release_memory()
        workload = self._cells.workload(cell, recipe)
        self._trainer = self._placing.trainer(cell, workload, self._device)
