"""Synthetic functions on a simulated clock, whose true median and mean are known exactly.

A call takes ``BASE_S * exp(sigma z)``, z standard normal, independent or correlated from call to call, so
that the true median is BASE_S and the true mean ``BASE_S * exp(sigma**2 / 2)``; outliers make it a mixture of
two such distributions. Both are of the steady state, which follows a slow first call or a ramp.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from scipy.optimize import brentq
from scipy.signal import lfilter
from scipy.special import ndtr

from breakeven.measure.simulated import SimulatedClock

BASE_S = 1e-3
TICK_S = 50e-9
"""What reading the clock costs, about as much as `time.perf_counter` does; the true values leave it out."""

CHUNK = 512


class TickingClock(SimulatedClock):
    """A simulated clock; reading it takes `TICK_S`."""

    __hash__ = object.__hash__  # pytest-benchmark caches the precision of each clock

    def __call__(self) -> float:
        """Read the clock."""
        self.advance(TICK_S)
        return self.now


@dataclass(frozen=True)
class Law:
    """A distribution of latencies with known median and mean.

    `sigma` is the relative noise, `rho` its lag-1 correlation (AR(1)); a call is an outlier, `factor`
    times as slow, with probability `outliers`. In a fresh process the first call takes `first` times as
    long, and the first `ramp_calls` calls decrease linearly from ``1 + ramp`` times their time.
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
        """The exact median: the point at which the mixture's distribution function is one half."""
        if not self.outliers:
            return BASE_S
        found = brentq(lambda at: self.share_below(at) - 0.5, BASE_S, BASE_S * self.factor, xtol=1e-18)
        return float(found)

    @property
    def min_s(self) -> float:
        """The approximate seconds that the best estimator, which knows the distribution, needs for a true 2%.

        The center of n normal scores is known to ``1.96 sigma / sqrt(n)``, correlation leaves (1 - rho) / (1
        + rho) of them, and outliers contribute no information.
        """
        calls = (1.96 * self.sigma / 0.02) ** 2 * (1 + self.rho) / (1 - self.rho) / (1 - self.outliers)
        return max(1.0, calls) * self.mean_s

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
        return lfilter([math.sqrt(1 - self.rho**2)], [1, -self.rho], fresh, zi=[self.rho * last])[0]

    def slowness(self, call: int) -> float:
        """Return how much longer than in the steady state call number `call` (from 0) takes."""
        ramp = 1 + self.ramp * max(0.0, 1 - call / self.ramp_calls)
        return ramp * (self.first if call == 0 else 1.0)


class SyntheticFunction:
    """A function without arguments that takes random time, seeded, on a simulated clock."""

    def __init__(self, distribution: Law, clock: TickingClock, repetition: int) -> None:
        self._distribution = distribution
        self._clock = clock
        self._rng = np.random.default_rng([crc32(distribution.name.encode()), repetition])
        self.fresh_process()

    def fresh_process(self) -> None:
        """Start again, with new noise and one-time costs."""
        self._times = self._distribution.latencies(self._rng)
        settled = self._distribution.ramp_calls if self._distribution.ramp else 1
        self._slow = [self._distribution.slowness(call) for call in reversed(range(settled))]

    def __call__(self) -> None:
        """Advance the clock by one call."""
        seconds = next(self._times)
        if self._slow:
            seconds *= self._slow.pop()
        self._clock.advance(seconds)


DISTRIBUTIONS: dict[str, Law] = {
    distribution.name: distribution
    for distribution in (
        Law("quiet", "independent noise of 1%", 0.01),
        Law("loud", "independent noise of 15%", 0.15),
        Law("correlated", "noise of 10%, AR(.7)", 0.10, rho=0.7),
        Law("outliers", "noise of 3%, 5% of the calls take 10x", 0.03, outliers=0.05),
        Law("correlated outliers", "noise of 10%, AR(.7), 5% of the calls take 10x", 0.10, 0.7, 0.05),
        Law("slow first call", "noise of 1%, a process's first call takes 1000x", 0.01, first=1000.0),
        Law("warm-up ramp", "noise of 1%, a process's first 40 calls ramp down from +30%", 0.01, ramp=0.3),
    )
}
"""The grid; `NOISY` are its noisy cells."""

NOISY = ("loud", "correlated", "outliers", "correlated outliers")
