"""Who is timed again: the figures that the limit rests on, by seeded simulation."""

import math

import numpy as np
import pytest

from breakeven.compare.comparison import Change
from breakeven.experiment.retest import SUSPECT_P, is_suspect
from breakeven.stats.regression import effects


def p_values(cases, change, suites, runs=3, noise=0.02, seed=1):
    """p of the changed case, and of all others, in so many suites of which one case is slower."""
    rng = np.random.default_rng(seed)
    changed, others = [], []
    for _ in range(suites):
        baseline, candidate = (noise * rng.standard_normal((cases, runs)) for _ in range(2))
        candidate[0] += math.log1p(change)
        p = effects(baseline, candidate).p
        changed.append(p[0])
        others.extend(p[1:])
    return np.array(changed), np.array(others)


@pytest.mark.parametrize("cases", [1, 4, 40])
def test_a_case_ten_percent_slower_practically_never_escapes_at_two_percent_noise(cases):
    changed, _ = p_values(cases, 0.10, 1000)
    assert (changed > SUSPECT_P).sum() <= 1


def test_of_cases_five_percent_slower_about_one_in_nine_escapes():
    changed, _ = p_values(40, 0.05, 1000)
    assert 0.08 < (changed > SUSPECT_P).mean() < 0.15


def test_of_unchanged_cases_about_one_in_twelve_is_timed_again_for_nothing():
    _, others = p_values(40, 0.0, 200)
    assert 0.06 < (others <= SUSPECT_P).mean() < 0.11


@pytest.mark.parametrize(
    ("verdict", "p", "expected"),
    [
        ("unchanged", 0.31, False),
        ("unchanged", 0.30, True),
        ("inconclusive", 0.9, True),
        ("inconclusive", None, True),
        ("regressed", 0.001, True),
        ("improved", 0.001, True),
        ("error", None, True),
        ("missing", None, True),
        ("new", None, False),
    ],
)
def test_whatever_is_not_clearly_unchanged_is_a_suspect(verdict, p, expected):
    assert is_suspect(Change("case", verdict, p=p)) is expected
