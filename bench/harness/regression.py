"""The error rates and the speed of `breakeven compare`; writes results/harness/regression.json.

Run as ``python bench/harness/regression.py``. Uses seeded suites with known changes, the recorded noise of a
real machine, and the seconds of comparing two files of 45 MB, next to pytest-benchmark's own comparison.
Every share has its Wilson interval, its n and its bound.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from pytest_benchmark.stats import Stats
from shared import Json, options, share, write

from breakeven.experiment.looks import UNCHANGED_P
from breakeven.experiment.schedule import DEFAULT_PAIRS, MIN_PAIRS
from breakeven.stats.bimodality import are_apart, gap_between_groups
from breakeven.stats.regression import ALPHA, Effects, effects
from breakeven.stats.significance import look_penalty
from breakeven.stats.verdict import RESOLUTION, THRESHOLD

Array = NDArray[np.float64]
ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "tests" / "data" / "recorded-noise.json"
CASES, CHANGED = 400, 20
FILE_CASES, FILE_ROUNDS = 2000, 500

NOISES: dict[str, dict[str, float]] = {
    "2%, equal": {"noise": 0.02},
    "20%, equal": {"noise": 0.2},
    "20%, unequal (loudness spread by 0.5 in its log)": {"noise": 0.2, "unequal": 0.5},
    "2% of their own and 10% that a whole run shares": {"noise": 0.02, "common": 0.1},
    "10% of their own and 20% shared, by unequal shares": {"noise": 0.1, "common": 0.2, "load": 0.7},
}

GROUPS = {"noise": 0.02, "groups": 1.0}


def suite(
    rng: np.random.Generator,
    runs: int,
    noise: float = 0.02,
    unequal: float = 0.0,
    common: float = 0.0,
    load: float = 0.0,
    by: float = 0.0,
    groups: float = 0.0,
) -> tuple[Array, Array]:
    """Return the log medians of two sides, shape (cases, runs); `CHANGED` cases of the second are slower.

    One case in twenty has times in two groups, `groups` apart, at random.
    """
    sd = noise * np.exp(unequal * rng.standard_normal((CASES, 1)))
    share = np.exp(load * rng.standard_normal((CASES, 1)))
    sides = [
        sd * rng.standard_normal((CASES, runs)) + common * share * rng.standard_normal((1, runs))
        for _ in range(2)
    ]
    if groups:
        for side in sides:
            side[::20] += groups * rng.integers(0, 2, side[::20].shape)
    sides[1][:CHANGED] += math.log1p(by)
    return sides[0], sides[1]


def slower(found: Effects) -> NDArray[np.bool_]:
    """Return which cases are reported as slower."""
    return np.asarray((found.q <= ALPHA) & (found.log_ratio > 0))


def false_alarms(suites: int) -> Json:
    """Return the share of suites of unchanged code in which any of 400 cases is reported as slower."""
    found = {}
    for name, noise in NOISES.items():
        rng = np.random.default_rng(0)
        hits = sum(bool(slower(effects(*suite(rng, 5, **noise))).any()) for _ in range(suites))
        found[f"any false regression, 5 runs a side, noise {name}"] = share(hits, suites, bound="<= 0.05")
    return found


def experiment(baseline: Array, candidate: Array) -> NDArray[np.bool_]:
    """Return which cases `breakeven ab` reports as slower, in the pairs of these log medians.

    It looks at the data after each pair from the fifth on; a decided case is not timed again.
    """
    pairs = baseline.shape[1]
    baseline, candidate = baseline.copy(), candidate.copy()
    is_open, is_slower = np.ones(len(baseline), dtype=bool), np.zeros(len(baseline), dtype=bool)
    for done in range(MIN_PAIRS, pairs + 1):
        before, after = baseline[:, :done], candidate[:, :done]
        found = effects(before, after)
        q = found.q * look_penalty(done - MIN_PAIRS + 1, is_last=done == pairs)
        is_changed = is_open & (q <= ALPHA)
        for row in np.flatnonzero(is_changed):
            sides = before[row], after[row]
            has_groups = any(gap_between_groups(side) is not None for side in sides)
            is_changed[row] = not has_groups or are_apart(*sides, THRESHOLD)
        is_slower |= is_changed & (found.log_ratio > 0)
        is_narrow = (np.exp(found.high) - np.exp(found.low)) / 2 <= RESOLUTION
        is_open &= ~(is_changed | ((found.p > UNCHANGED_P) & is_narrow & (q > ALPHA)))
        baseline[~is_open, done:] = candidate[~is_open, done:] = np.nan
    return is_slower


def experiments(suites: int) -> Json:
    """Return the share of experiments of unchanged code in which any case is reported as slower."""
    found = {}
    for name, noise in (NOISES | {"2%, and one case in twenty in two groups": GROUPS}).items():
        rng = np.random.default_rng(4)
        hits = sum(bool(experiment(*suite(rng, DEFAULT_PAIRS, **noise)).any()) for _ in range(suites))
        found[f"any false regression, ab of {DEFAULT_PAIRS} pairs, noise {name}"] = share(
            hits, suites, bound="<= 0.05"
        )
    rng = np.random.default_rng(5)
    n = max(1, suites // 10)
    hits = sum(int(experiment(*suite(rng, DEFAULT_PAIRS, by=0.10))[:CHANGED].sum()) for _ in range(n))
    found[f"+10% in 20 of 400 cases found, ab of {DEFAULT_PAIRS} pairs, 2% noise"] = share(
        hits, n * CHANGED, bound=">= 0.95"
    )
    return found


def power(suites: int) -> Json:
    """Return the share of the 20 changed cases that are found."""
    found = {}
    for runs, by, bound in ((5, 0.10, ">= 0.95"), (12, 0.05, ">= 0.60")):
        rng = np.random.default_rng(1)
        hits = sum(int(slower(effects(*suite(rng, runs, by=by)))[:CHANGED].sum()) for _ in range(suites))
        name = f"+{by:.0%} in 20 of 400 cases found, {runs} runs a side, 2% noise"
        found[name] = share(hits, suites * CHANGED, bound=bound)
    return found


def single_runs(suites: int) -> Json:
    """Return the figures of one run per side, with the noise of ten calibration runs."""
    rng, alarms, hits = np.random.default_rng(2), 0, 0
    for _ in range(suites):
        floor = 0.02 * rng.standard_normal((CASES, 10))
        alarms += bool(slower(effects(*suite(rng, 1), floor)).any())
        hits += int(slower(effects(*suite(rng, 1, by=0.20), floor))[:CHANGED].sum())
    return {
        "any false regression, 1 run a side, floor of 10 runs": share(alarms, suites, bound="<= 0.05"),
        "+20% in 20 of 400 cases found, 1 run a side, floor of 10 runs": share(
            hits, suites * CHANGED, bound="-"
        ),
    }


def at_times(rng: np.random.Generator, runs: int, processes: int, shared: float) -> Array:
    """Return the mean log medians of runs over their processes, shape (CASES, runs).

    The processes of a run have noise of 2% of their own, and share 5% that its time gives each case, or, with
    `shared` = 1, all cases alike.
    """
    times = shared**0.5 * rng.standard_normal((1, runs)) + (1 - shared) ** 0.5 * rng.standard_normal(
        (CASES, runs)
    )
    levels = 0.05 * times + 0.02 * rng.standard_normal((processes, CASES, runs)).mean(axis=0)
    return np.asarray(levels)


def runs_of_processes(suites: int) -> Json:
    """Return the figures of runs of five processes, which share the noise of their time."""
    found = {}
    for shared, (of_floor, runs) in product((0.0, 1.0), ((5, 1), (1, 1), (None, 3))):
        rng, alarms, hits = np.random.default_rng(4), 0, 0
        for _ in range(suites):
            floor = None if of_floor is None else at_times(rng, 10, of_floor, shared)
            sides = [at_times(rng, runs, 5, shared) for _ in range(2)]
            alarms += bool(slower(effects(*sides, floor)).any())
            sides[1][:CHANGED] += math.log1p(0.5)
            hits += int(slower(effects(*sides, floor))[:CHANGED].sum())
        by = f", floor of 10 runs of {of_floor}" if of_floor else ""
        name = f"{runs} of 5 processes a side, 5% between times ({shared:.0%} shared){by}"
        found[f"any false regression, {name}"] = share(alarms, suites, bound="<= 0.05")
        found[f"+50% in 20 of 400 cases found, {name}"] = share(hits, suites * CHANGED, bound="-")
    return found


def recorded(splits: int) -> Json:
    """Return how often a case of recorded runs of the same code, split at random, is reported as slower."""
    found = {}
    for name, cases in json.loads(RECORDED.read_text()).items():
        if not isinstance(cases, dict):
            continue
        logs = np.log(np.array(list(cases.values())))
        in_order = (range(5), range(5, 10)), ((0, 3, 4, 7, 8), (1, 2, 5, 6, 9))
        for (before, after), order in zip(in_order, ("first 5 against next 5", "A B B A"), strict=True):
            hits = int(slower(effects(logs[:, list(before)], logs[:, list(after)])).sum())
            found[f"{name}, {order}: cases called slower"] = {"count": hits, "n": len(logs), "bound": "0"}
        rng = np.random.default_rng(3)
        orders = [rng.permutation(logs.shape[1]) for _ in range(splits)]
        hits = sum(bool(slower(effects(logs[:, o[:5]], logs[:, o[5:10]])).any()) for o in orders)
        found[f"{name}, random 5 against 5: splits with any"] = share(hits, splits, bound="<= 0.05")
    return found


def write_large(path: Path, seed: int) -> None:
    """Write a file of a million timings in 2,000 cases, as pytest-benchmark writes it: 45 MB."""
    rng = np.random.default_rng(seed)
    benchmarks = []
    for case in range(FILE_CASES):
        times = 1e-3 * np.exp(0.02 * rng.standard_normal(FILE_ROUNDS))
        stats = dict.fromkeys(Stats.fields, float(times.mean())) | {
            "median": float(np.median(times)), "rounds": FILE_ROUNDS, "iterations": 1,
            "iqr_outliers": 0, "stddev_outliers": 0, "outliers": "0;0", "data": times.tolist(),
        }  # fmt: skip
        info = {"schema": 1, "workload": "mlp", "phase": "train", "device": "cpu", "batch_size": 1}
        name = f"bench_mlp[{case}]"
        benchmarks.append(
            {"group": None, "name": name, "fullname": f"bench/b.py::{name}", "params": {}, "param": str(case),
             "extra_info": {**info, "axes": {"width": case}}, "options": {}, "stats": stats}
        )  # fmt: skip
    content = {
        "machine_info": {"node": "box", "cpu": {"brand_raw": "box"}}, "commit_info": {"id": "abc"},
        "benchmarks": benchmarks, "datetime": f"2026-01-0{seed + 1}T00:00:00", "version": "5.3.1",
    }  # fmt: skip
    path.write_text(json.dumps(content, indent=4))


def seconds_of(command: list[str]) -> float:
    """Return the wall seconds of a whole process; it may exit with the code of an inconclusive comparison."""
    start = time.perf_counter()
    subprocess.run(command, capture_output=True, check=False, timeout=120)
    return time.perf_counter() - start


def comparing_large_files(pairs: int) -> Json:
    """Return how much faster than pytest-benchmark two 45 MB files are compared, alternately, in one run."""
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder) / name) for name in ("a.json", "b.json")]
        for seed, file in enumerate(files):
            write_large(Path(file), seed)
        tools = {
            "pytest-benchmark": ["pytest-benchmark", "compare", *files],
            "breakeven": [sys.executable, "-m", "breakeven.cli", "compare", *files],
        }
        times = [{name: seconds_of(command) for name, command in tools.items()} for _ in range(pairs + 1)][1:]
        size = Path(files[0]).stat().st_size
    ratios = [pair["pytest-benchmark"] / pair["breakeven"] for pair in times]
    return {
        f"comparing two files of {size / 1e6:.0f} MB: pytest-benchmark's seconds over ours": {
            "median": median(ratios), "min": min(ratios), "max": max(ratios), "n": pairs,
            "bound": ">= 1.3",
            "seconds": {name: median(pair[name] for pair in times) for name in tools},
        }
    }  # fmt: skip


def main() -> None:
    """Measure, print with the bounds, and write the file."""
    parser = options(__doc__)
    parser.add_argument("--suites", type=int, default=2000, help="suites per figure (default: 2000)")
    given = parser.parse_args()
    parts: tuple[Callable[[], Json], ...] = (
        lambda: false_alarms(given.suites),
        lambda: experiments(given.suites),
        lambda: power(max(1, given.suites // 10)),
        lambda: single_runs(max(1, given.suites // 4)),
        lambda: runs_of_processes(max(1, given.suites // 4)),
        lambda: recorded(given.suites),
        lambda: comparing_large_files(7),
    )
    figures: Json = {}
    for part in parts:
        found = part()
        figures |= found
        for name, figure in found.items():
            value = figure.get("share", figure.get("count", figure.get("median")))
            print(f"{name}: {value:.4g}, must be {figure['bound']}, n = {figure['n']}", flush=True)
    write(given.output / "regression.json", {"figures": figures})


if __name__ == "__main__":
    main()
