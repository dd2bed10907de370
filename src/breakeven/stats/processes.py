"""Medians over processes: the typical log time of each case, its interval, and draws that all cases share.

The replicate is the process. Student's t distribution describes the mean log time of a case; its variance is
shrunk toward that of the other cases of its group (`breakeven.stats.empirical_bayes`). A disturbance that
outlasts a process makes neighboring processes agree more than they should. How much of the noise does so is
estimated from all cases of the group, and the intervals widen accordingly.

Processes of at least `MIN_INSTANCES` machines are replicates of their machine only: the replicate is then the
machine, by the median of its processes, and the intervals cover how much machines of the class differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from breakeven.stats.empirical_bayes import fit_prior, mean_squared_correlation, pooled_df, shrink_variances
from breakeven.stats.intervals import LEVEL, MAX_LOG_WIDTH, RESAMPLES, interval_of_draws
from breakeven.stats.regression import MAX_DF
from breakeven.stats.shared_numbers import SharedNumbers, resampled_medians_of
from breakeven.stats.significance import student_quantile

Array = NDArray[np.float64]

MIN_BOOTSTRAP_PROCESSES = 20
"""From this number on a bootstrap over processes describes their median, whatever their distribution."""

MIN_INSTANCES = 3
"""From this number of machines on, the machine is the replicate; two show too little of how they differ."""

LASTING = 2.5
"""The number of processes that a lasting disturbance is assumed to last: five then count as about two."""

MIN_DF = 2.0
"""Where few cases share a disturbance that lasts, no fewer degrees of freedom are left to three processes."""

_MIN_SERIES = 4  # processes; fewer show nothing of how long a disturbance lasts
_DOUBT = 2 / 3  # a third of the standard error of a von Neumann ratio, times the root of the processes
_OWN_STARTS = 1 << 16
_CASES_AT_ONCE = 256
_PARTS = np.linspace(0.0, 1.0, 41)
_MAX_LOG = 300.0  # draws from Student's t with one degree of freedom can exceed what a float holds


@dataclass(frozen=True, eq=False)
class Lags:
    """Which processes of a run are how far apart, without a matrix: there may be thousands of processes.

    `runs` and `places` have the run of each process, and its place among all of them, ascending.
    """

    runs: NDArray[np.intp]
    places: NDArray[np.intp]

    def among(self, columns: NDArray[np.intp]) -> Lags:
        """Return the lags among some of the processes."""
        return Lags(self.runs[columns], self.places[columns])

    def pairs(self, lag: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the indices of all pairs of a run that are this far apart, the earlier ones first."""
        after = np.searchsorted(self.places, self.places + lag)
        before = np.flatnonzero(after < len(self.places))
        after = after[before]
        is_pair = self.places[after] == self.places[before] + lag
        is_pair &= self.runs[after] == self.runs[before]
        return before[is_pair], after[is_pair]


@dataclass(frozen=True, eq=False)
class ProcessPool:
    """The processes of a machine class, and the random numbers that its cases share.

    `runs` has the index of each process's run, `instances` that of its machine, empty for one. `shared` are
    the numbers that belong to the processes. `own` are normal numbers, of which each case takes a stretch of
    its own.
    """

    runs: tuple[int, ...]
    shared: SharedNumbers
    own: Array
    instances: tuple[int, ...] = ()

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        runs: Sequence[int],
        instances: Sequence[int] = (),
        resamples: int = RESAMPLES,
    ) -> ProcessPool:
        """Return a pool with new random numbers; the processes of a run are in their order."""
        shared = SharedNumbers.draw(rng, len(runs), resamples)
        return cls(tuple(runs), shared, rng.standard_normal(_OWN_STARTS + resamples), tuple(instances))

    @cached_property
    def lags(self) -> Lags:
        """Which processes are how far apart."""
        return Lags(np.array(self.runs), np.arange(len(self.runs)))

    @cached_property
    def without_numbers(self) -> ProcessPool:
        """The pool without its random numbers, from which nothing can be drawn."""
        nothing = SharedNumbers.draw(np.random.default_rng(0), 0, 0)
        return ProcessPool(self.runs, nothing, np.empty(0), self.instances)

    @cached_property
    def over_instances(self) -> ProcessPool | None:
        """The pool whose processes are the machines, each a run of its own; None for fewer than three."""
        machines = tuple(dict.fromkeys(self.instances))
        if len(machines) < MIN_INSTANCES:
            return None
        return ProcessPool(tuple(range(len(machines))), self.shared, self.own)

    def instance_medians(self, logs: Array) -> Array:
        """Return the median of each machine's processes, shape (cases, machines); NaN where it has none."""
        of = np.array(self.instances)
        parts = [logs[:, of == machine] for machine in dict.fromkeys(self.instances)]
        return np.stack([_medians(part, np.isfinite(part).sum(axis=1)) for part in parts], axis=1)


@dataclass(frozen=True, eq=False)
class Levels:
    """The typical log time of each case of a group; arrays of shape (cases,).

    `sd` is the shrunk standard deviation between processes, `se` that of the mean, `df` its degrees of
    freedom: 0 where the noise is unknown, because a case has fewer than three processes and nothing to shrink
    it with. `n` counts processes. `residuals`, shape (cases, processes), are 0 where one is missing.
    `lasting` is the part of the noise that lasts for several processes, `shared` how far the correlation that
    two cases show over these processes can be trusted: 0 is not at all, 1 entirely.
    """

    mean: Array
    sd: Array
    se: Array
    df: Array
    n: NDArray[np.int64]
    residuals: Array
    lasting: float
    shared: float


def levels(logs: Array, lags: Lags) -> Levels:
    """Return the levels of a group of cases.

    Args:
        logs: shape (cases, processes), log seconds or log ratios; NaN where a process lacks the case. Every
            case has at least one.
        lags: as `ProcessPool.lags`.
    """
    known = np.isfinite(logs)
    n = known.sum(axis=1)
    mean = np.where(known, logs, 0.0).sum(axis=1) / n
    residuals = np.where(known, logs - mean[:, None], 0.0)
    rows, columns = _most_common(known)
    alike = residuals[np.ix_(rows, columns)]
    correlation = mean_squared_correlation(alike, len(columns) - 1)
    lasting = lasting_part(alike, lags.among(columns), correlation)
    effective = n**2 / (n + 2 * _agreement(known, lags, lasting))
    own_df = np.where(n > 1, effective - 1, 0.0)
    spread = (residuals**2).sum(axis=1)
    variances = np.divide(spread, n - n / effective, out=np.full(len(n), np.nan), where=own_df > 0)
    prior = fit_prior(variances, own_df, correlation)
    shrunk, df = shrink_variances(variances, own_df, prior)
    replicated = own_df > 0
    df = np.minimum(df, pooled_df(int(replicated.sum()), float(own_df.max(initial=0.0)), correlation))
    sd = np.sqrt(np.where(replicated | (prior.df > 0), shrunk, np.nan))
    unknown = (n < 3) & (prior.df == 0)
    # With one degree of freedom an interval reaches 13 standard errors, and holds no more often.
    few = np.clip(n - 1.0, 1.0, MIN_DF)
    return Levels(
        mean=mean,
        sd=sd,
        se=sd / np.sqrt(effective),
        df=np.where(unknown, 0.0, np.clip(df, few, MAX_DF)),
        n=n,
        residuals=residuals,
        lasting=lasting,
        shared=_trust(correlation, len(columns) - 1),
    )


def _trust(squared_correlation: float, df: int) -> float:
    """Return the slope of the true correlation on the one that two cases show, which errs by ``1 / df``."""
    error = (1 - squared_correlation) / df if df > 0 else 1.0
    return squared_correlation / (squared_correlation + error)


def lasting_part(residuals: Array, lags: Lags, squared_correlation: float) -> float:
    """Return the part of the noise's variance that lasts for `LASTING` processes; 0 where nothing shows it.

    Von Neumann's ratio of the squared differences between neighbors to the squared residuals (Annals of
    Mathematical Statistics 12, 1941) is the mean over all cases. Disturbances that last L processes correlate
    those k apart by ``1 - k / L``; shorter ones count as a part of longer ones. Cases that share their noise
    count as few, and few cases are given less credit: five processes of one case agree with their neighbors
    by chance.

    Args:
        residuals: shape (cases, processes), log times minus their mean.
        lags: as `ProcessPool.lags`.
        squared_correlation: between the cases' noise, as `mean_squared_correlation` returns it.
    """
    squares = (residuals**2).sum(axis=1)
    residuals, squares = residuals[squares > 0], squares[squares > 0]
    cases, processes = residuals.shape
    before, after = lags.pairs(1)
    if cases < 2 or processes < _MIN_SERIES or not len(before):
        return 0.0
    differences = residuals[:, after] - residuals[:, before]
    ratio = float(((differences**2).sum(axis=1) / squares).mean())
    independent = pooled_df(cases, 1.0, squared_correlation)
    ratio -= _DOUBT / math.sqrt(processes) / independent
    expected = _expected_ratios(lags, processes, len(before))
    return float(np.interp(ratio, expected[::-1], _PARTS[::-1]))


@dataclass(frozen=True, eq=False)
class ProcessIntervals:
    """The typical log time of each case of a group, with its interval; arrays of shape (cases,).

    `center` is the median over the processes. `low` and `high` are the ends of the 95% interval, `sd` is the
    shrunk standard deviation between processes, with `df` degrees of freedom: 0 where the noise is unknown,
    or too large for an interval of at most `MAX_LOG_WIDTH`, and then there is none (NaN). `n` counts
    processes. `draws` has the shape (cases, resamples).
    """

    center: Array
    low: Array
    high: Array
    sd: Array
    df: Array
    n: NDArray[np.int64]
    draws: Array


def process_intervals(logs: Array, pool: ProcessPool, least: Array, seeds: Sequence[int]) -> ProcessIntervals:
    """Return the intervals of a group of cases.

    Args:
        logs: shape (cases, processes), log seconds or log ratios; NaN where a process lacks the case. Every
            case has at least one.
        pool: the processes, in the same order.
        least: shape (cases,), half the width of each interval that the rounds alone allow; none is narrower.
        seeds: one for each case, for the part of its draws that it shares with no other.
    """
    processes = np.isfinite(logs).sum(axis=1)
    if pool.over_instances is not None:
        logs, pool = pool.instance_medians(logs), pool.over_instances
    found = levels(logs, pool.lags)
    reach = stdtrit(np.clip(found.df, 1.0, MAX_DF), (1 + LEVEL) / 2)
    half = np.where(found.df > 0, np.maximum(found.se * reach, least), np.nan)
    draws = np.empty((len(logs), pool.shared.resamples))
    few = np.flatnonzero(found.n < MIN_BOOTSTRAP_PROCESSES)
    for cases in np.array_split(few, math.ceil(len(few) / _CASES_AT_ONCE) or 1):
        draws[cases] = _student_draws(
            found, np.where(found.df > 0, half / reach, found.se), pool, seeds, cases
        )
    center, low, high = _medians(logs, found.n), found.mean - half, found.mean + half
    for n in np.unique(found.n[found.n >= MIN_BOOTSTRAP_PROCESSES]):
        cases = np.flatnonzero(found.n == n)
        draws[cases] = _bootstrap_draws(logs[cases], pool, center[cases], least[cases])
    for case in np.flatnonzero(found.n >= MIN_BOOTSTRAP_PROCESSES):
        ends = interval_of_draws(draws[case])
        low[case], high[case] = (math.nan if end is None else end for end in ends)
    known = high - low <= MAX_LOG_WIDTH
    low, high = (np.where(known, end, np.nan) for end in (low, high))
    return ProcessIntervals(center, low, high, found.sd, np.where(known, found.df, 0.0), processes, draws)


def _medians(logs: Array, n: NDArray[np.int64]) -> Array:
    ordered, rows = np.sort(logs, axis=1), np.arange(len(logs))  # NaN comes last
    return np.asarray((ordered[rows, (n - 1) // 2] + ordered[rows, n // 2]) / 2)


def _student_draws(
    found: Levels, se: Array, pool: ProcessPool, seeds: Sequence[int], cases: NDArray[np.intp]
) -> Array:
    """Return the quantiles of the Student's t distribution of some cases, in a random order.

    The order is that of the processes' residuals, weighted by the normal numbers that all cases of the pool
    share: where two cases were disturbed in the same processes, their draws go together. As far as that may
    be chance, each case's own numbers decide.
    """
    if not len(cases):
        return np.empty((0, pool.shared.resamples))
    residuals = found.residuals[cases]
    directions = np.hstack([residuals, (residuals == 0).all(axis=1, keepdims=True)])
    directions *= math.sqrt(found.shared) / np.sqrt((directions**2).sum(axis=1, keepdims=True))
    normals = pool.shared.normals_of(residuals.shape[1])
    scores = directions.astype(np.float32) @ normals.T  # only their order counts
    if found.shared < 1:
        own = (math.sqrt(1 - found.shared) * pool.own).astype(np.float32)
        for row, case in zip(scores, cases, strict=True):
            start = seeds[case] % _OWN_STARTS
            row += own[start : start + len(row)]
    draws = np.empty(scores.shape)
    known = np.nan_to_num(se)
    for row, case, order in zip(draws, cases, np.argsort(scores, axis=1), strict=True):
        quantiles = _quantiles(max(float(found.df[case]), 1.0), len(order))
        row[order] = found.mean[case] + float(known[case]) * quantiles
    return np.clip(draws, -_MAX_LOG, _MAX_LOG, out=draws)


def _bootstrap_draws(logs: Array, pool: ProcessPool, centers: Array, least: Array) -> Array:
    """Return bootstrap medians of cases of equally many processes, which resample the same ones."""
    known = logs[np.isfinite(logs)].reshape(len(logs), -1)
    draws = resampled_medians_of(known, pool.shared.counts(known.shape[1]))
    low, high = np.quantile(draws, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=1)
    for case in np.flatnonzero(high - low < 2 * least):  # the rounds allow no narrower interval
        draws[case] = centers[case] + least[case] / student_quantile(MAX_DF) * pool.shared.last
    return draws


def _most_common(known: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the cases that were timed in the same processes, and these: those that show the most noise."""
    patterns, inverse, counts = np.unique(known, axis=0, return_inverse=True, return_counts=True)
    best = int((counts * (patterns.sum(axis=1) - 1)).argmax())
    return np.flatnonzero(inverse.reshape(-1) == best), np.flatnonzero(patterns[best])


def _agreement(known: NDArray[np.bool_], lags: Lags, lasting: float) -> Array:
    """Return the sum of the correlations between the known processes of each case, shape (cases,)."""
    total = np.zeros(len(known))
    for lag in range(1, math.ceil(LASTING)):
        before, after = lags.pairs(lag)
        total += lasting * (1 - lag / LASTING) * (known[:, before] & known[:, after]).sum(axis=1)
    return total


def _expected_ratios(lags: Lags, processes: int, neighbors: int) -> Array:
    """Return von Neumann's ratio where each of `_PARTS` of the noise lasts."""
    whole = float(_agreement(np.ones((1, processes), dtype=bool), lags, 1.0)[0])
    agreement = 1 + 2 * _PARTS * whole / processes
    return np.asarray(neighbors * 2 * (1 - _PARTS * (1 - 1 / LASTING)) / (processes - agreement))


@lru_cache(maxsize=1024)
def _quantiles(df: float, count: int) -> Array:
    """Return `count` ascending quantiles of Student's t, symmetric; 2.5% and 97.5% are among them."""
    upper = stdtrit(df, np.arange(count // 2 + 1, count + 1) / (count + 1))
    middle = [] if count % 2 == 0 else [0.0]
    return np.concatenate([-upper[::-1][: count // 2], middle, upper[-(count // 2) :]])
