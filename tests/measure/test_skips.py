"""Which cases take too long, and what smaller batches predict."""

import pytest

from breakeven.case import Budget, CaseKey, OutcomeKind
from breakeven.measure.outcomes import CaseSkipped, CaseTimeout, UnsupportedError
from breakeven.measure.skips import (
    CONTENDED_FACTOR,
    MAX_OVERRUN,
    Deadline,
    Forecast,
    SkippedByRule,
    SkipPolicy,
    SkipRule,
    SlowedDown,
    max_round_s,
    raise_if_over_budget,
    why_over_budget,
)

BUDGET = Budget()


def test_why_over_budget():
    assert why_over_budget(0.8, BUDGET) is None
    reason = why_over_budget(2.0, BUDGET)
    assert "6 rounds of about 2.0 s" in reason
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


LIMIT_S = max_round_s(BUDGET)
TOO_LONG_S = 1.01 * LIMIT_S


def key(phase, batch_size=8):
    return CaseKey.of("w", batch_size, phase, "cpu")


def refused(policy, phase, batch_size=8, **options):
    """The error by which a case is refused, None if it is tried."""
    try:
        policy.refuse(key(phase, batch_size), BUDGET, **options)
    except CaseSkipped as error:
        return error
    return None


def test_limit():
    """The minimum number of rounds takes a few times the maximum time, exactly."""
    budget = Budget(max_time_s=1.0, min_rounds=10)
    assert why_over_budget(MAX_OVERRUN / 10, budget) is None
    assert why_over_budget(1.001 * MAX_OVERRUN / 10, budget) is not None


@pytest.mark.parametrize(("phase", "is_refused"), [("forward", True), ("transfer", False), ("train", False)])
def test_step_of_the_headline(phase, is_refused):
    """Where it is too long the cell's other phases with whole steps are not tried, and know that step."""
    policy = SkipPolicy()
    policy.observe(key("train"), TOO_LONG_S)
    error = refused(policy, phase)
    assert (error is not None) is is_refused
    if is_refused:
        assert type(error) is CaseSkipped
        assert (str(error), error.step_s) == (why_over_budget(TOO_LONG_S, BUDGET), TOO_LONG_S)
    assert refused(policy, phase, batch_size=9) is None
    assert refused(policy, phase, was_timed=True) is None


def test_step_of_the_headline_that_fits():
    policy = SkipPolicy()
    policy.observe(key("train"), LIMIT_S)
    assert refused(policy, "forward") is None


@pytest.mark.parametrize("phase", ["train", "load", "forward", "transfer"])
def test_predicted(phase):
    """Smaller batches of the same phase predict it; the headline and loading are tried all the same."""
    policy = SkipPolicy()
    for batch_size in (1, 2):
        policy.observe(key(phase, batch_size), batch_size * LIMIT_S / 4)
    assert refused(policy, phase, 4) is None
    error = refused(policy, phase, 5)
    assert (error is not None) is (phase not in ("train", "load"))
    if error is not None:
        assert str(error) == f"predicted from smaller batches: {why_over_budget(1.25 * LIMIT_S, BUDGET)}"
    assert refused(policy, phase, 5, was_timed=True) is None


@pytest.mark.parametrize(
    ("error", "kind", "phase", "covers"),
    [
        (CaseSkipped("why"), OutcomeKind.SKIPPED, "backward", True),
        (CaseTimeout("why"), OutcomeKind.TIMEOUT, "backward", True),
        (SkippedByRule("why"), OutcomeKind.SKIPPED, "backward", False),
        (SlowedDown("why"), OutcomeKind.SKIPPED, "backward", False),
        (UnsupportedError("why"), OutcomeKind.SKIPPED, "backward", False),
        (ValueError("why"), OutcomeKind.FAILED, "backward", False),
        (MemoryError("why"), OutcomeKind.OOM, "train", True),
    ],
)
def test_rules(error, kind, phase, covers):
    """Whether an error implies something for a larger batch, unless an earlier process timed that."""
    policy = SkipPolicy()
    policy.add_rule(key(phase), error, kind, "why")
    found = refused(policy, phase, 16)
    assert (found is not None) is covers
    if covers:
        what = "out of memory" if kind == OutcomeKind.OOM else "why"
        assert str(found) == f"not tried: {phase} at batch 8: {what}"
    assert refused(policy, phase, 16, was_timed=True) is None


def test_lost_device():
    """Nothing is tried on it, also what an earlier process timed."""
    policy = SkipPolicy()
    policy.add_rule(key("train"), RuntimeError(), OutcomeKind.CRASHED, "why")
    for was_timed in (False, True):
        error = refused(policy, "transfer", 1, was_timed=was_timed)
        assert isinstance(error, SkippedByRule)
        assert str(error).startswith("not tried: cpu was lost in ")
    policy.refuse(CaseKey.of("w", 8, "train", "cuda"), BUDGET)


@pytest.mark.parametrize(
    ("factor", "kind"),
    [(1.0, CaseSkipped), (CONTENDED_FACTOR, CaseSkipped), (1.01 * CONTENDED_FACTOR, SlowedDown)],
)
def test_slowed_down(factor, kind):
    """Rounds far slower than the fastest one are the fault of other programs."""
    fastest_s = 2 * LIMIT_S
    with pytest.raises(CaseSkipped) as raised:
        raise_if_over_budget(factor * fastest_s, BUDGET, fastest_s)
    assert type(raised.value) is kind
    assert raised.value.step_s == (fastest_s if kind is SlowedDown else factor * fastest_s)
    raise_if_over_budget(LIMIT_S, BUDGET, 1e-9)


def test_deadline():
    """It passes at its end, or where what is needed does not fit."""
    now = [5.0]
    deadline = Deadline(10.0, lambda: now[0])
    deadline.check(9.5)
    with pytest.raises(CaseTimeout, match=r"took 0 s, and 10 s more are needed; .*--breakeven-timeout=20"):
        deadline.check(10.0)
    now[0] = 14.5
    assert deadline.left_s == 0.5
    deadline.check()
    now[0] = 15.0
    with pytest.raises(CaseTimeout, match=r"took 10 s; a case may take 10 s; .*--breakeven-timeout=20"):
        deadline.check()


@pytest.mark.parametrize(
    ("ended", "kind", "phase", "is_covered"),
    [
        ("train", OutcomeKind.OOM, "train", True),
        ("train", OutcomeKind.OOM, "epoch", True),
        ("train", OutcomeKind.OOM, "infer", False),  # it needs less memory
        ("train", OutcomeKind.OOM, "load", False),  # it needs none of the device
        ("infer", OutcomeKind.OOM, "infer", True),
        ("infer", OutcomeKind.OOM, "train", True),
        ("infer", OutcomeKind.OOM, "load", False),
        ("load", OutcomeKind.OOM, "load", True),
        ("load", OutcomeKind.OOM, "epoch", True),
        ("load", OutcomeKind.OOM, "train", False),
        ("forward", OutcomeKind.SKIPPED, "backward", True),
        ("forward", OutcomeKind.SKIPPED, "infer", False),
        ("forward", OutcomeKind.SKIPPED, "load", False),
        ("forward", OutcomeKind.SKIPPED, "epoch", False),
        ("transfer", OutcomeKind.SKIPPED, "infer", False),  # an answer is not skipped for its time
        ("load", OutcomeKind.SKIPPED, "load", True),
    ],
)
def test_what_a_rule_covers(ended, kind, phase, is_covered):
    rule = SkipRule(CaseKey.of("w", 8, ended, "cpu"), kind, "")
    assert rule.covers(CaseKey.of("w", 16, phase, "cpu")) is is_covered
