"""Which cases take too long, and which are not tried because earlier ones did."""

import pytest

from breakeven.case import Budget, CaseKey, OutcomeKind
from breakeven.measure.outcomes import CaseSkipped, CaseTimeout, UnsupportedError
from breakeven.measure.skips import (
    APART_S,
    CONFIRMING_S,
    MAX_OVERRUN,
    MIN_OVERRUN_S,
    NEAR,
    Deadline,
    SkippedByRule,
    SkipPolicy,
    max_round_s,
    raise_if_over_budget,
    why_over_budget,
)

BUDGET = Budget()
LIMIT_S = max_round_s(BUDGET)
TOO_LONG_S = 1.01 * LIMIT_S
WHY = why_over_budget(TOO_LONG_S, BUDGET)


def test_why_over_budget():
    assert why_over_budget(0.8, BUDGET) is None
    reason = why_over_budget(2.0, BUDGET)
    assert "6 rounds of about 2.0 s" in reason
    assert "--benchmark-max-time=3" in reason
    assert why_over_budget(2.0, Budget(max_time_s=3.0)) is None  # what the message names is enough


def test_limit():
    """The minimum number of rounds takes a few times the maximum time, exactly."""
    budget = Budget(max_time_s=1.0, min_rounds=10)
    assert why_over_budget(MAX_OVERRUN / 10, budget) is None
    assert why_over_budget(1.001 * MAX_OVERRUN / 10, budget) is not None


@pytest.mark.parametrize("max_time_s", [1e-9, 0.02])
def test_lowest_limit(max_time_s):
    """However little time a case has, what takes no longer than preparing it is not too long."""
    budget = Budget(max_time_s=max_time_s, min_rounds=10)
    assert why_over_budget(MIN_OVERRUN_S / 10, budget) is None
    assert why_over_budget(1.001 * MIN_OVERRUN_S / 10, budget) is not None


def test_raise_if_over_budget():
    raise_if_over_budget(LIMIT_S, BUDGET)
    with pytest.raises(CaseSkipped) as raised:
        raise_if_over_budget(TOO_LONG_S, BUDGET)
    assert (str(raised.value), raised.value.step_s) == (WHY, TOO_LONG_S)


def key(phase, batch_size=8, device="cpu"):
    return CaseKey.of("w", batch_size, phase, device)


class Policy:
    """A policy, its clock, and a model of which one case is timed."""

    def __init__(self):
        self.now_s = 1000.0
        self.policy = SkipPolicy(lambda: self.now_s)
        self.policy.add_timed(key("transfer"))

    def observe(self, phase, seconds, batch_size=8, at_s=0.0):
        self.now_s = 1000.0 + at_s
        self.policy.observe(key(phase, batch_size), seconds, BUDGET)

    def slow_twice(self, batch_size=8):
        self.observe("train", TOO_LONG_S, batch_size)
        self.observe("forward", TOO_LONG_S, batch_size, at_s=APART_S)

    def refused(self, phase, batch_size=8, **options):
        """The reason for which a case is refused, None if it is tried."""
        try:
            self.policy.refuse(key(phase, batch_size), **options)
        except SkippedByRule as error:
            return str(error)
        return None


@pytest.fixture
def policy():
    return Policy()


@pytest.mark.parametrize(
    ("phase", "batch_size", "is_refused"),
    [
        ("backward", 8, True),
        ("train_sync", 9, True),
        ("backward", 7, False),
        ("train", 9, False),
        ("infer", 9, False),
        ("epoch", 9, False),
        ("transfer", 9, False),
        ("load", 9, False),
    ],
)
def test_slow_steps(policy, phase, batch_size, is_refused):
    """Two slow cases, far apart, show what else has whole steps of that size or larger ones."""
    policy.slow_twice()
    expected = f"not tried: forward at batch 8: {WHY}" if is_refused else None
    assert policy.refused(phase, batch_size) == expected
    assert policy.refused(phase, batch_size, was_timed=True) is None


@pytest.mark.parametrize("phase", ["forward", "backward", "step", "train_sync"])
@pytest.mark.parametrize("cases", [1, 20])
def test_one_stall(policy, cases, phase):
    """Any number of slow cases within a short time shows nothing: the machine may be stalled."""
    for case in range(cases):
        policy.observe("forward", 1e3, at_s=0.99 * APART_S * case / 20)
    assert policy.refused(phase, 64) is None


def test_timeouts(policy):
    """They show as much as slow cases: nothing alone, and together that others take too long."""
    policy.policy.add_failure(key("train"), CaseTimeout("why"), OutcomeKind.TIMEOUT, "why")
    policy.now_s += APART_S
    assert policy.refused("forward", 16) is None
    policy.policy.add_failure(key("forward"), CaseTimeout("why"), OutcomeKind.TIMEOUT, "why")
    assert policy.refused("backward", 16) == "not tried: forward at batch 8: why"


@pytest.mark.parametrize(("fast_batch", "is_refused"), [(7, True), (8, False), (64, False)])
@pytest.mark.parametrize("is_before", [False, True])
def test_fast_step(policy, fast_batch, is_refused, is_before):
    """One at that batch size or a larger one shows that the machine was stalled, also where it came first."""
    if is_before:
        policy.observe("train", LIMIT_S, fast_batch)
    policy.slow_twice()
    if not is_before:
        policy.observe("train", LIMIT_S, fast_batch, at_s=2 * APART_S)
    assert (policy.refused("backward") is not None) is is_refused
    assert policy.policy.may_be_skipped(key("backward")) is is_refused


@pytest.mark.parametrize("phase", ["transfer", "load", "epoch", "infer"])
def test_what_shows_no_step(policy, phase):
    """A copy, and what a loader slows down."""
    policy.observe(phase, 1e3)
    policy.observe(phase, 1e3, at_s=APART_S)
    assert policy.refused("backward") is None
    policy.observe(phase, 1e-9)
    policy.slow_twice()
    assert policy.refused("backward") is not None


def test_may_be_skipped(policy):
    """Not the first case of a model on a device, and none with an answer of its own."""
    assert policy.policy.may_be_skipped(key("forward"))
    assert policy.policy.may_be_skipped(key("transfer"))
    assert not policy.policy.may_be_skipped(key("forward", device="cuda"))
    assert not any(policy.policy.may_be_skipped(key(phase)) for phase in ("train", "infer", "load", "epoch"))


def test_nothing_of_a_model_timed():
    """However slow its cases are, one is timed."""
    policy = Policy()
    policy.policy = SkipPolicy(lambda: policy.now_s)
    policy.slow_twice()
    assert policy.refused("backward") is None
    policy.policy.add_timed(key("forward"))
    assert policy.refused("backward") is not None


@pytest.mark.parametrize(
    ("at_s", "phase", "batch_size", "factor", "is_expected"),
    [
        (CONFIRMING_S, "forward", 8, 1.0, True),
        (CONFIRMING_S, "forward", 8, 0.99 * NEAR, True),
        (CONFIRMING_S, "forward", 8, 1.01 * NEAR, False),
        (CONFIRMING_S, "forward", 8, 0.99 / NEAR, False),
        (CONFIRMING_S, "forward", 16, 1.0, False),
        (CONFIRMING_S, "infer", 8, 1.0, False),
        (0.99 * CONFIRMING_S, "forward", 8, 1.0, False),
    ],
)
def test_expected_call(policy, at_s, phase, batch_size, factor, is_expected):
    """One of a cell whose steps were as slow some time before, unless a larger batch was fast enough."""
    policy.observe("train", TOO_LONG_S)
    policy.now_s += at_s
    case = key(phase, batch_size)
    assert policy.policy.is_expected(case, factor * TOO_LONG_S) == is_expected
    policy.observe("train", LIMIT_S, 16, at_s=at_s)
    assert not policy.policy.is_expected(case, factor * TOO_LONG_S)


@pytest.mark.parametrize("device", ["cuda", "cpu@1"])
def test_other_devices(policy, device):
    policy.slow_twice()
    policy.policy.add_timed(key("train", device=device))
    policy.policy.refuse(key("backward", device=device))


@pytest.mark.parametrize("error", [CaseSkipped("why"), UnsupportedError("why"), ValueError("why")])
def test_failures_that_imply_nothing(policy, error):
    for _ in range(3):
        policy.policy.add_failure(key("forward"), error, OutcomeKind.SKIPPED, "why")
        policy.now_s += APART_S
    assert policy.refused("forward", 16) is None


def test_lost_device(policy):
    """Nothing is tried on it, also what an earlier process timed."""
    policy.policy.add_failure(key("train"), RuntimeError(), OutcomeKind.CRASHED, "why")
    for was_timed in (False, True):
        assert policy.refused("transfer", 1, was_timed=was_timed).startswith("not tried: cpu was lost in ")
    policy.policy.refuse(key("train", device="cuda"))


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
    ("ended", "phase", "batch_size", "is_refused"),
    [
        ("backward", "transfer", 9, True),
        ("backward", "train", 8, False),
        ("backward", "train", 9, True),
        ("train", "epoch", 16, True),
        ("train", "infer", 16, False),  # it needs less memory
        ("train", "load", 16, False),  # it needs none of the device
        ("infer", "infer", 16, True),
        ("infer", "train", 16, True),
        ("transfer", "infer", 16, True),
        ("infer", "load", 16, False),
        ("load", "load", 16, True),
        ("load", "epoch", 16, True),
        ("load", "train", 16, False),
    ],
)
def test_out_of_memory(policy, ended, phase, batch_size, is_refused):
    policy.policy.add_failure(key(ended), MemoryError(), OutcomeKind.OOM, "why")
    expected = f"not tried: {ended} at batch 8: out of memory" if is_refused else None
    assert policy.refused(phase, batch_size) == expected
    assert policy.refused(phase, batch_size, was_timed=True) is None
