"""Figures from readings, compared with numbers worked by hand."""

import math

import pytest
from metrics import Observation, biased, figures, ratio_of_costs, seconds_to_target
from shared import share
from tools import Measurement


def seen(errors, reach=0.02, wall_s=1.0, true_s=2.0):
    """Return readings that are off by `errors`, with intervals of half-width `reach` (relative)."""
    return [
        Observation(
            Measurement(
                true_s * (1 + error),
                None if reach is None else true_s * (1 + error - reach),
                None if reach is None else true_s * (1 + error + reach),
                rounds=40,
                estimand="median",
            ),
            true_s,
            wall_s,
        )
        for error in errors
    ]


def test_figures():
    """Bias, width and coverage of eleven readings."""
    found = figures(seen([-0.05, -0.04, -0.03, -0.02, -0.01, 0.0, 0.01, 0.02, 0.03, 0.04, 0.05], reach=0.035))
    assert found.n == 11
    assert found.bias == pytest.approx(0)
    assert found.mean_error == pytest.approx(0)
    assert found.true_half_width == pytest.approx(0.05)
    assert found.coverage == pytest.approx(7 / 11)
    assert found.claimed_half_width == pytest.approx(0.035)
    assert found.to_target_s == pytest.approx(2.5**2)
    assert found.rounds == 40


def test_no_interval():
    """A tool without an interval has no coverage."""
    found = figures(seen([0.01] * 10, reach=None))
    assert found.coverage is None
    assert found.coverage_interval is None
    assert found.claimed_half_width is None


@pytest.mark.parametrize(("half_width", "seconds"), [(0.04, 12.0), (0.02, 3.0), (0.001, 3.0), (0.03, 6.75)])
def test_seconds_to_two_percent(half_width, seconds):
    assert seconds_to_target(3.0, half_width) == pytest.approx(seconds)


def test_biased():
    assert biased((0.021, 0.05))
    assert biased((-0.05, -0.021))
    assert not biased((0.01, 0.05))
    assert figures(seen([0.3, 0.29, 0.31] * 4)).to_target_s is None


def test_what_averages_out_may_be_skewed():
    found = figures(seen([-0.03] * 9 + [0.27]))  # the median is off by 3%, the mean by nothing
    assert found.bias == pytest.approx(-0.03)
    assert found.mean_error == pytest.approx(0, abs=1e-12)
    assert found.to_target_s is not None


def test_mean_wall_and_the_ratio_of_costs():
    ours, others = seen([0.01, -0.01] * 10, wall_s=2.0), seen([0.01, -0.01] * 10, wall_s=6.0)
    assert ratio_of_costs(others, ours) == pytest.approx((3.0, 3.0))
    assert ratio_of_costs(seen([0.5] * 20), ours) is None


def test_ratio_interval():
    spread = [0.001 * step for step in range(-30, 31)]
    ours, others = seen(spread), seen([2 * error for error in spread])
    low, high = ratio_of_costs(others, ours)
    assert low < figures(others).to_target_s / figures(ours).to_target_s < high
    assert (low, high) == ratio_of_costs(others, ours)


def test_wilsons_interval_by_hand():
    assert share(95, 100, bound=0.9) == {
        "share": 0.95,
        "low": pytest.approx(0.8882, abs=1e-4),
        "high": pytest.approx(0.9785, abs=1e-4),
        "n": 100,
        "bound": 0.9,
    }
    assert share(10, 10)["high"] == pytest.approx(1.0)


def test_one_reading():
    """The figures of a single reading have no intervals."""
    found = figures(seen([0.5]))
    assert found.bias_interval is None
    assert math.isinf(found.mean_error_interval[1])
