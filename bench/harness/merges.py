"""What `breakeven merge` costs on the run files of a large sweep; writes ``merges.json``.

The files are shards as pytest-benchmark writes them, about a megabyte each, with cases of their own. The
whole command is timed in fresh processes, with its peak memory.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from shared import Json, options, run_command, summary, write

from breakeven.case import CaseKey

FILES, CASES, ROUNDS, PROCESSES, REPETITIONS = 200, 24, 1000, 5, 7
MAX_S = 5.0


def shard_of(rng: np.random.Generator, index: int, count: int, cases: int, rounds: int) -> Json:
    """Return the content of a run file: the cells of one shard on two devices."""
    benchmarks = []
    for case in range(cases):
        cell, device = divmod(index * cases + case, 2)
        key = CaseKey.of("mlp", 1 + cell, "train", ("cpu", "cuda")[device], {"width": 64, "depth": 2})
        data = (1e-3 * np.exp(0.02 * rng.standard_normal(rounds))).tolist()
        name = f"bench_mlp[{1 + cell}-64-2-{key.device}-train]"
        info = {
            **key.as_extra_info(),
            "steps": 10,
            "flags": [],
            "processes": [rounds // PROCESSES] * PROCESSES,
        }
        stats = {"min": min(data), "max": max(data), "median": float(np.median(data)), "rounds": rounds}
        fullname = f"bench/bench_mlp.py::{name}"
        stats["data"] = data
        benchmarks.append({"name": name, "fullname": fullname, "extra_info": info, "stats": stats})
    cells = {"cells": cases // 2, "sweep_cells": count * cases // 2, "sweep_id": "a sweep"}
    return {
        "machine_info": {"node": f"node{index}", "cpu": {"brand_raw": "EPYC", "count": 16}},
        "commit_info": {"id": "0123abc", "dirty": False},
        "benchmarks": benchmarks,
        "datetime": f"2026-01-01T00:{index // 60:02}:{index % 60:02}+00:00",
        "version": "5.3.1",
        "breakeven": {
            "schema": 1,
            "complete": True,
            "outcomes": [],
            "shard": {"index": index + 1, "count": count, **cells},
            "processes": [{"seed": process} for process in range(PROCESSES)],
        },
    }


def write_shards(folder: Path, files: int, cases: int, rounds: int) -> list[Path]:
    """Write run files, indented as pytest-benchmark does, and return their paths."""
    rng = np.random.default_rng(0)
    paths = [folder / f"run-{index}.json" for index in range(files)]
    for index, path in enumerate(paths):
        path.write_text(json.dumps(shard_of(rng, index, files, cases, rounds), indent=4))
    return paths


def measure(files: int, cases: int, rounds: int) -> Json:
    """Return the seconds and the peak memory of the whole command."""
    with tempfile.TemporaryDirectory() as folder:
        paths = write_shards(Path(folder), files, cases, rounds)
        merged = Path(folder) / "merged.json"
        done = [run_command("merge", *paths, "-o", merged)[0] for _ in range(REPETITIONS)]
        codes = {run["code"] for run in done}
        if codes != {0}:
            raise SystemExit(f"the merge exited with {codes}, expected 0")
        return {
            "bound_s": MAX_S,
            "files": files,
            "cases": files * cases,
            "input_bytes": sum(path.stat().st_size for path in paths),
            "output_bytes": merged.stat().st_size,
            **summary([run["seconds"] for run in done]),
            "peak_memory_bytes": max(run["peak_memory_bytes"] for run in done),
        }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print with the bound, and write the file."""
    parser = options(__doc__)
    parser.add_argument("--files", type=int, default=FILES, help=f"run files (default: {FILES})")
    given = parser.parse_args(arguments)
    found = measure(given.files, CASES, ROUNDS)
    write(given.output / "merges.json", {"figures": {"the whole command": found}})
    print(
        f"{found['files']} files of {found['input_bytes'] / found['files'] / 1e6:.2f} MB: "
        f"{found['median_s']:.2f} s [{found['min_s']:.2f}-{found['max_s']:.2f}], at most {MAX_S:.0f} s, "
        f"n = {found['n']}; peak memory {found['peak_memory_bytes'] / 1e6:,.0f} MB"
    )


if __name__ == "__main__":
    main()
