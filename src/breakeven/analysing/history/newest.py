"""Is the newest run what its series led one to expect? A prediction interval for one more run, and verdicts.

Owns how sure one must be. A plain 95% interval would be left by 5 of 100 unchanged runs, in each of hundreds
of series: every pull request would fail. So the interval is a simultaneous one: of runs in which nothing
changed, 95% stay inside all of their intervals (Benjamini-Hochberg at 5% over the series of the run, which
widens no more than it must when much did change), and no single series leaves its own more often than once
in a thousand runs. Pure: numbers in, verdicts out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from breakeven.analysing.history.changes import FEWEST_RUNS, Findings
from breakeven.analysing.history.noise import Array
from breakeven.analysing.history.students_t import two_sided_p, upper_point

FALSE_DISCOVERIES = 0.05
ONE_SERIES = 0.001
"""How often a single series' interval may be left by chance."""

RESOLUTION = 0.10
"""An interval reaching further than so much to a side shows nothing: `inconclusive`."""


@dataclass(frozen=True)
class Expected:
    """What the runs before the newest lead one to expect of its logarithm; `found` is what came."""

    mean: float
    error: float
    freedom: float
    found: float

    @property
    def p(self) -> float:
        """How likely a run as far from the mean is, if nothing changed."""
        return two_sided_p((self.found - self.mean) / self.error, self.freedom)


@dataclass(frozen=True)
class Verdict:
    """The newest run over what was expected; between `low` and `high` lies what an unchanged run may give."""

    ratio: float
    low: float | None
    high: float | None
    word: str


def expect(values: Array, findings: Findings) -> Expected | None:
    """Return what was to be expected of the last value; None where too few runs are before it.

    Args:
        values: logarithms, in the order of the runs.
        findings: of the same values; the last one belongs to the current level.
    """
    if len(values) <= FEWEST_RUNS:
        return None
    before = findings.tame[findings.levels[-1].start : -1]
    mean, noise = float(before.mean()), findings.noise
    error = math.hypot(noise.sd, noise.of_mean(len(before)))
    return Expected(mean, error, findings.freedom, float(values[-1]))


def judge(expected: Sequence[Expected], worse: Sequence[int], threshold: float) -> list[Verdict]:
    """Return a verdict for each series of one run.

    Args:
        expected: of each series.
        worse: 1 for a series that is worse when it rises, -1 for one that is worse when it falls.
        threshold: the smallest change, relative, that counts.
    """
    error = chance_of_leaving([item.p for item in expected])
    return [_verdict(item, sign, error, threshold) for item, sign in zip(expected, worse, strict=True)]


def chance_of_leaving(p_values: Sequence[float]) -> float:
    """Return how often by chance an interval may be left, so that alarms of one run are mostly true.

    >>> chance_of_leaving([0.5] * 100)
    0.0005
    >>> chance_of_leaving([0.0] * 10 + [0.5] * 90)
    0.001
    """
    ordered = np.sort(np.asarray(p_values, dtype=float))
    steps = FALSE_DISCOVERIES * np.arange(1, len(ordered) + 1) / max(1, len(ordered))
    passed = np.flatnonzero(ordered <= steps)
    return min(ONE_SERIES, float(steps[passed[-1] if len(passed) else 0])) if len(ordered) else ONE_SERIES


def _verdict(expected: Expected, worse: int, error: float, threshold: float) -> Verdict:
    reach = upper_point(expected.freedom, 1 - error) * expected.error
    step = expected.found - expected.mean
    outside = abs(step) > reach and abs(step) >= math.log1p(threshold)
    if outside:
        word = "regressed" if step * worse > 0 else "improved"
    else:
        word = "inconclusive" if math.expm1(reach) > RESOLUTION else "unchanged"
    low, high = (_ratio(end) for end in (-reach, reach))
    return Verdict(_ratio(step) or 0.0, low, high, word)


def _ratio(log: float) -> float | None:
    """Return e to the power of `log`; None where no number is so large or so small."""
    return math.exp(log) if abs(log) < _MOST else None


_MOST = 700.0
