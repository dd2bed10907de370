"""The phases add up to the whole step, as far as two series of the same step agree."""

import math
from itertools import groupby

import numpy as np
import pytest
import torch

from breakeven.doctor.selftests import phase_sum
from breakeven.doctor.selftests.phase_sum import (
    MAX_ATTEMPTS,
    MAX_REPETITIONS,
    MIN_REPETITIONS,
    Attempt,
    Repetition,
    additivity,
    time_phases,
)
from breakeven.hardware.devices import Cpu
from breakeven.measure.step_parts import StepParts
from breakeven.measure.trainer import Trainer
from breakeven.phases import Phase

PARTS = {"transfer": 1.0, "zero_grad": 9.0, "forward": 20.0, "backward": 30.0, "step": 40.0}


class KnownTrainer:
    """Parts of known length on a clock of its own.

    `slower` multiplies a part's time where it is timed as a phase. `noise` is the log-sd of the machine's
    level, which changes every 20 rounds.
    """

    round_clock = None
    parts = StepParts()

    def __init__(self, noise=0.0, seed=0, **slower):
        self.device = Cpu(1)
        self.now = 0.0
        self.slower = slower
        self.levels = np.exp(np.random.default_rng(seed).normal(0, noise, 100_000)) if noise else None
        self.rounds = 0
        self.prepared = []

    def release(self):
        pass

    def cycle(self, _):
        return 1

    def prepare(self, phase, *_):
        self.prepared.append(phase)
        self.rounds += 1

    def run(self, phase, *_):
        for part in phase.parts:
            factor = self.slower.get(part, 1.0) if len(phase.parts) == 1 else 1.0
            self.do(part, factor)

    run_marked = Trainer.run_marked

    def do(self, part, factor=1.0):
        level = 1.0 if self.levels is None else self.levels[self.rounds // 20]
        self.now += PARTS[part] * factor * level


def check_with(trainer):
    """The check of one attempt with a known trainer, undisturbed by this machine's other processes."""
    timed = time_phases(lambda: trainer, lambda: trainer.now)
    (check,) = additivity(lambda: Attempt(timed.repetitions, lost=0.0))
    return check, len(timed.repetitions)


def test_phases_add_up():
    check, repetitions = check_with(KnownTrainer())
    assert check.reached == pytest.approx(0.0, abs=1e-12)
    assert (check.passed, check.at_most, repetitions) == (True, 0.03, MIN_REPETITIONS)
    assert "0.0%" in check.note


def test_every_part_is_timed_once_and_the_step_before_and_after():
    trainer = KnownTrainer()
    time_phases(lambda: trainer, lambda: trainer.now)
    order = [phase for phase, _ in groupby(trainer.prepared)]
    assert order[:7] == ["train", "transfer", "train", "forward", "backward", "step", "train"]
    assert set(trainer.prepared) <= set(Phase)


@pytest.mark.parametrize("part", ["backward", "step"])
@pytest.mark.parametrize("factor", [0.87, 1.13])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_wrong_phase_fails(part, factor, noise):
    check, _ = check_with(KnownTrainer(noise, **{part: factor}))
    assert check.reached == pytest.approx(abs(factor - 1) * PARTS[part] / 100, abs=1e-9 + noise / 3)
    assert not check.passed


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.05])
def test_missing_part_fails(monkeypatch, noise):
    monkeypatch.setattr(phase_sum, "STEP_PARTS", tuple(part for part in PARTS if part != "zero_grad"))
    check, _ = check_with(KnownTrainer(noise))
    assert check.reached == pytest.approx(0.09, abs=1e-9 + noise)
    assert not check.passed


@pytest.mark.slow
def test_noise_is_measured():
    """The bound follows the noise, and a correct harness passes on a noisy machine."""
    passed, bounds = 0, []
    for seed in range(100):
        check, _ = check_with(KnownTrainer(0.15, seed))
        passed += check.passed
        bounds.append(check.at_most)
    assert passed >= 95
    assert 0.03 < np.median(bounds) <= 0.05


def test_noise_is_averaged_out():
    """More repetitions where twelve are too noisy, up to a maximum."""
    counts = [check_with(KnownTrainer(noise))[1] for noise in (0.0, 0.01, 0.03, 1.0)]
    assert counts[:2] == [MIN_REPETITIONS] * 2
    assert MIN_REPETITIONS < counts[2] < counts[3] == MAX_REPETITIONS


def test_noise_explains_no_more_than_5_percent():
    noisy = [Repetition(1.06 * (1 + sign) / 2 + 0.53, 1.0, 1.0 + sign * 0.9) for sign in (0, 1)] * 6
    attempt = Attempt(noisy, lost=0.0)
    assert attempt.noise > 0.05
    assert attempt.allowed == 0.05


def test_noise_is_a_standard_error():
    """That of the median of normal differences."""
    rng = np.random.default_rng(0)
    attempts = [
        Attempt([Repetition(1.0, 1.0, 1.0 + 0.02 * rng.standard_normal()) for _ in range(40)], lost=0.0)
        for _ in range(400)
    ]
    medians = [np.median([each.difference for each in one.repetitions]) for one in attempts]
    assert np.median([one.noise for one in attempts]) == pytest.approx(np.std(medians), rel=0.1)
    assert np.std(medians) == pytest.approx(0.02 * 1.2533 / math.sqrt(40), rel=0.1)


def attempts_of(*attempts):
    left = list(attempts)
    (check,) = additivity(lambda: left.pop(0))
    return check, len(attempts) - len(left)


def with_residual(residual, lost):
    return Attempt([Repetition(1.0 + residual, 1.0, 1.0)], lost)


def test_least_disturbed_attempt_counts():
    """Even if its result is worse."""
    check, tried = attempts_of(with_residual(0.0, 0.5), with_residual(0.25, 0.03), with_residual(0.0, 0.4))
    assert tried == MAX_ATTEMPTS
    assert check.reached == pytest.approx(0.25)
    assert "other processes took 3.0% of the core" in check.note


def test_undisturbed_attempt_is_the_last():
    check, tried = attempts_of(with_residual(0.0, 0.5), with_residual(0.0, 0.0), with_residual(0.0, 0.0))
    assert tried == 2
    assert "attempt 2 of 2" in check.note


def test_one_thread_is_used(monkeypatch):
    """The real trainer's series run on one thread, and the number of threads is restored."""
    seen = set()
    monkeypatch.setattr(phase_sum, "MIN_REPETITIONS", 1)
    monkeypatch.setattr(phase_sum, "MAX_REPETITIONS", 1)
    real = phase_sum.time_round
    monkeypatch.setattr(
        phase_sum, "time_round", lambda *args: seen.add(torch.get_num_threads()) or real(*args)
    )
    before = torch.get_num_threads()
    attempt = time_phases()
    assert (seen, torch.get_num_threads()) == ({1}, before)
    assert attempt.repetitions[0].parts_s > 0
