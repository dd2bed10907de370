"""The time breakeven itself takes: `python bench/harness/speed.py` writes results/harness/speed.json.

Statistics of one case and of a million timings, whole reports over a million timings and over twenty
machines, filtering and sorting a page of 4,000 rows in a real browser, and ``breakeven --help``; each the
median of repetitions in one run, with its bound.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from shared import Json, options, run_command, summary, write

from breakeven.render.report_files import write_report
from breakeven.report.estimates import estimates
from breakeven.report.report import analyze
from breakeven.runs.flags import evidence_in
from breakeven.runs.reader import read
from breakeven.stats.intervals import median_interval

CASES, ROUNDS, MACHINES = 2000, 500, 20
PHASES = ("transfer", "forward", "backward", "step", "train")


def seconds(work: Callable[[], object], repetitions: int) -> Json:
    """Return the median, the extremes and n of the seconds that `work` takes."""
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return summary(times)


def one_case() -> None:
    """Judge 1,000 correlated rounds with a step in them, the most expensive case."""
    rng = np.random.default_rng(0)
    times = np.exp(np.convolve(rng.normal(0, 0.05, 1003), [0.4, 0.3, 0.2, 0.1], "valid"))
    times[500:] *= 1.03
    interval = median_interval(times)
    evidence_in(times, interval, 0.02, steady=True)


def write_run(path: Path, cells: Iterable[Json], rounds: int, machine: str, phases: Sequence[str]) -> None:
    """Write a run file in which a cpu and a GPU have `rounds` rounds for every cell and phase."""
    rng = np.random.default_rng(zlib.crc32(machine.encode()))
    benchmarks = []
    for cell in cells:
        for phase, (device, scale) in product(phases, (("cpu", 2e-5), ("cuda", 1e-6))):
            times = np.exp(rng.normal(0, 0.02, rounds)) * (1e-3 + scale * cell["batch_size"])
            info = {"schema": 1, "workload": "mlp", "phase": phase, "device": device, **cell}
            name = f"bench_mlp[{len(benchmarks)}]"
            benchmarks.append(
                {"name": name, "fullname": name, "extra_info": info, "stats": {"data": times.tolist()}}
            )
    facts = {"class": {"cpu": machine, "gpu": "GPU"}, "class_id": machine}
    content = {
        "machine_info": {"breakeven": facts},
        "benchmarks": benchmarks,
        "datetime": "2026-01-01T00:00:00",
    }
    path.write_text(json.dumps(content))


def cells(count: int) -> list[Json]:
    """Return `count` cells, ten batch sizes per model."""
    return [{"batch_size": 2 ** (i % 10), "axes": {"width": i // 10}} for i in range(count)]


def measure() -> Json:
    """Return every figure with its bound."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "million.json"
        write_run(path, cells(CASES // 2), ROUNDS, "one", ["train"])
        machines = [Path(folder) / f"machine{i:02}.json" for i in range(MACHINES)]
        for machine in machines:
            write_run(machine, cells(20), 50, machine.stem, PHASES)
        runs = read([path])
        figures = {
            "statistics of one case, 1,000 rounds": (5e-3, seconds(one_case, 50)),
            "statistics of 1e6 timings in 2,000 cases": (
                3.0,
                seconds(lambda: estimates(runs.rounds, runs.facts), 5),
            ),
            "reading and analyzing them from JSON": (12.0, seconds(lambda: analyze(read([path])), 3)),
            "a whole report of them, in a process of its own": (12.0, report_in_a_process([path])),
            "a whole report of 20 machines x 200 cases, likewise": (20.0, report_in_a_process(machines)),
            **{name: (0.1, figure) for name, figure in in_a_browser(machines).items()},
            "breakeven --help over python -c pass": (0.15, _help_over_bare()),
        }
    return {name: {"bound_s": bound, **figure} for name, (bound, figure) in figures.items()}


def report_in_a_process(paths: Sequence[Path]) -> Json:
    """Return the seconds of ``breakeven report``, files written, with its peak memory and the page's size."""
    with tempfile.TemporaryDirectory() as out:
        done = [run_command("report", *paths, "-o", out)[0] for _ in range(3)]
        page_bytes = (Path(out) / "index.html").stat().st_size
    peak = max(run["peak_memory_bytes"] for run in done)
    return {**summary([run["seconds"] for run in done]), "peak_memory_bytes": peak, "page_bytes": page_bytes}


def in_a_browser(paths: Sequence[Path]) -> dict[str, Json]:
    """Return the seconds from a key to the next painted frame on a page of 4,000 rows.

    Nothing if Chromium is not installed.
    """
    chromium = shutil.which("chromium")
    if chromium is None:
        return {}
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as out, sync_playwright() as playwright:
        *_, page_path = write_report(analyze(read(paths)), out, "0")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(page_path.as_uri())
        rows = int(page.inner_text("#count").split()[2])  # "4000 of 4000 cases"; only some are laid out
        words = ["train", "train cuda", "train cuda machine07", "width=1", ""] * 4
        filtering = [page.evaluate(TO_NEXT_FRAME % FILTER, word) / 1000 for word in words]
        sorting = [page.evaluate(TO_NEXT_FRAME % SORT, column) / 1000 for column in (3, 6, 9) * 5]
        browser.close()
    return {
        f"filtering {rows:,} rows, to the next frame": summary(filtering),
        f"sorting {rows:,} rows, to the next frame": summary(sorting),
    }


TO_NEXT_FRAME = """async (argument) => {
  const start = performance.now();
  %s
  await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  return performance.now() - start;
}"""
FILTER = """const field = document.querySelector('#filter input');
  field.value = argument;
  field.dispatchEvent(new Event('input', { bubbles: true }));"""
SORT = "document.querySelectorAll('#cases th button')[argument].click();"


def _help_over_bare() -> Json:
    bare = seconds(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True), 11)
    command = [sys.executable, "-m", "breakeven.cli", "--help"]
    whole = seconds(lambda: subprocess.run(command, check=True, capture_output=True), 11)
    return {**whole, "median_s": whole["median_s"] - bare["median_s"], "bare_s": bare["median_s"]}


def main() -> None:
    """Measure, print with the bounds, and write the file."""
    folder = options(__doc__).parse_args().output
    figures = measure()
    for name, figure in figures.items():
        print(f"{name}: {figure['median_s']:.4g} s, at most {figure['bound_s']} s, n = {figure['n']}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    write(folder / "speed.json", {"figures": figures, "peak_memory_bytes": peak})


if __name__ == "__main__":
    main()
