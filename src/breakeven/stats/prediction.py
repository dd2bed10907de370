"""Is the newest run what its series led one to expect? A prediction interval for one more run, and verdicts.

Owns how sure one must be. A plain 95% interval would be left by 5 of 100 unchanged runs, in each of hundreds
of series: every pull request would fail. So the interval is a simultaneous one: of runs in which nothing
changed, 95% stay inside all of their intervals (Benjamini-Hochberg at 5% over the series of the run, which
widens no more than it must when much did change), and no single series leaves its own more often than once
in a thousand runs.

That reckons with normal noise. A machine that other programs use gives some runs ten times the usual, and a
series of twenty runs may not have met one yet, though its neighbors have. So the interval also holds what
runs are seen to do here now and then: a run is outside only where fewer than one in two hundred strayed so
far, by the series' own runs and, as if it had thirty more, those of all series. Pure: numbers in, verdicts
out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from breakeven.stats.ar1_noise import Array
from breakeven.stats.change_points import MIN_RUNS, Findings
from breakeven.stats.regression import Verdict
from breakeven.stats.significance import benjamini_hochberg, student_quantile, two_sided_p

FALSE_DISCOVERIES = 0.05
ONE_SERIES = 0.001
"""How often a single series' interval may be left by chance."""

RARE = 0.005
"""How often runs may have strayed as far as one that is outside; a series cannot show much less."""

BORROWED_RUNS = 30
"""So many runs of its own are worth what all series of the machine were seen to do."""

RESOLUTION = 0.10
"""An interval reaching further than so much to a side shows nothing: `inconclusive`."""


@dataclass(frozen=True)
class Expected:
    """What the runs before the newest lead one to expect of its logarithm; `found` is what came.

    `strayed` is how far each run before it lay from its level, in standard deviations, ascending; spikes too.
    """

    mean: float
    error: float
    dof: float
    found: float
    residuals: Array

    @property
    def t(self) -> float:
        """How far from the mean it came, in standard errors."""
        return (self.found - self.mean) / self.error

    @property
    def p(self) -> float:
        """How likely a run as far from the mean is, if nothing changed and noise is normal."""
        return two_sided_p(self.t, self.dof)


@dataclass(frozen=True)
class Judgment:
    """The newest run over what was expected; between `low` and `high` lies what an unchanged run may give."""

    ratio: float
    low: float | None
    high: float | None
    verdict: Verdict


def expect(values: Array, findings: Findings) -> Expected | None:
    """Return what was to be expected of the last value; None where too few runs are before it.

    Args:
        values: logarithms, in the order of the runs.
        findings: of the same values; the last one belongs to the current level.
    """
    if len(values) <= MIN_RUNS:
        return None
    before = findings.winsorized[findings.levels[-1].start : -1]
    mean, noise = float(before.mean()), findings.noise
    error = math.hypot(noise.sd, noise.error_of_mean(len(before)))
    means = np.repeat([level.mean for level in findings.levels], [level.n for level in findings.levels])
    residuals = np.sort((values - means)[:-1]) / noise.sd
    return Expected(mean, error, findings.dof, float(values[-1]), residuals)


def judge(expected: Sequence[Expected], worse: Sequence[int], threshold: float) -> list[Judgment]:
    """Return a verdict for each series of one run.

    Args:
        expected: of each series.
        worse: 1 for a series that is worse when it rises, -1 for one that is worse when it falls.
        threshold: the smallest change, relative, that counts.
    """
    moving = [
        item.residuals for item in expected if item.residuals.any()
    ]  # what never moves tells nothing here
    machine = np.sort(np.concatenate(moving)) if moving else np.zeros(1)
    mirrored = -machine[::-1]
    usual = [(-_usual(-e.residuals[::-1], mirrored), _usual(e.residuals, machine)) for e in expected]
    error = allowed_error(
        [1.0 if low <= e.t <= high else e.p for e, (low, high) in zip(expected, usual, strict=True)]
    )
    return [_verdict(*one, error, threshold) for one in zip(expected, worse, usual, strict=True)]


def _usual(own: Array, machine: Array) -> float:
    """Return how far up runs stray too often for it to be rare; both ascending, in standard deviations."""
    few = RARE * (len(own) + BORROWED_RUNS)
    far = [0.0]
    for met in range(min(len(own), int(few) + 1) + 1):
        # With so many of its own that far, so large a share of all makes it too often.
        share = (few - met) / BORROWED_RUNS
        beyond = int(share * len(machine)) + 1 if share >= 0 else 1
        if beyond <= len(machine):
            far.append(float(min(machine[-beyond], own[-met]) if met else machine[-beyond]))
    return max(far)


def allowed_error(p_values: Sequence[float]) -> float:
    """Return how often by chance an interval may be left, so that alarms of one run are mostly true.

    >>> allowed_error([0.5] * 100)
    0.0005
    >>> allowed_error([0.0] * 10 + [0.5] * 90)
    0.001
    """
    if not p_values:
        return ONE_SERIES
    rejected = int((benjamini_hochberg(np.array(p_values)) <= FALSE_DISCOVERIES).sum())
    return min(ONE_SERIES, FALSE_DISCOVERIES * max(1, rejected) / len(p_values))


def _verdict(
    expected: Expected, worse: int, usual: tuple[float, float], error: float, threshold: float
) -> Judgment:
    reach = student_quantile(expected.dof, 1 - error)
    low, high = (end * expected.error for end in (min(-reach, usual[0]), max(reach, usual[1])))
    step = expected.found - expected.mean
    outside = not low <= step <= high and abs(step) >= math.log1p(threshold)
    if outside:
        verdict = Verdict.REGRESSED if step * worse > 0 else Verdict.IMPROVED
    else:
        wide = max(-low, high) > math.log1p(RESOLUTION)
        verdict = Verdict.INCONCLUSIVE if wide else Verdict.UNCHANGED
    return Judgment(_ratio(step) or 0.0, _ratio(low), _ratio(high), verdict)


def _ratio(log: float) -> float | None:
    """Return e to the power of `log`; None where no number is so large or so small."""
    return math.exp(log) if abs(log) < _MOST else None


_MOST = 700.0
