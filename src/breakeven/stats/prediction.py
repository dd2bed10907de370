"""The prediction interval for the newest run of a series, and a verdict on that run.

With plain 95% intervals, 5 of 100 unchanged runs would fall outside, in each of hundreds of series, and every
pull request would fail. The intervals of one run are therefore simultaneous: by Benjamini and Hochberg (1995)
at most 5% of the series reported as changed are false alarms, and no single series exceeds one in a thousand.

Those rates assume normal noise. On a busy machine some runs deviate ten times as much as usual, and a series
of twenty runs may not contain one yet, though other series do. The interval is therefore extended to the
deviation that fewer than one run in two hundred exceeds, estimated from the series' own runs and, with the
weight of thirty more, from those of all series.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from breakeven.stats.ar1_noise import Array
from breakeven.stats.change_points import MIN_LEVEL_RUNS, Findings
from breakeven.stats.intervals import MAX_LOG_WIDTH
from breakeven.stats.significance import benjamini_hochberg, student_quantile, two_sided_p
from breakeven.stats.verdict import Verdict

FALSE_DISCOVERY_RATE = 0.05
MAX_FALSE_ALARM = 0.001
"""The largest probability that an unchanged run falls outside of a single series' interval."""

SPIKE_RATE = 0.005
"""A deviation that at least this share of runs reaches is usual; a series can hardly show a smaller share."""

POOLED_RUNS = 30
"""The runs of all series weigh as much as this many runs of the series itself."""

RESOLUTION = 0.10
"""An interval that reaches further than this to a side is `inconclusive`."""

_MAX_LOG = 700.0


@dataclass(frozen=True)
class Expected:
    """The logarithm predicted for the newest run, and the observed one.

    `se` is the standard error of the prediction, `dof` its degrees of freedom; `residuals` are the deviations
    of the earlier runs from their levels, in standard deviations, ascending, with spikes.
    """

    mean: float
    se: float
    dof: float
    observed: float
    residuals: Array

    @property
    def t(self) -> float:
        """The distance of the observed run from the mean, in standard errors."""
        return (self.observed - self.mean) / self.se

    @property
    def p(self) -> float:
        """The p-value of the observed run if nothing changed and the noise is normal."""
        return two_sided_p(self.t, self.dof)


@dataclass(frozen=True)
class Judgment:
    """The newest run divided by the predicted one; an unchanged run is between `low` and `high`.

    These are unknown (None) if they would be further apart than `MAX_LOG_WIDTH`.
    """

    ratio: float
    low: float | None
    high: float | None
    verdict: Verdict


def expect(values: Array, findings: Findings) -> Expected | None:
    """Return the prediction for the last run from the runs before it; None with too few runs.

    Args:
        values: logarithms, in the order of the runs.
        findings: of the same values; the last value belongs to the last level.
    """
    if len(values) <= MIN_LEVEL_RUNS:
        return None
    before = findings.winsorized[findings.levels[-1].start : -1]
    mean, noise = float(before.mean()), findings.noise
    se = math.hypot(noise.sd, noise.error_of_mean(len(before)))
    means = np.repeat([level.mean for level in findings.levels], [level.n for level in findings.levels])
    residuals = np.sort((values - means)[:-1]) / noise.sd
    return Expected(mean, se, findings.dof, float(values[-1]), residuals)


def judge(
    expected: Sequence[Expected], worse: Sequence[int], threshold: float, first: Sequence[bool] = ()
) -> list[Judgment]:
    """Return a judgment for each series of one run.

    The series to watch first have half of the false alarms to themselves, so that many others do not widen
    their intervals.

    Args:
        expected: of each series.
        worse: 1 for a series in which larger is worse, -1 for one in which smaller is worse.
        threshold: ignore relative changes below this size.
        first: whether each series is one to watch first; none by default.
    """
    # A series that never changes does not show the machine's spikes.
    moving = [item.residuals for item in expected if item.residuals.any()]
    pooled = np.sort(np.concatenate(moving)) if moving else np.zeros(1)
    mirrored = -pooled[::-1]
    usual = [
        (-_usual_limit(-e.residuals[::-1], mirrored), _usual_limit(e.residuals, pooled)) for e in expected
    ]
    p_values = [1.0 if low <= e.t <= high else e.p for e, (low, high) in zip(expected, usual, strict=True)]
    family = list(first) or [False] * len(expected)
    rate = FALSE_DISCOVERY_RATE / max(1, len(set(family)))
    level = {
        one: false_alarm_level([p for p, of in zip(p_values, family, strict=True) if of == one], rate)
        for one in set(family)
    }
    alphas = [level[one] for one in family]
    return [_judgment(*one, threshold) for one in zip(expected, worse, usual, alphas, strict=True)]


def false_alarm_level(p_values: Sequence[float], rate: float = FALSE_DISCOVERY_RATE) -> float:
    """Return the probability at which each series' interval may be left by chance.

    It is the largest p-value that Benjamini and Hochberg's procedure rejects, ``rate * k / n`` for k
    rejections (at least one) among n series, and at most `MAX_FALSE_ALARM`.

    >>> false_alarm_level([0.5] * 100)
    0.0005
    >>> false_alarm_level([0.0] * 10 + [0.5] * 90)
    0.001
    """
    if not p_values:
        return MAX_FALSE_ALARM
    rejected = int((benjamini_hochberg(np.array(p_values)) <= rate).sum())
    return min(MAX_FALSE_ALARM, rate * max(1, rejected) / len(p_values))


def _usual_limit(own: Array, pooled: Array) -> float:
    """Return the largest upward deviation that is still usual: at least `SPIKE_RATE` of the runs reach it.

    The share is over the series' own runs and `POOLED_RUNS` more, which stand for the pooled residuals. Both
    arrays are ascending, in standard deviations.
    """
    needed = SPIKE_RATE * (len(own) + POOLED_RUNS)
    limits = [0.0]
    for own_count in range(min(len(own), int(needed) + 1) + 1):
        # With this many runs of its own beyond the limit, this share of the pooled residuals is needed too.
        share = (needed - own_count) / POOLED_RUNS
        pooled_count = int(share * len(pooled)) + 1 if share >= 0 else 1
        if pooled_count <= len(pooled):
            limit = pooled[-pooled_count]
            limits.append(float(min(limit, own[-own_count]) if own_count else limit))
    return max(limits)


def _judgment(
    expected: Expected, worse: int, usual: tuple[float, float], alpha: float, threshold: float
) -> Judgment:
    reach = student_quantile(expected.dof, 1 - alpha)
    low, high = (end * expected.se for end in (min(-reach, usual[0]), max(reach, usual[1])))
    step = expected.observed - expected.mean
    if not low <= step <= high and abs(step) >= math.log1p(threshold):
        verdict = Verdict.REGRESSED if step * worse > 0 else Verdict.IMPROVED
    else:
        wide = max(-low, high) > math.log1p(RESOLUTION)
        verdict = Verdict.INCONCLUSIVE if wide else Verdict.UNCHANGED
    ratio = math.exp(step) if abs(step) < _MAX_LOG else 0.0
    if high - low > MAX_LOG_WIDTH:
        return Judgment(ratio, None, None, verdict)
    return Judgment(ratio, math.exp(low), math.exp(high), verdict)
