"""Synthetic functions on a virtual clock, whose true median and mean are known exactly.

A call takes ``BASE_S * exp(sigma z)``, z standard normal, alone or correlated from call to call, so that the
true median is BASE_S and the true mean ``BASE_S * exp(sigma**2 / 2)``; outliers make a mixture of two such
laws. The truth is that of the steady state: a slow first call or a ramp is what a tool has to get past.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from scipy.special import ndtr

BASE_S = 1e-3
TICK_S = 50e-9
"""What reading the clock costs, about as much as `time.perf_counter` does; it is not part of the truth."""

CHUNK = 512


class VirtualClock:
    """Seconds that pass only when a function or a reading of the clock lets them."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Read the clock, which takes `TICK_S`."""
        self.now += TICK_S
        return self.now


@dataclass(frozen=True)
class Truth:
    """A law of latencies.

    `sigma` is the relative noise, `rho` its lag-1 correlation (AR(1)); a call is an outlier, `factor`
    times as slow, with probability `outliers`. In a fresh process the first call takes `first` times as
    long, and the first `ramp_calls` calls fall linearly from ``1 + ramp`` times their time to it.
    """

    name: str
    what: str
    sigma: float
    rho: float = 0.0
    outliers: float = 0.0
    factor: float = 10.0
    first: float = 1.0
    ramp: float = 0.0
    ramp_calls: int = 40

    @property
    def mean_s(self) -> float:
        """The exact mean."""
        return BASE_S * math.exp(self.sigma**2 / 2) * (1 + self.outliers * (self.factor - 1))

    @property
    def median_s(self) -> float:
        """The exact median: where the mixture's distribution function is one half."""
        if not self.outliers:
            return BASE_S
        low, high = BASE_S, BASE_S * self.factor
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if self.share_below(middle) < 0.5 else (low, middle)
        return low

    @property
    def least_s(self) -> float:
        """About the least wall seconds to a true 2%: what the best estimator would need that knew this law.

        The centre of n normal scores is known to ``1.96 sigma / sqrt(n)``, correlation leaves (1 - rho) /
        (1 + rho) of them, and an outlier tells nothing.
        """
        calls = (1.96 * self.sigma / 0.02) ** 2 * (1 + self.rho) / (1 - self.rho) / (1 - self.outliers)
        return max(1.0, calls) * self.mean_s

    def of(self, estimand: str) -> float:
        """Return the true ``median`` or ``mean``, in seconds."""
        return {"median": self.median_s, "mean": self.mean_s}[estimand]

    def share_below(self, seconds: float) -> float:
        """Return the probability that a steady call takes less."""
        score = math.log(seconds / BASE_S)
        usual = ndtr(score / self.sigma)
        slow = ndtr((score - math.log(self.factor)) / self.sigma)
        return float((1 - self.outliers) * usual + self.outliers * slow)

    def latencies(self, rng: np.random.Generator) -> Iterator[float]:
        """Yield the seconds of call after call in a fresh process."""
        score = rng.standard_normal()
        while True:
            scores = self._scores(score, rng)
            score = scores[-1]
            times = BASE_S * np.exp(self.sigma * scores)
            if self.outliers:
                times[rng.random(CHUNK) < self.outliers] *= self.factor
            yield from times.tolist()

    def _scores(self, last: float, rng: np.random.Generator) -> np.ndarray:
        fresh = rng.standard_normal(CHUNK)
        if not self.rho:
            return fresh
        share = math.sqrt(1 - self.rho**2)
        scores = []
        for shock in fresh.tolist():
            last = self.rho * last + share * shock
            scores.append(last)
        return np.array(scores)

    def slowness(self, call: int) -> float:
        """Return how much longer than in the steady state call number `call` (from 0) takes."""
        ramp = 1 + self.ramp * max(0.0, 1 - call / self.ramp_calls)
        return ramp * (self.first if call == 0 else 1.0)


class VirtualFunction:
    """A function without arguments that takes the time of a truth on a virtual clock, seeded."""

    def __init__(self, truth: Truth, clock: VirtualClock, repetition: int) -> None:
        self._truth = truth
        self._clock = clock
        self._rng = np.random.default_rng([crc32(truth.name.encode()), repetition])
        self.fresh_process()

    def fresh_process(self) -> None:
        """Begin anew: other noise, and whatever comes once in a process comes again."""
        self._times = self._truth.latencies(self._rng)
        settled = self._truth.ramp_calls if self._truth.ramp else 1
        self._slow = [self._truth.slowness(call) for call in reversed(range(settled))]

    def __call__(self) -> None:
        """Let the time of one call pass."""
        seconds = next(self._times)
        if self._slow:
            seconds *= self._slow.pop()
        self._clock.now += seconds


TRUTHS: dict[str, Truth] = {
    truth.name: truth
    for truth in (
        Truth("quiet", "independent noise of 1%", 0.01),
        Truth("loud", "independent noise of 15%", 0.15),
        Truth("correlated", "noise of 10%, AR(.7)", 0.10, rho=0.7),
        Truth("outliers", "noise of 3%, 5% of the calls take 10x", 0.03, outliers=0.05),
        Truth("correlated outliers", "noise of 10%, AR(.7), 5% of the calls take 10x", 0.10, 0.7, 0.05),
        Truth("slow first call", "noise of 1%, a process's first call takes 1000x", 0.01, first=1000.0),
        Truth("warm-up ramp", "noise of 1%, a process's first 40 calls ramp down from +30%", 0.01, ramp=0.3),
    )
}
"""The grid; what is noisy is `NOISY`."""

NOISY = ("loud", "correlated", "outliers", "correlated outliers")
