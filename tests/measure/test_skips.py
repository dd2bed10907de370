"""Which cases take too long, and what smaller batches predict."""

import pytest

from breakeven.case import Budget, CaseKey, OutcomeKind
from breakeven.measure.skips import Forecast, SkipRule, why_over_budget

BUDGET = Budget()


def test_why_over_budget():
    assert why_over_budget(0.8, BUDGET) is None
    reason = why_over_budget(2.0, BUDGET)
    assert "6 rounds of about 2 s" in reason
    assert "--benchmark-max-time=3" in reason
    assert why_over_budget(2.0, Budget(max_time_s=3.0)) is None  # what the message names is enough


@pytest.mark.parametrize(
    ("seen", "predicted"),
    [
        ({1: 9.0, 10: 1.0, 20: 2.0, 500: 0.0}, 10.0),  # the line through the two largest smaller batches
        ({10: 2.0, 20: 1.0}, 1.0),  # it never falls
        ({10: 2.0}, None),
    ],
)
def test_forecast(seen, predicted):
    forecast = Forecast()
    for batch_size, seconds in seen.items():
        forecast.observe("cell", batch_size, seconds)
    assert forecast.predict("cell", 100) == (predicted and pytest.approx(predicted))
    assert forecast.predict("other", 100) is None


@pytest.mark.parametrize(
    ("kind", "batch_size", "phase", "covers"),
    [
        (OutcomeKind.SKIPPED, 8, "backward", True),
        (OutcomeKind.SKIPPED, 8, "train_sync", True),
        (OutcomeKind.SKIPPED, 8, "train", False),
        (OutcomeKind.TIMEOUT, 8, "step", True),
        (OutcomeKind.TIMEOUT, 16, "train", False),
        (OutcomeKind.SKIPPED, 9, "backward", True),
        (OutcomeKind.SKIPPED, 8, "forward", False),
        (OutcomeKind.SKIPPED, 7, "train", False),
        (OutcomeKind.OOM, 9, "transfer", True),
        (OutcomeKind.OOM, 8, "train", False),
        (OutcomeKind.OOM, 9, "train", True),
    ],
)
def test_skip_rule(kind, batch_size, phase, covers):
    """Out of memory covers larger batches, too long later phases too, but never the headline."""
    rule = SkipRule(CaseKey.of("w", 8, "backward", "cpu"), kind, "")
    assert rule.covers(CaseKey.of("w", batch_size, phase, "cpu")) is covers
