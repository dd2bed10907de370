"""Times in two groups, worked by hand, and the rates in the docstrings by seeded simulation."""

import math

import numpy as np
import pytest

from breakeven.stats.bimodality import are_apart, gap_between_groups


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([1.0, 1.0, 1.5, 1.5, 1.5], 1.5),
        ([1.5, 1.0, 1.5, 1.0], 1.5),
        ([1.0, 1.0, 1.1001, 1.1001], 1.1001),
        ([1.0, 1.0, 1.1, 1.1], None),  # not above 10%
        ([1.0, 1.0, 1.0, 1.0, 3.0], None),  # an outlier, not a group
        ([0.2, 1.0, 1.0, 1.0, 3.0], None),
        ([0.2, 1.0, 1.0, 1.5, 1.5, 9.0], None),  # the groups are as wide as the gap between them
        ([1.0, 1.0, 1.5], None),
        ([1.0], None),
        ([], None),
    ],
)
def test_gap(times, expected):
    gap = gap_between_groups(np.log(times))
    assert gap == (None if expected is None else pytest.approx(math.log(expected)))


@pytest.mark.parametrize(("wide", "expected"), [(0.131, True), (0.134, False)])
def test_gap_against_the_groups(wide, expected):
    """Two pairs that are `wide` apart each: the sd inside is wide / sqrt(2), and the gap 0.6 - wide."""
    logs = np.array([0.0, wide, 0.6, 0.6 + wide])
    assert (gap_between_groups(logs) is not None) == expected
    sd = math.sqrt(2 * 2 * (wide / 2) ** 2 / 2)
    assert (0.6 - wide > 5 * sd) == expected


def rate(n, draw, suites=4000):
    rng = np.random.default_rng(1)
    return np.mean([gap_between_groups(draw(rng, n)) is not None for _ in range(suites)])


def normal(rng, n):
    return rng.standard_normal(n)


def two_groups(rng, n):
    upper = np.arange(n) < rng.integers(2, n - 1)
    return math.log(1.3) * upper + 0.03 * rng.standard_normal(n)


@pytest.mark.parametrize(("n", "expected"), [(5, 0.06), (8, 0.01), (20, 0.0)])
def test_rate_of_one_group(n, expected):
    assert rate(n, normal) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("n", "expected"), [(5, 0.85), (8, 0.83)])
def test_rate_of_two_groups(n, expected):
    assert rate(n, two_groups) == pytest.approx(expected, abs=0.02)


def test_apart():
    before = np.log([1.0, 2.0])
    for factor in (2.05, 1 / 2.05):
        assert are_apart(before, before + math.log(factor), 0.02)
        assert not are_apart(before, before + math.log(factor), 0.03)
    assert not are_apart(before, before + math.log(1.9), 0.0)
