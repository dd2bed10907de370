"""Whether cells begin with a collection of garbage: only in tests with `collecting`, as when measuring."""

import gc

import pytest


@pytest.fixture(autouse=True)
def every_cell_is_quick(quick_cells):
    """Use `quick_cells` in all tests of measuring."""


@pytest.fixture
def collecting(monkeypatch):
    """Collect garbage before each cell."""
    monkeypatch.setattr("breakeven.measure.cells.gc", gc)
    yield
    gc.freeze()
