"""The error rates and the speed of `breakeven history`, each with its bound.

`python bench/harness/history.py` writes results/harness/history.json. Seeded simulations of series with known
changes count false changes (in one check, and in checks after each of 100 commits), steps found near their
place, and false alarms of the newest run. Then the command runs in a separate process, on a store of 1,000
runs x 400 cases x 100 rounds.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import os
import resource
import tempfile
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
from scipy.signal import lfilter
from shared import Json, options, run_command, share, summary, write

from breakeven.case import CaseKey
from breakeven.history import store
from breakeven.runs.machine import Machine
from breakeven.runs.schema import CaseFacts, CaseResult, Run
from breakeven.stats.change_points import find_changes, find_changes_in_all
from breakeven.stats.prediction import expect, judge

REPETITIONS = 7
COMMITS = 100
STEP = 1.1
WITHIN = 5
NOISES = (0.005, 0.02, 0.1, 0.2)
CORRELATIONS = (0.0, 0.5)
PLACES = (5, 15, 50, 85, 95)
SUITES = (1, 40, 400)
RUNS, CASES, ROUNDS = 1000, 400, 100


def noise_of(kind: str | float, count: int, length: int, sd: float, seed: int) -> np.ndarray:
    """Return `count` series of noise, shape (count, length).

    Args:
        kind: an AR(1) coefficient; or ``t3`` for Student's t with three degrees of freedom; or ``spikes`` for
            independent noise in which one run in twenty takes 30% to 50% longer.
        sd: the standard deviation, for ``t3`` the scale.
    """
    rng = np.random.default_rng([seed, length, round(sd * 1000)])
    if kind == "t3":
        return sd * rng.standard_t(3, (count, length))
    draws = rng.standard_normal((count, length))
    if kind == "spikes":
        return sd * draws + (rng.random(draws.shape) < 0.05) * rng.uniform(0.3, 0.5, draws.shape)
    rho = float(kind)
    first, later = draws[:, :1], draws[:, 1:]
    correlated = lfilter([math.sqrt(1 - rho**2)], [1, -rho], later, zi=rho * first)[0]
    return sd * np.hstack([first, correlated])


def false_changes(kind: str | float, sd: float, count: int) -> Json:
    """Count changes in series without one: in the check after the last commit, and in any check."""
    once = ever = 0
    for values in noise_of(kind, count, COMMITS, sd, 1):
        seen = find_changes_in_all([values[:n] for n in range(10, COMMITS + 1)])
        once += len(seen[-1].changes)
        reported: list[int] = []
        for findings in seen:
            for change in findings.changes:
                if all(abs(change.at - other) > WITHIN for other in reported):
                    reported.append(change.at)
        ever += len(reported)
    return {"noise": sd, "kind": kind, "in one check": once / count, "in any of 91 checks": ever / count,
            "n": count}  # fmt: skip


def found_steps(rho: float, at: int, count: int, sd: float = 0.02) -> Json:
    """Count steps of 10% that are found within five commits of their place."""
    hits = exact = 0
    for values in noise_of(rho, count, COMMITS, sd, 2):
        values[at:] += math.log(STEP)
        away = min((abs(change.at - at) for change in find_changes(values).changes), default=COMMITS)
        hits += away <= WITHIN
        exact += away == 0
    found = share(hits, count)
    return {"rho": rho, "at": at, "of": COMMITS, "found": found.pop("share"), **found,
            "exactly there": exact / count}  # fmt: skip


def false_newest(rho: float, series: int, suites: int) -> Json:
    """Count alarms of the newest run in suites of unchanged series, judged after each commit."""
    alarms = failed = checks = 0
    for suite in range(suites):
        values = noise_of(rho, series, COMMITS, 0.02, 100 + suite)
        for n in range(10, COMMITS + 1, 3):
            seen = [row[:n] for row in values]
            expected = [expect(*row) for row in zip(seen, find_changes_in_all(seen), strict=True)]
            words = [verdict.verdict for verdict in judge([e for e in expected if e], [1] * series, 0.03)]
            alarms += words.count("regressed")
            failed += "regressed" in words
            checks += 1
    return {"rho": rho, "series": series, "per series and 100 commits": 100 * alarms / checks / series,
            "checks that fail": failed / checks, "n": checks}  # fmt: skip


def found_newest(series: int, suites: int) -> Json:
    """Count checks that fail at once when one of the series becomes 10% slower in the newest of 40 runs."""
    hits = 0
    for suite in range(suites):
        values = noise_of(0.0, series, 40, 0.02, 500 + suite)
        values[0, -1] += math.log(STEP)
        expected = [expect(*row) for row in zip(values, find_changes_in_all(list(values)), strict=True)]
        hits += judge([e for e in expected if e], [1] * series, 0.03)[0].verdict == "regressed"
    return {"series": series, "found in the first run": hits / suites, "n": suites}


def write_store(folder: Path, runs: int = RUNS, cases: int = CASES, rounds: int = ROUNDS) -> float:
    """Write a store in which a few cases become slower; return the seconds per run."""
    rng = np.random.default_rng(0)
    cells = [(2 ** (i % 10), i // 10, device) for i in range(cases // 2) for device in ("cpu", "cuda")]
    start = datetime.datetime(2023, 1, 1, tzinfo=datetime.UTC)
    began = time.perf_counter()
    machine = Machine("a box", "box", {})
    for run in range(runs):
        results = {}
        for i, (batch, width, device) in enumerate(cells):
            center = (1e-3 + 2e-5 * batch) if device == "cpu" else (3e-3 + 1e-6 * batch)
            center *= math.exp(0.02 * rng.standard_normal()) * (STEP if run > runs * 0.6 and i < 4 else 1)
            times = center * np.exp(0.02 * rng.standard_normal(rounds))
            key = CaseKey.of("mlp", batch, "train", device, {"width": width}, "box")
            facts = CaseFacts(peak_memory_bytes=1_000_000 * batch)
            name = key.label()
            results[name] = CaseResult(name, key, times, float(np.median(times)), facts=facts)
        digest = hashlib.sha256(b"%d" % run).hexdigest()
        when = (start + datetime.timedelta(days=run)).isoformat()
        made = Run(f"run{run}.json", machine, results, datetime=when, commit=digest[:40], digest=digest)
        store.put(made, folder)
    return (time.perf_counter() - began) / runs


def whole_command(folder: Path, niceness: int = 0) -> Json:
    """Return seconds and peak memory of ``breakeven history check``, including the start of the process.

    `cpu_s` is the CPU time of one command and `load` that of the machine before: other work increases the
    wall time unless `niceness` is below 0.
    """
    prefix = ["nice", "-n", str(niceness)] if niceness else []
    command = ["history", "check", "--format", "json", "--store", folder]
    load, before = os.getloadavg()[0], resource.getrusage(resource.RUSAGE_CHILDREN)
    done = [run_command(*command, prefix=prefix) for _ in range(REPETITIONS)]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    codes = {run["code"] for run, _ in done}
    if codes != {1}:
        raise SystemExit(f"the check exited with {codes}, expected 1")
    cpu_s = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / REPETITIONS
    return {**summary([run["seconds"] for run, _ in done]),
            "cpu_s": cpu_s, "load": load, "niceness": niceness,
            "peak_memory_bytes": max(run["peak_memory_bytes"] for run, _ in done),
            "changes": len(json.loads(done[-1][1])["changes"])}  # fmt: skip


def measure(count: int, runs: int, niceness: int) -> Json:
    """Return every figure with its bound."""
    kinds: list[tuple[str | float, float]] = [*product(CORRELATIONS, NOISES), (0.8, 0.02)]
    kinds += [("t3", 0.02), ("spikes", 0.02)]
    changes = [false_changes(kind, sd, count) for kind, sd in kinds]
    steps = [found_steps(rho, at, 2 * count) for rho, at in product(CORRELATIONS, PLACES)]
    alarms = [false_newest(rho, n, max(1, count // n)) for rho, n in product(CORRELATIONS, SUITES)]
    newest = [found_newest(n, max(20, 4 * count // n)) for n in SUITES]
    figures: Json = {
        "false changes per series and 100 commits": {"bound": 0.2, "rows": changes},
        "a step of 10% at 2% noise, found within 5 commits": {"bound": 0.9, "rows": steps},
        "false alarms of the newest run": {"bound": 0.2, "rows": alarms},
        "a step of 10% in one of several series, at once": {"bound": None, "rows": newest},
    }
    with tempfile.TemporaryDirectory() as folder:
        add_s = write_store(Path(folder), runs, CASES, ROUNDS)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.parquet"))
        figures["history check, the whole process"] = {
            "bound_s": 6.0,
            "bound_bytes": 600_000_000,
            "runs": runs,
            "cases": CASES,
            "rounds": ROUNDS,
            "add_s_a_run": add_s,
            "store_bytes": size,
            **whole_command(Path(folder), niceness),
        }
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the file."""
    parser = options(__doc__)
    parser.add_argument("--series", type=int, default=500, help="series of each kind (default: 500)")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"runs of the large store (default: {RUNS})")
    parser.add_argument("--nice", type=int, default=0, help="niceness of the timed process (default: 0)")
    given = parser.parse_args(arguments)
    figures = measure(given.series, given.runs, given.nice)
    write(given.output / "history.json", {"figures": figures})
    for name, figure in figures.items():
        print(f"{name}:")
        for row in figure.get("rows", [figure]):
            print("  " + ", ".join(f"{key} {_shown(value)}" for key, value in row.items()))


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
