"""The cache of the current cell: one workload, one trainer, and when memory is given back."""

import gc
import weakref
from contextlib import suppress

import pytest

from breakeven.case import Axes, Cell
from breakeven.errors import RecipeError
from breakeven.measure.cells import CellCache
from breakeven.measure.simulated import SimulatedClock, SimulatedDevice
from breakeven.measure.workload import mlp


class Counted(SimulatedDevice):
    """A device that counts how often its memory is released."""

    released = 0

    def release_memory(self):
        self.released += 1


@pytest.fixture
def cells():
    cache = CellCache(SimulatedClock())
    yield cache
    cache.close()


def cell_of(batch_size):
    return Cell("w", Axes(), batch_size)


def recipe():
    return mlp(2, width=4)


def test_one_trainer_at_a_time(cells):
    """It serves all cases of its cell and device, and is released before the next one."""
    one, other = Counted(SimulatedClock()), Counted(SimulatedClock())
    first = cells.trainer(cell_of(1), one, recipe)
    assert cells.trainer(cell_of(1), one, recipe) is first
    assert one.released == 0
    second = cells.trainer(cell_of(1), other, recipe)
    assert second.device is other
    assert second.workload is first.workload
    assert (one.released, other.released) == (1, 0)
    assert cells.trainer(cell_of(2), other, recipe).workload is not first.workload
    assert (one.released, other.released) == (1, 1)
    cells.close()
    assert (one.released, other.released) == (1, 2)


def test_lost_device_is_not_touched(cells):
    """The memory of a failed case is released, but not that of a lost device."""
    device = Counted(SimulatedClock())
    for is_lost, released in ((True, 0), (False, 1)):
        cells.trainer(cell_of(1), device, recipe)
        cells.drop_trainer(device_is_lost=is_lost)
        cells.workload(cell_of(2), recipe)
        assert device.released == released


def test_error_of_a_recipe_is_kept(cells):
    """With its cause."""
    causes = []

    def failing():
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(RecipeError) as caught:
            cells.workload(cell_of(1), failing)
        causes.append(caught.value.__cause__)
    assert isinstance(causes[0], ZeroDivisionError)
    assert causes[1] is causes[0]


def test_interrupted_recipe_is_called_again(cells):
    def interrupted():
        raise KeyboardInterrupt

    before = cells.workload(cell_of(1), recipe)
    with suppress(KeyboardInterrupt):
        cells.workload(cell_of(2), interrupted)
    assert cells.workload(cell_of(1), recipe) is not before


def test_frozen_for_a_cell(collecting):
    """What outlives a cell is hidden from the garbage collector until the end."""
    cells = CellCache(SimulatedClock())
    gc.unfreeze()
    cells.workload(cell_of(1), recipe)
    assert gc.get_freeze_count() > 0
    cells.close()
    assert gc.get_freeze_count() == 0


class Traceback:
    """Refers to itself, as a traceback does through its frames."""

    def __init__(self):
        self.itself = self


def test_failed_case_frees_what_was_frozen(collecting, cells):
    """A traceback that was alive when an earlier cell began may be garbage by now."""
    device, alive = Counted(SimulatedClock()), Traceback()
    seen = weakref.ref(alive)
    cells.trainer(cell_of(1), device, recipe)
    del alive
    gc.collect()
    assert seen() is not None
    cells.drop_trainer(device_is_lost=False)
    cells.trainer(cell_of(1), device, recipe)
    assert seen() is None
