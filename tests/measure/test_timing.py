"""How a phase is timed: rounds, warm-up, and the number of rounds."""

import math

import numpy as np
import pytest

from breakeven.case import Budget
from breakeven.hardware.devices import Cpu
from breakeven.measure.round_plan import correlation_factor, plan_rounds
from breakeven.measure.simulated import SimulatedClock
from breakeven.measure.timing import Round, Timed, time_round
from breakeven.measure.trainer import Trainer
from breakeven.measure.warmup import (
    MAX_WARMUP_ROUNDS,
    MinWarmup,
    Warmup,
    beyond_steady,
    is_steady,
    min_warmup,
    relative_noise,
    warm_up,
)
from breakeven.measure.workload import mlp
from breakeven.phases import Phase

BUDGET = Budget()


class Script:
    """A round with given latencies; the last one repeats."""

    steps = 1

    def __init__(self, clock, latencies, prepare_s=0.0):
        self.clock, self.prepare_s, self.calls = clock, prepare_s, 0
        self.latencies = list(latencies)

    def setup(self):
        self.clock.advance(self.prepare_s)

    def run(self):
        self.clock.advance(self.latencies[min(self.calls, len(self.latencies) - 1)])
        self.calls += 1


def warm(latencies, floor=None, cap_s=1e6, seen=(), prepare_s=0.0):
    clock = SimulatedClock()
    floor = floor or MinWarmup(rounds=6, seconds=0.0)
    return warm_up(Script(clock, latencies, prepare_s), floor, cap_s, seen, clock)


def timed(latencies, prepare_s=0.0):
    return Warmup(tuple(Timed(prepare_s, latency) for latency in latencies), steady=True)


def noisy(noise, n=200, seed=0):
    return list(np.exp(np.random.default_rng(seed).normal(0, noise, n)) * 1e-3)


def test_preparing_is_not_latency():
    clock = SimulatedClock()
    assert time_round(Script(clock, [0.5], prepare_s=2.0), clock) == Timed(2.0, 0.5)


def test_last_round_is_released_before_the_next():
    seen = []

    class Spying(Trainer):
        def transfer(self):
            seen.append((self.batch, self.loss))
            super().transfer()

    trainer = Spying(mlp(2, width=4), Cpu())
    trainer.start()
    round_ = Round(Phase.FORWARD, trainer)
    time_round(round_)
    assert trainer.loss is not None
    round_.setup()
    assert seen == [(None, None), (None, None)]


def test_minimum_seconds():
    warmup = warm([0.01], MinWarmup(rounds=6, seconds=0.15))
    assert sum(t.latency_s for t in warmup.rounds) >= 0.15 - 1e-9
    assert warmup.steady


@pytest.mark.parametrize(
    ("latency_s", "settings", "rounds"),
    [
        (1.0, {}, 6),
        (1.0, {"seen": [Timed(0.0, 1.0)] * 4}, 6),
        (5.0, {"cap_s": 1.0}, 2),
        (0.0, {"floor": MinWarmup(rounds=6, seconds=0.15)}, MAX_WARMUP_ROUNDS),  # a clock that does not move
    ],
)
def test_length_of_warmup(latency_s, settings, rounds):
    assert len(warm([latency_s], **settings).rounds) == rounds


def test_ramping_clock():
    """25 ms of warm-up read 11.2 ms where 8.8 was right."""
    ramp = [0.0088 * (1 + 0.3 * math.exp(-i / 40)) for i in range(1000)]
    warmup = warm(ramp, min_warmup(Cpu()))
    assert warmup.steady
    assert warmup.rounds[-1].latency_s < 0.0088 * 1.01


def test_unsteady_warmup_ends_at_the_maximum():
    warmup = warm([0.01 * 1.05**i for i in range(500)], cap_s=1.0)
    assert not warmup.steady
    assert 1.0 < sum(t.latency_s for t in warmup.rounds) < 1.5


def test_beyond_steady():
    steady = timed([1.0] * 8, prepare_s=2.0)
    early = [Timed(0.5, 11.0), Timed(7.0, 4.0), Timed(2.0, 1.0)]
    assert beyond_steady(early, steady) == 10.0 + (11.0 - 3.0)
    assert beyond_steady([Timed(9.0, 1.0)], steady) == 10.0 - 3.0
    assert beyond_steady([Timed(0.5, 0.5)], steady) == 0.0


def test_noise_is_steady():
    steady = [is_steady(noisy(0.1, n=40, seed=seed)) for seed in range(200)]
    assert np.mean(steady) > 0.9


@pytest.mark.parametrize(
    ("latency_s", "prepare_s", "rounds", "lead_in"),
    [
        (0.5, 0.0, BUDGET.min_rounds, 0),
        (0.03, 0.0, 16, 0),
        (1e-4, 0.0, 40, 50),
        (1e-3, 0.5, BUDGET.min_rounds, 0),  # preparing counts
        (1.0, 0.0, 5, 0),  # the minimum would take more than five times the time
        (9.0, 0.0, 2, 0),
        (0.0, 0.0, 40, 50),
        (1e-320, 0.0, 40, 50),
    ],
)
def test_rounds_of_equal_times(latency_s, prepare_s, rounds, lead_in):
    """The minimum, or as many as are cheap."""
    plan = plan_rounds(timed([latency_s] * 20, prepare_s), BUDGET)
    assert (plan.rounds, plan.lead_in) == (rounds, lead_in)


def test_max_rounds():
    assert plan_rounds(timed(noisy(0.9)), Budget(max_time_s=1e6)).rounds == Budget().max_rounds
    assert plan_rounds(timed([0.0, 1.0] * 6), BUDGET).rounds >= BUDGET.min_rounds


def test_rounds_at_two_percent_noise():
    rounds = [plan_rounds(timed(noisy(0.02, seed=seed)), BUDGET).rounds for seed in range(100)]
    print(f"rounds to +-2% at 2% noise: median {np.median(rounds)}, most {max(rounds)}")
    assert np.median(rounds) <= 40


def test_plan_reaches_the_target_precision():
    """Checked on the intervals themselves, which the plan does not use."""
    from breakeven.stats.intervals import median_interval

    reached = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        plan = plan_rounds(timed(np.exp(rng.normal(0, 0.05, 60)) * 1e-3), BUDGET)
        reached.append(
            median_interval(np.exp(rng.normal(0, 0.05, plan.rounds))).half_width <= BUDGET.target_precision
        )
    assert np.mean(reached) > 0.8


def test_more_noise_more_rounds():
    low, high = (plan_rounds(timed(noisy(noise)), BUDGET).rounds for noise in (0.05, 0.10))
    assert high == pytest.approx(4 * low, rel=0.2)


def test_correlation_factor():
    rng = np.random.default_rng(1)
    state, latencies = 0.0, []
    for noise in rng.normal(0, 0.05, 400):
        state = 0.8 * state + noise
        latencies.append(math.exp(state))
    independent = rng.permutation(latencies)
    assert correlation_factor(latencies[-100:]) > 2
    assert correlation_factor(list(independent[-100:])) < 1.7


def test_slow_first_call_does_not_change_the_plan():
    """Plain pytest-benchmark times 5 rounds after a 1.2 s first call of a 1 ms function."""
    usual = plan_rounds(warm([1e-3] * 50), BUDGET)
    clock = SimulatedClock()
    script = Script(clock, [1.0] + [1e-3] * 50)
    first = time_round(script, clock)
    after = plan_rounds(warm_up(script, MinWarmup(6, 0.0), 1e6, (), clock), BUDGET)
    assert first.latency_s == 1.0
    assert after == usual


def test_rounds_within_max_time():
    plan = plan_rounds(timed(noisy(0.3, n=40), prepare_s=0.05), BUDGET)
    assert plan.rounds == int(1.0 / (0.05 + np.median(noisy(0.3, n=40)[-20:])))


def test_relative_noise():
    """It is the standard deviation without the outliers."""
    times = [*noisy(0.05, n=1000), *[1.0] * 50]
    assert relative_noise(times) == pytest.approx(0.05, rel=0.15)


def test_one_slow_round_of_few():
    """It decides nothing where the warm-up has only three."""
    assert plan_rounds(timed([0.01, 0.01, 6.0]), BUDGET) == plan_rounds(timed([0.01] * 3), BUDGET)


def test_too_few_rounds_to_tell():
    """A warm-up that the time cut short does not show that the times were changing."""
    assert warm([5.0, 4.0, 3.0], cap_s=1.0).steady
