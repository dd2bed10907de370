"""The search finds the optimum, as an exhaustive search does."""

import math
from itertools import combinations, pairwise

import numpy as np
import pytest

from breakeven.stats import segmentation
from breakeven.stats.change_points import find_changes, find_changes_in_all
from breakeven.stats.segmentation import best_edges


def cost(values, edges, penalty):
    """Squared deviations from the levels, and the penalty of each."""
    return sum(((values[a:b] - values[a:b].mean()) ** 2).sum() + penalty for a, b in pairwise(edges))


def all_edges(n, min_length):
    """Every choice of edges that leaves no level too short."""
    for count in range(n // min_length):
        for inner in combinations(range(min_length, n - min_length + 1), count):
            edges = [0, *inner, n]
            if all(b - a >= min_length for a, b in pairwise(edges)):
                yield edges


@pytest.mark.parametrize("penalty", [0.5, 3.0, 10.0])
def test_optimal_among_all_edges(penalty):
    rng = np.random.default_rng(20)
    series = [rng.standard_normal(n) + 3 * (np.arange(n) >= rng.integers(n)) for n in (3, 5, 6, 11, 14, 14)]
    found = best_edges(series, [penalty] * len(series), 3)
    for values, edges in zip(series, found, strict=True):
        best = min(all_edges(len(values), 3), key=lambda edges: cost(values, edges, penalty))
        assert edges == best


def test_passes_do_not_mix_series(monkeypatch):
    monkeypatch.setattr(segmentation, "_SERIES_PER_PASS", 3)
    rng = np.random.default_rng(21)
    series = [rng.standard_normal(n) for n in rng.integers(5, 60, 20)]
    penalties = (1 + rng.random(20)).tolist()
    assert best_edges(series, penalties, 5) == [
        best_edges([values], [penalty], 5)[0] for values, penalty in zip(series, penalties, strict=True)
    ]


def test_many_series_match_each_alone():
    rng = np.random.default_rng(22)
    series = [0.02 * rng.standard_normal(n) + 0.3 * (np.arange(n) >= n // 2) for n in (1, 9, 10, 40, 80)]
    for together, values in zip(find_changes_in_all(series), series, strict=True):
        alone = find_changes(values)
        assert (together.levels, together.changes) == (alone.levels, alone.changes)


@pytest.mark.parametrize("noise", [0.002, 0.01, 0.02])
def test_skipped_series_have_no_change(noise, monkeypatch):
    """Skipping the search where no levels can differ by the threshold changes nothing."""
    rng = np.random.default_rng(23)
    series = [
        noise * rng.standard_normal(60) + rng.choice([0, 0.02, 0.035]) * (np.arange(60) >= 30)
        for _ in range(40)
    ]
    quick = find_changes_in_all(series)
    monkeypatch.setattr("breakeven.stats.change_points._may_change", lambda *_: True)
    assert [found.levels for found in quick] == [found.levels for found in find_changes_in_all(series)]


def test_step_above_the_threshold():
    """The search is not skipped."""
    [change] = find_changes(np.repeat([0.0, math.log(1.031)], [10, 5])).changes
    assert change.at == 10
