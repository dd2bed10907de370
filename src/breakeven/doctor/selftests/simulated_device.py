"""Timing without real time: a simulated asynchronous device, planned rounds, thread counts."""

from __future__ import annotations

import math
from statistics import median
from typing import Any, Self

import numpy as np
import torch

from breakeven.case import Budget, CaseKey
from breakeven.doctor.selftests.suite import Check
from breakeven.hardware.devices import Cpu
from breakeven.measure.round_plan import RoundPlan, plan_rounds
from breakeven.measure.runner import Runner
from breakeven.measure.simulated import Costs, SimulatedClock, SimulatedDevice, simulated_workload
from breakeven.measure.timing import Round, Timed, time_round
from breakeven.measure.trainer import Trainer
from breakeven.measure.warmup import Warmup
from breakeven.measure.workload import Workload
from breakeven.phases import Phase

LAUNCH_S = 0.25
COSTS = Costs()
LOOP_STEPS = 8
"""The steps of a loop's round."""

FORWARD_S = 1e-3
FIRST_S = (1.0, 10.0, 60.0)


def exact_latency(phase: Phase, steps: int = 1) -> float:
    """Return the exact time of a step: all but the first launch of a round hide behind the device's work."""
    return LAUNCH_S / steps + sum(float(getattr(COSTS, part)) for part in phase.parts)


class ForgetfulDevice(SimulatedDevice):
    """A simulated device that forgets every second call of `synchronize`.

    A round synchronizes twice, after `prepare` and after `run`: `forgets` 0 is the first, 1 the second.
    """

    def __init__(self, clock: SimulatedClock, forgets: int) -> None:
        super().__init__(clock, LAUNCH_S)
        self.forgets, self.calls = forgets, 0

    def synchronize(self) -> None:
        """Wait for the queue, except where the call is forgotten."""
        self.calls += 1
        if (self.calls - 1) % 2 != self.forgets:
            super().synchronize()


def synchronization() -> list[Check]:
    """Return the share of rounds with the exact device time of their phase, and of missing calls noticed."""
    device = SimulatedDevice(SimulatedClock(), LAUNCH_S)
    forgetful = [ForgetfulDevice(SimulatedClock(), forgets) for forgets in (0, 1)]
    noticed = [share_captured(device) < 1 for device in forgetful]
    return [
        Check(
            "device time measured in the right phase (simulated)",
            share_captured(device),
            at_least=1.0,
            at_most=1.0,
        ),
        Check("a missing synchronize is noticed", sum(noticed) / len(noticed), at_least=1.0, at_most=1.0),
    ]


def share_captured(device: SimulatedDevice) -> float:
    """Return the share of rounds, 5 of each phase, that take exactly `exact_latency`."""
    trainer = Trainer(simulated_workload(device, COSTS), device)
    right = []
    for phase in (phase for phase in Phase if not phase.needs_loader):
        trainer.start()
        round_ = Round(phase, trainer, LOOP_STEPS if phase.is_loop else 1)
        exact = exact_latency(phase, round_.steps)
        right += [time_round(round_, device.clock).latency_s == exact for _ in range(5)]
        device.busy_until = device.clock.now  # so that a missing synchronization affects one phase, not all
    return sum(right) / len(right)


class NoisyDevice(SimulatedDevice):
    """A simulated device whose forward passes take 1 ms with 5% noise, and the first one `first_s`."""

    def __init__(self, clock: SimulatedClock, first_s: float) -> None:
        super().__init__(clock)
        self.costs = Costs(0.0, 0.0, FORWARD_S, 0.0, 0.0, 0.0)
        self.latencies = iter([first_s, *_noisy(10_000, 0.05)])

    def enqueue(self, seconds: float) -> None:
        """Queue work; each forward pass takes a different time."""
        super().enqueue(next(self.latencies) if seconds == FORWARD_S else seconds)


def slow_first_call() -> list[Check]:
    """Return how a first call of 1 s, 10 s and 60 s changes the plan and the median of calls of 1 ms."""
    alike, changes = [], []
    for phase in (Phase.FORWARD, Phase.TRAIN):
        usual, *slow = (_planned(phase, first_s) for first_s in (FORWARD_S, *FIRST_S))
        alike += [plan == usual[0] for plan, _ in slow]
        changes += [abs(latency_s / usual[1] - 1) for _, latency_s in slow]
    return [
        Check("cases planned alike after a first call of 1, 10 and 60 s", sum(alike) / len(alike), 1.0, 1.0),
        Check("change of the median after this first call", max(changes), at_most=0.01),
    ]


def _planned(phase: Phase, first_s: float) -> tuple[RoundPlan, float]:
    """Return what a session plans after a first call of `first_s`, and the median of the rounds."""
    clock = SimulatedClock()
    device = NoisyDevice(clock, first_s)
    plans: list[RoundPlan] = []
    latencies: list[float] = []

    def time_rounds(round_: Round, plan: RoundPlan) -> None:
        plans.append(plan)
        latencies.extend(time_round(round_, clock).latency_s for _ in range(plan.rounds))

    runner = Runner(Budget(), clock)
    case = CaseKey.of("simulated", 1, phase, device.name)
    runner.measure(case, device, lambda: simulated_workload(device, device.costs), time_rounds)
    runner.close()
    return plans[0], median(latencies)


def planned_rounds() -> list[Check]:
    """Return the median number of rounds planned for +-2% at 2% noise, over 100 seeds."""
    warmups = (
        Warmup(tuple(Timed(0.0, latency) for latency in _noisy(200, 0.02, seed)), steady=True)
        for seed in range(100)
    )
    rounds = median(plan_rounds(warmup, Budget()).rounds for warmup in warmups)
    return [Check("rounds planned for ±2% at 2% noise, median", rounds, at_most=40, unit="rounds")]


def _noisy(n: int, noise: float, seed: int = 0) -> list[float]:
    """Return n log-normal latencies of median 1 ms."""
    latencies: list[float] = (np.exp(np.random.default_rng(seed).normal(0, noise, n)) * FORWARD_S).tolist()
    return latencies


class _CountingLoss(torch.nn.Module):
    """A mean squared error that records the number of threads; its copies are the same object."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[int] = set()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        self.seen.add(torch.get_num_threads())
        return (outputs - targets).square().mean()


def one_thread() -> list[Check]:
    """Return how many threads torch uses inside the rounds of ``cpu@1``."""
    loss = _CountingLoss()
    counts: set[int] = set()

    def time_rounds(round_: Round, plan: RoundPlan) -> None:
        loss.seen.clear()
        for _ in range(min(20, plan.rounds)):
            time_round(round_)
        counts.update(loss.seen)

    def recipe() -> Workload:
        linear = torch.nn.Linear(4, 1)
        return Workload(linear, loss, torch.optim.SGD, torch.ones(2, 4), torch.zeros(2, 1))

    device = Cpu(1)
    runner = Runner(Budget(max_time_s=0.2))
    runner.measure(CaseKey.of("threads", 2, "train", device.name), device, recipe, time_rounds)
    runner.close()
    return [Check("threads of torch inside a round on cpu@1", max(counts, default=math.nan), 1, 1, "threads")]
