"""Whether cells begin with a collection of garbage."""

import gc

import pytest


@pytest.fixture(autouse=True)
def quick_cells(garbage_is_kept):
    """They do not, except in tests with `collecting`."""


@pytest.fixture
def collecting(monkeypatch):
    """They do, as when measuring."""
    monkeypatch.setattr("breakeven.measure.cells.gc", gc)
    yield
    gc.freeze()
