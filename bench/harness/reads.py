"""Memory and time of `breakeven report` against the size of one run file, and the number of files.

    python bench/harness/reads.py                     one file of 5 to 480 MB, 20 to 2,000 files
    python bench/harness/reads.py --python OTHER/bin/python    another installed breakeven, beside this one

Memory is the peak of the whole process, which includes the libraries that it loads.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from shared import Json, options, write

SIZES_MB = (5, 50, 480)
COUNTS = (20, 200, 2000)
CASES, PROCESSES, ROUNDS = 12, 5, 30
BYTES_PER_ROUND = 43  # as pytest-benchmark writes it, on a line of its own

_COMMAND = """
import resource, sys
from breakeven.cli import main
code = main(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
# VmHWM is of this process alone: ru_maxrss also counts what its parent held when it was forked.
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(code, used.ru_utime + used.ru_stime, status["VmHWM"].split()[0], file=sys.stderr)
"""


def run_file(path: Path, seed: int, cases: int = CASES, rounds: int = ROUNDS) -> Path:
    """Write a run of five processes: half of its cases on each of two devices."""
    rng = np.random.default_rng(seed)
    benchmarks = []
    for case in range(cases):
        device, batch_size, width = ("cpu", "cuda")[case % 2], 2 ** (case // 2 % 6), case // 12
        times = rng.lognormal(-6.9, 0.05, rounds).tolist()
        name = f"bench_mlp[{batch_size}-{width}-{device}-train]"
        info = {
            "schema": 1, "workload": "mlp", "phase": "train", "device": device, "batch_size": batch_size,
            "axes": {"width": width}, "steps": 1, "flags": [], "processes": [rounds // PROCESSES] * PROCESSES,
        }  # fmt: skip
        stats = {"median": float(np.median(times)), "rounds": rounds, "data": times}
        benchmarks.append({"name": name, "fullname": name, "extra_info": info, "stats": stats})
    content = {
        "machine_info": {"cpu": {"brand_raw": "Synthetic CPU"}},
        "commit_info": {"id": f"{seed:040x}"},
        "datetime": f"2026-01-01T00:00:00.{seed:06}+00:00",
        "benchmarks": benchmarks,
    }
    path.write_text(json.dumps(content, indent=4))
    return path


def report(python: str, runs: list[Path]) -> Json:
    """Return CPU seconds, wall seconds and peak memory of a report."""
    began = time.perf_counter()
    command = [python, "-c", _COMMAND, "report", *map(str, runs), "--format", "json"]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True)
    code, cpu_s, peak_kib = done.stderr.splitlines()[-1].split()
    return {
        "files": len(runs),
        "bytes": sum(run.stat().st_size for run in runs),
        "code": int(code),
        "cpu_s": float(cpu_s),
        "wall_s": time.perf_counter() - began,
        "peak_memory_bytes": 1024 * int(peak_kib),
    }


def line(name: str, found: Json) -> str:
    """Return a row of the table."""
    return (
        f"{name:12} {found['files']:6,} {found['bytes'] / 1e6:9.1f} {found['peak_memory_bytes'] / 1e6:9.0f} "
        f"{found['cpu_s']:7.1f} {found['wall_s']:7.1f}"
    )


def main() -> None:
    """Measure, print a table, and write ``reads.json``."""
    parser = options(__doc__)
    parser.add_argument("--python", help="the interpreter of another installed breakeven, measured first")
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES_MB, metavar="MB")
    parser.add_argument("--counts", type=int, nargs="*", default=COUNTS, metavar="FILES")
    given = parser.parse_args()
    interpreters = {**({"before": given.python} if given.python else {}), "now": sys.executable}
    rows: dict[str, list[Json]] = {name: [] for name in interpreters}
    print(f"{'':12} {'files':>6} {'MB':>9} {'peak MB':>9} {'CPU s':>7} {'wall s':>7}")
    with tempfile.TemporaryDirectory() as folder:
        for sets in (*((1, size) for size in given.sizes), *((count, 0) for count in given.counts)):
            count, size = sets
            cases = CASES if count > 1 else 2 * size
            rounds = ROUNDS if count > 1 else 1_000_000 // 2 // BYTES_PER_ROUND // PROCESSES * PROCESSES
            runs = [run_file(Path(folder, f"{i}.json"), i, cases, rounds) for i in range(count)]
            for name, python in interpreters.items():
                rows[name].append(report(python, runs))
                print(line(name, rows[name][-1]), flush=True)
    write(given.output / "reads.json", rows)


if __name__ == "__main__":
    main()
