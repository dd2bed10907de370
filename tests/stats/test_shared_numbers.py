"""The random numbers of a process pool: the same in parts as at once; medians of resampled processes."""

import numpy as np
import pytest

from breakeven.stats import shared_numbers
from breakeven.stats.shared_numbers import SharedNumbers, resampled_medians_of

PROCESSES, RESAMPLES = 30, 50


def drawn():
    rng = np.random.default_rng(7)
    return SharedNumbers.draw(rng, PROCESSES, RESAMPLES), rng.random()


@pytest.fixture
def expected():
    """Normal numbers, uniform ones, and the next one of the generator."""
    rng = np.random.default_rng(7)
    return rng.standard_normal((RESAMPLES, PROCESSES + 1)), rng.random((RESAMPLES, PROCESSES)), rng.random()


@pytest.mark.parametrize("at_once", [1, 100, 1 << 20])
def test_numbers_in_parts(monkeypatch, expected, at_once):
    """Parts of any size give the numbers that one draw of all gives, as often as they are asked for."""
    monkeypatch.setattr(shared_numbers, "_AT_ONCE", at_once)
    normals, uniform, after = expected
    found, next_number = drawn()
    assert next_number == after
    assert np.array_equal(found.last, normals[:, -1])
    assert np.array_equal(found.normals_of(PROCESSES), normals.astype(np.float32))
    assert np.array_equal(found.normals_of(3), normals[:, [0, 1, 2, -1]].astype(np.float32))
    for count in (PROCESSES, 20, PROCESSES):
        chosen = (uniform[:, :count] * count).astype(int)
        assert found.counts(count).tolist() == [np.bincount(row, minlength=count).tolist() for row in chosen]


@pytest.mark.parametrize("count", [20, 21, 400])
def test_medians(count):
    """Medians are those of the repeated values, also of resamples that lie far from the others."""
    rng = np.random.default_rng(count)
    values = np.round(rng.normal(size=(3, count)), 1)
    counts = np.stack([np.bincount(row, minlength=count) for row in rng.integers(0, count, (40, count))])
    for row, process in ((0, 0), (1, -1)):  # all of a resample is the smallest value, or the largest
        counts[row], counts[row, np.argsort(values[0])[process]] = 0, count
    counts = counts.astype(np.uint16)
    repeated = [[np.median(np.repeat(case, row)) for row in counts] for case in values]
    assert np.array_equal(resampled_medians_of(values, counts), repeated)
