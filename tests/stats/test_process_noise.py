"""The interval that more processes would give."""

import math

import numpy as np
import pytest
from scipy.stats import t

from breakeven.stats.process_noise import MAX_SUGGESTED, ProcessNoise, processes_needed


@pytest.mark.parametrize("processes", [5, 12, 100])
def test_student(processes):
    """Without noise of the rounds it is Student's, whose degrees of freedom grow with the processes."""
    expected = t.ppf(0.975, 3 + processes - 1) * 0.2 / math.sqrt(processes)
    assert ProcessNoise(0.2, 7, 5).half_width(processes) == pytest.approx(expected)


@pytest.mark.parametrize("processes", [5, 12, 100])
def test_noise_of_the_rounds(processes):
    """It stays as it is, because the processes share the time of a case."""
    noise = ProcessNoise(0.2, math.inf, 5, rounds_half_width=1.96 * 0.05)
    between = 0.2**2 - 5 * 0.05**2
    expected = 1.96 * math.sqrt(between / processes + 0.05**2)
    assert noise.half_width(processes) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("df", [1.0, 4.0, math.inf])
def test_of_interval(df):
    """The interval of the processes at hand is the one that it was made from."""
    noise = ProcessNoise.of_interval(0.3, df, 5, rounds_half_width=0.1)
    assert noise.half_width(5) == pytest.approx(0.3)
    assert noise.half_width(50) < 0.3


def test_noise_of_the_rounds_alone():
    """More noise of the rounds than there is in all counts as all of it."""
    wide = ProcessNoise(0.2, math.inf, 5, rounds_half_width=1.0)
    assert wide.half_width(5) == pytest.approx(1.96 * 0.2 / math.sqrt(5), rel=1e-4)
    assert wide.half_width(100) == pytest.approx(wide.half_width(5))


def test_coverage():
    """Of 4,000 runs with the predicted number of processes 95% are within the predicted half-width."""
    rng = np.random.default_rng(0)
    means = (0.2 * rng.standard_normal((4000, 12))).mean(axis=1)
    assert np.mean(abs(means) < ProcessNoise(0.2, math.inf, 5).half_width(12)) == pytest.approx(
        0.95, abs=0.01
    )


@pytest.mark.parametrize(("enough", "found"), [(6, 6), (5, 6), (MAX_SUGGESTED, 100), (101, None)])
def test_processes_needed(enough, found):
    """The smallest number above the known one, up to a limit."""
    assert processes_needed(lambda number: number >= enough, 5) == found
