"""p-values and false discovery rates match scipy.stats."""

import numpy as np
import pytest
from scipy import stats

from breakeven.stats.significance import benjamini_hochberg, look_penalty, student_quantile, two_sided_p


@pytest.mark.parametrize("dof", [1, 2.5, 30])
def test_student(dof):
    assert two_sided_p(-1.7, dof) == pytest.approx(2 * stats.t.sf(1.7, dof))
    assert student_quantile(dof, 0.9) == pytest.approx(stats.t.ppf(0.95, dof))


def test_benjamini_hochberg():
    p = np.random.default_rng(9).random(100) ** 3
    assert benjamini_hochberg(p) == pytest.approx(stats.false_discovery_control(p))


def test_nan_is_not_a_test():
    p = np.array([0.01, np.nan, 0.04])
    assert benjamini_hochberg(p) == pytest.approx(np.array([0.02, np.nan, 0.04]), nan_ok=True)


@pytest.mark.parametrize("looks", [1, 2, 6, 40])
def test_shares_of_looks_sum_to_one(looks):
    penalties = [look_penalty(look, is_last=look == looks) for look in range(1, looks + 1)]
    assert sum(1 / penalty for penalty in penalties) == pytest.approx(1.0)
