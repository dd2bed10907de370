"""Which cases are timed again: the figures in the docstring of the limit, by seeded simulation."""

import math

import numpy as np
import pytest

from breakeven.compare.comparison import UNLIKE_STEPS, CaseComparison
from breakeven.experiment.retest import RETEST_P, needs_retest
from breakeven.stats.regression import effects


def p_values(cases, change, suites, runs=3, noise=0.02, seed=1):
    """The p-value of the slower case of each suite, and those of all other cases."""
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
def test_10_percent_is_never_missed(cases):
    changed, _ = p_values(cases, 0.10, 1000)
    assert (changed > RETEST_P).sum() <= 1


def test_5_percent_is_missed_in_one_of_nine():
    changed, _ = p_values(40, 0.05, 1000)
    assert 0.08 < (changed > RETEST_P).mean() < 0.15


def test_one_in_twelve_retests_is_needless():
    _, others = p_values(40, 0.0, 200)
    assert 0.06 < (others <= RETEST_P).mean() < 0.11


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
def test_needs_retest(verdict, p, expected):
    assert needs_retest(CaseComparison("case", verdict, p=p)) is expected


def test_unlike_steps():
    """New runs of a step that waits on one side only would not be judged either."""
    assert not needs_retest(CaseComparison("case", "inconclusive", reason=UNLIKE_STEPS))
    assert needs_retest(CaseComparison("case", "inconclusive", reason="the machine changed"))
