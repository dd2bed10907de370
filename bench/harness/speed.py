"""What breakeven itself costs: `python bench/harness/speed.py` writes results/harness/speed.json.

Statistics of one case, statistics of a million timings, a report over them, and ``breakeven --help``; each
the median of repetitions in this one run, beside the bound it must keep, with the machine and the date.
"""

from __future__ import annotations

import argparse
import datetime
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from breakeven.analysing.estimates import estimates
from breakeven.analysing.flags import evidence_in
from breakeven.analysing.intervals import median_interval
from breakeven.analysing.record import analyse
from breakeven.analysing.runs import read
from breakeven.measuring.machine import class_facts

CASES, ROUNDS = 2000, 500
RESULTS = Path(__file__).parents[2] / "results" / "harness"


def seconds(work: Callable[[], object], repetitions: int) -> dict[str, Any]:
    """Return the median, the extremes and n of the seconds that `work` takes."""
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return {"median_s": median(times), "least_s": min(times), "most_s": max(times), "n": repetitions}


def one_case() -> None:
    """Judge 1,000 correlated rounds with a step in them, the dearest case there is."""
    rng = np.random.default_rng(0)
    times = np.exp(np.convolve(rng.normal(0, 0.05, 1003), [0.4, 0.3, 0.2, 0.1], "valid"))
    times[500:] *= 1.03
    interval = median_interval(times)
    evidence_in(times, interval, 0.02, steady=True, cut_by_budget=False)


def write_million(path: Path) -> None:
    """Write a run file of 2,000 cases with 500 rounds each."""
    rng = np.random.default_rng(0)
    benchmarks = []
    for case in range(CASES):
        device = ("cpu", "cuda")[case % 2]
        times = np.exp(rng.normal(0, 0.02, ROUNDS)) * 1e-3
        info = {"schema": 1, "workload": "mlp", "phase": "train", "device": device}
        info |= {"batch_size": 2 ** (case // 2 % 10), "axes": {"width": case // 20}}
        name = f"bench_mlp[{case}]"
        benchmarks.append(
            {"name": name, "fullname": name, "extra_info": info, "stats": {"data": times.tolist()}}
        )
    path.write_text(
        json.dumps({"machine_info": {}, "benchmarks": benchmarks, "datetime": "2026-01-01T00:00:00"})
    )


def measure() -> dict[str, Any]:
    """Return every figure with the bound it must keep."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "million.json"
        write_million(path)
        runs = read([path])
        figures = {
            "statistics of one case, 1,000 rounds": (5e-3, seconds(one_case, 50)),
            "statistics of 1e6 timings in 2,000 cases": (
                3.0,
                seconds(lambda: estimates(runs.rounds, runs.facts), 5),
            ),
            "reading and analysing them from JSON": (12.0, seconds(lambda: analyse(read([path])), 3)),
            "breakeven --help over python -c pass": (0.15, _help_over_bare()),
        }
    return {name: {"bound_s": bound, **figure} for name, (bound, figure) in figures.items()}


def _help_over_bare() -> dict[str, Any]:
    bare = seconds(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True), 11)
    command = [sys.executable, "-m", "breakeven.cli", "--help"]
    whole = seconds(lambda: subprocess.run(command, check=True, capture_output=True), 11)
    return {**whole, "median_s": whole["median_s"] - bare["median_s"], "bare_s": bare["median_s"]}


def main() -> None:
    """Measure, print beside the bounds, and write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", type=Path, default=RESULTS, help="folder for speed.json")
    folder = parser.parse_args().o
    figures = measure()
    for name, figure in figures.items():
        print(f"{name}: {figure['median_s']:.4g} s, at most {figure['bound_s']} s, n = {figure['n']}")
    content = {
        "date": datetime.date.today().isoformat(),
        "machine": class_facts(),
        "figures": figures,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "speed.json").write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
